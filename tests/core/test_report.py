"""A report tells what the run did, from the rows that it left."""

import json

from core import events
from core.events import ClassScore, Ended, EpochDone, GroupInfo, Notice, Preparing, Scores, Started, StepDone
from core.recipe import Recipe
from core.report import report
from core.store import RunStore


def started(clock: float, at: int = 0) -> Started:
    return Started(
        clock=clock,
        device="cpu",
        precision="bf16",
        threads=2,
        versions={"torch": "2.15"},
        fingerprint="abc",
        classes=("cat", "dog"),
        splits={"train": 16, "val": 4, "test": 4},
        parameters_total=100,
        parameters_trainable=40,
        groups=(GroupInfo(name="fc", lr_scale=1.0, parameters=40),),
        held=("layer1",),
        steps_per_epoch=2,
        epochs=2,
        step=at,
    )


def step(number: int, clock: float) -> StepDone:
    return StepDone(step=number, epoch=1, loss=1.0, correct=4, images=8, lr=0.1, clock=clock)


def epoch(number: int, clock: float, *, best: bool, accuracy: float = 0.75) -> EpochDone:
    return EpochDone(
        epoch=number,
        step=2 * number,
        train_loss=0.5,
        train_accuracy=0.6,
        val_loss=0.4,
        val_accuracy=accuracy,
        val_macro_f1=0.7,
        best=best,
        clock=clock,
    )


SCORES = Scores(
    images=4,
    loss=0.3,
    accuracy=0.75,
    macro_f1=0.73,
    per_class=(
        ClassScore(name="cat", support=2, found=1, predicted=1, precision=1.0, recall=0.5, f1=2 / 3),
        ClassScore(name="dog", support=2, found=2, predicted=3, precision=2 / 3, recall=1.0, f1=0.8),
    ),
    confusion=((1, 1), (0, 2)),
    majority_accuracy=0.5,
)


def finished(store: RunStore) -> str:
    run = store.create(Recipe(name="r", dataset="gone", epochs=2))
    store.transition(run.id, "running")
    store.append(
        run.id,
        [
            Preparing(what="data", done=1, total=1, clock=2.0),
            started(3.0),
            step(1, 4.0),
            step(2, 5.0),
            epoch(1, 6.0, best=True),
            step(3, 7.0),
            step(4, 8.0),
            epoch(2, 9.0, best=False, accuracy=0.5),
            Notice(code="x", values={"n": 2}),
            events.Tested(split="test", epoch=1, scores=SCORES, file="test.json", clock=11.5),
            Ended(outcome="finished", step=4, epoch=2, clock=12.0),
        ],
    )
    return run.id


def test_a_finished_run_is_told_in_full(store: RunStore) -> None:
    run_id = finished(store)
    found = report(store, run_id, opening_seconds=1.5, startup_seconds=9.0)
    assert {
        key: found[key] for key in ("run", "name", "state", "error", "classes", "splits", "device", "versions", "ended")
    } == {
        "run": run_id,
        "name": "r",
        "state": "finished",
        "error": None,
        "classes": ["cat", "dog"],
        "splits": {"train": 16, "val": 4, "test": 4},
        "device": "cpu",
        "versions": {"torch": "2.15"},
        "ended": "finished",
    }
    assert found["parameters"] == {"total": 100, "trainable": 40}
    assert found["seconds"] == {"total": 13.0, "prepare": 4.5, "train": 6.0, "test": 2.5}
    assert found["startup_seconds"] == 9.0
    assert [(e["epoch"], e["val_accuracy"]) for e in found["epochs"]] == [(1, 0.75), (2, 0.5)]
    assert found["validation"] == {"epoch": 1, "loss": 0.4, "accuracy": 0.75, "macro_f1": 0.7}
    assert (found["test"]["accuracy"], found["test"]["split"], found["test"]["epoch"]) == (0.75, "test", 1)
    assert found["test"]["confusion"] == [[1, 1], [0, 2]]
    assert found["test"]["per_class"][1]["name"] == "dog"
    assert found["recipe"]["epochs"] == 2
    assert found["notices"] == [{"code": "x", "values": {"n": 2}}]
    assert found["skipped_files"] is None  # the data set is gone
    assert json.loads(json.dumps(found)) == found


def test_a_run_that_failed_before_it_began_has_an_error_and_no_figures(store: RunStore) -> None:
    run = store.create(Recipe(dataset="demo:digits"))
    store.transition(run.id, "running")
    store.append(run.id, [Ended(outcome="failed", code="run.none", clock=1.0)])
    found = report(store, run.id)
    assert found["error"]["cause"] == "There are no runs in this workspace yet."
    assert (found["epochs"], found["validation"], found["test"], found["parameters"]) == ([], None, None, None)
    assert found["seconds"] == {"total": 1.0, "prepare": 1.0, "train": 0.0, "test": 0.0}
    assert found["skipped_files"] == []


def test_the_time_of_a_continued_run_leaves_out_what_was_lost(store: RunStore) -> None:
    """Killed at 8 s with a checkpoint of 6 s: the continuation counts on from there."""
    run = store.create(Recipe(epochs=2))
    store.transition(run.id, "running")
    store.append(
        run.id,
        [
            started(3.0),
            step(1, 4.0),
            step(2, 5.0),
            epoch(1, 6.0, best=True),
            step(3, 8.0),
            Ended(outcome="interrupted", reason="lost", clock=8.0),
        ],
    )
    store.requeue(run.id)
    store.transition(run.id, "running")
    store.append(
        run.id,
        [
            Preparing(what="data", done=0, total=1, clock=6.0),
            started(7.5, at=2),
            step(3, 8.0),
            step(4, 9.0),
            epoch(2, 10.0, best=True),
            events.Tested(split="val", epoch=2, scores=SCORES, file="test.json", clock=10.5),
            Ended(outcome="finished", clock=11.0),
        ],
    )
    found = report(store, run.id)
    assert found["seconds"] == {"total": 10.5, "prepare": 4.5, "train": 5.5, "test": 0.5}
    assert [e["epoch"] for e in found["epochs"]] == [1, 2]
    assert found["test"]["split"] == "val"
