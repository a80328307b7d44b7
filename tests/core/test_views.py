"""What runs have said: fed while they are at work, read from the store else, and few of it in memory."""

import pytest

from core import views
from core.errors import StoreError
from core.events import Ended, StepDone
from core.recipe import Recipe
from core.store import RunStore
from core.views import Views


def step(number: int) -> StepDone:
    return StepDone(step=number, epoch=1, loss=1.0, correct=0, images=1, lr=0.1)


def test_a_live_view_hears_what_is_not_written_and_then_counts_on_from_what_is(store: RunStore) -> None:
    run, seen = store.create(Recipe()), Views(store)
    store.transition(run.id, "running")
    view = seen.of(run.id, live=True)
    view.feed(step(1))
    assert seen.of(run.id).history.curve.rev == 1
    assert store.events(run.id) == []
    view.rest(store.append(run.id, [step(1)]))
    store.append(run.id, [step(2), Ended(outcome="finished")])
    assert seen.of(run.id).history.curve.rev == 2
    assert seen.of(run.id).state("finished").state == "finished"


def test_views_of_old_runs_do_not_pile_up_and_live_ones_stay(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "KEPT", 2)
    ids, seen = [store.create(Recipe()).id for _ in range(5)], Views(store)
    first = seen.of(ids[0], live=True)
    second = seen.of(ids[1])
    for run_id in ids[2:]:
        seen.of(run_id)
    assert seen.of(ids[0]) is first
    assert seen.of(ids[1]) is not second
    assert len(seen._views) <= 3


def test_an_unknown_run_has_no_view(store: RunStore) -> None:
    with pytest.raises(StoreError, match="no run called"):
        Views(store).of("0" * 26)
