"""A row becomes a run, and a run moves only where it may, with what its list shows kept in step."""

import sqlite3
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest

from core import table
from core.errors import StoreError
from core.evaluation import scores
from core.events import Ended, EpochDone, StepDone
from core.events import Tested as Measured  # pytest would take the name for a class of tests
from core.recipe import Recipe
from core.run import BEFORE, Run
from core.store import RunStore


@pytest.fixture
def run(store: RunStore) -> Run:
    return store.create(Recipe(name="one"))


@pytest.fixture
def db(store: RunStore, run: Run) -> Iterator[sqlite3.Connection]:
    with store._database.write() as db:
        yield db


def row_of(db: sqlite3.Connection) -> sqlite3.Row:
    row = db.execute(f"SELECT {table.COLUMNS} FROM run").fetchone()
    assert isinstance(row, sqlite3.Row)
    return row


def measured(split: Literal["val", "test"], accuracy: float) -> Measured:
    one = scores(np.array([0, 1]), np.eye(2), ("a", "b"), 0)
    return Measured(split=split, epoch=1, scores=one.model_copy(update={"accuracy": accuracy}), file="test.json")


def test_a_row_is_the_run_and_equal_recipes_are_one_object(db: sqlite3.Connection, run: Run) -> None:
    assert table.run_of(row_of(db)) == run
    assert table.run_of(row_of(db)).recipe is table.run_of(row_of(db)).recipe


def test_a_recipe_that_cannot_be_read_is_damage_and_names_the_run(db: sqlite3.Connection, run: Run) -> None:
    db.execute("UPDATE run SET recipe = '{'")
    with pytest.raises(StoreError) as caught:
        table.run_of(row_of(db))
    assert (caught.value.code, caught.value.values["path"]) == ("store.damaged", run.id)


def test_a_run_moves_only_from_a_state_it_may_leave_and_starts_only_with_its_own_process(
    db: sqlite3.Connection, run: Run, store: RunStore
) -> None:
    assert not table.move(db, run.id, "running", BEFORE["running"], boot="another")
    assert not table.move(db, run.id, "finished", BEFORE["finished"], boot=store.boot)
    assert table.move(db, run.id, "running", BEFORE["running"], boot=store.boot)
    now = table.run_of(row_of(db))
    assert (now.state, now.ended) == ("running", None)
    assert now.started is not None


def test_what_is_told_shows_in_the_row(db: sqlite3.Connection, run: Run, store: RunStore) -> None:
    table.move(db, run.id, "running", BEFORE["running"], boot=store.boot)
    step = StepDone(step=1, epoch=1, loss=1.0, correct=0, images=1, lr=0.1)
    figures = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.75, "val_macro_f1": 0.7}
    said = [step, EpochDone(epoch=1, step=2, best=True, clock=3.0, **figures)]
    table.summarise(db, run.id, said, ["running"], boot=store.boot)
    now = table.run_of(row_of(db))
    assert (now.step, now.epoch, now.best_epoch, now.best_val_accuracy, now.seconds) == (2, 1, 1, 0.75, 3.0)
    worse = EpochDone(epoch=2, step=3, best=False, clock=4.0, **{**figures, "val_accuracy": 0.5})
    table.summarise(db, run.id, [worse, measured("val", 0.25)], ["running"], boot=store.boot)
    now = table.run_of(row_of(db))
    assert (now.epoch, now.best_epoch, now.best_val_accuracy, now.test_accuracy) == (2, 1, 0.75, None)
    table.summarise(db, run.id, [measured("test", 0.625)], ["running"], boot=store.boot)
    assert table.run_of(row_of(db)).test_accuracy == 0.625, "the sealed images alone count as a test"
    ended = Ended(outcome="failed", step=2, code="run.no_progress", values={"n": 3}, clock=5.0)
    table.summarise(db, run.id, [ended], ["running"], boot=store.boot)
    now = table.run_of(row_of(db))
    assert (now.error, now.seconds, now.state) == (("run.no_progress", {"n": 3}), 5.0, "failed")
    with pytest.raises(StoreError, match=run.id):
        table.summarise(db, run.id, [ended], ["running"], boot=store.boot)


def test_a_question_about_no_state_has_no_answer(db: sqlite3.Connection) -> None:
    where, values = table.where(False, (), None)
    assert db.execute(f"SELECT count(*) FROM run WHERE {where}", values).fetchone()[0] == 0
