"""The clock of the machine may be wrong and be put right at any moment: order, durations and copies do not hang on it."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import recovery, rescue, table
from core import run as runs
from core.database import Database
from core.drive import drive
from core.events import Ended, StepDone
from core.recipe import Recipe
from core.schema import APPLICATION, MIGRATIONS
from core.store import RunStore
from core.workspace import open_workspace

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a day early and a day late by turns."""
    days = itertools.cycle((0, -1, 1))

    class Jumping(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=next(days))

    for module in (table, recovery, rescue):
        monkeypatch.setattr(module, "datetime", Jumping)
    monkeypatch.setattr(runs.time, "time", lambda: Jumping.now(UTC).timestamp())


@pytest.mark.usefixtures("jumping")
def test_runs_keep_their_order_and_their_durations_when_the_clock_jumps(tmp_path: Path) -> None:
    store = RunStore(open_workspace(tmp_path))
    ids = [store.create(Recipe()).id for _ in range(7)]
    assert [run.id for run in store.runs()] == ids[::-1]
    assert store.adopt() == ids

    def train(*_: object, **__: object):
        yield StepDone(step=1, epoch=1, loss=1.0, correct=0, images=1, lr=0.1, clock=1.5)
        yield Ended(outcome="paused", step=1, clock=2.5)

    drive(store, ids[0], train=train)
    assert store.run(ids[0]).seconds == 2.5
    store.requeue(ids[0])
    assert store.adopt() == [*ids[1:], ids[0]]
    store.close()


def test_copies_go_on_after_the_clock_was_put_back_and_the_last_one_made_is_the_newest(tmp_path: Path) -> None:
    database, folder = Database(tmp_path / "a.sqlite", application=APPLICATION, migrations=MIGRATIONS), tmp_path / "backups"
    for hour in range(4):
        rescue.keep_copy(database, folder, NOW + timedelta(hours=hour))
    back = NOW - timedelta(days=1)
    assert rescue.copy_due(folder, back)
    made = rescue.keep_copy(database, folder, back)
    assert rescue.newest_good(folder) == made
    assert not rescue.copy_due(folder, back + timedelta(minutes=59))
    assert rescue.copy_due(folder, back + timedelta(hours=1))
    database.close()
