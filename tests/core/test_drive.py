"""Whatever happens in a run, its end is written down, its log holds the story, and commands reach it."""

import hashlib
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from core import drive as module
from core.drive import drive
from core.errors import DataError, StoreError
from core.events import (
    Command,
    Discard,
    Ended,
    EpochDone,
    Event,
    Interrupt,
    Measuring,
    Notice,
    Pause,
    Preparing,
    Saved,
    StepDone,
    Stop,
)
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import Workspace

Talk = Generator[Event, Command | None, None]


def step(number: int) -> StepDone:
    return StepDone(step=number, epoch=1, loss=0.5, correct=1, images=2, lr=0.1, clock=float(number))


def told(talk: Callable[[], Talk]) -> Callable[..., Talk]:
    return lambda recipe, *, workspace, folder, resume=None, edits=(): talk()


def kinds(store: RunStore, run_id: str) -> list[str]:
    return [event.kind for _, event in store.events(run_id)]


def test_a_run_goes_from_the_queue_to_its_end(store: RunStore) -> None:
    seen: list[Event] = []
    given: dict[str, object] = {}

    def train(recipe: Recipe, *, workspace: Workspace, folder: Path, resume: Path | None = None, edits: object = ()) -> Talk:
        given.update(recipe=recipe, workspace=workspace, folder=folder, resume=resume)
        assert store.run(run.id).state == "running"
        yield step(1)
        yield Ended(outcome="finished", step=1)

    run = store.create(Recipe(lr=0.5))
    ended = drive(store, run.id, train=train, watch=seen.append)
    assert ended == Ended(outcome="finished", step=1)
    assert [event for _, event in store.events(run.id)] == seen == [step(1), ended]
    assert store.run(run.id).state == "finished"
    assert given == {"recipe": run.recipe, "workspace": store.workspace, "folder": store.folder(run.id), "resume": None}


def test_a_run_that_somebody_else_has_taken_is_left_alone(store: RunStore) -> None:
    run = store.create(Recipe())
    store.transition(run.id, "running")
    assert drive(store, run.id, train=told(lambda: pytest.fail("never called"))) is None


def test_steps_are_written_in_groups_and_all_else_at_once(store: RunStore) -> None:
    now = [0.0]
    rows: list[int] = []

    def talk() -> Talk:
        for n in range(1, 11):  # ten steps of 0.2 seconds each
            now[0] += 0.2
            yield step(n)
            rows.append(len(store.events(run.id)))
        yield Notice(code="x")
        rows.append(len(store.events(run.id)))
        yield step(11)
        rows.append(len(store.events(run.id)))
        yield Ended(outcome="finished")

    run = store.create(Recipe())
    drive(store, run.id, train=told(talk), clock=lambda: now[0])
    assert rows == [0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 11, 11]
    assert len(store.events(run.id)) == 13


def test_a_fast_run_is_written_every_so_many_steps(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_EVENTS", 4)
    written: list[int] = []

    def talk() -> Talk:
        for n in range(1, 10):
            yield step(n)
            written.append(len(store.events(run.id)))
        yield Ended(outcome="finished")

    run = store.create(Recipe())
    drive(store, run.id, train=told(talk), clock=lambda: 0.0)
    assert written == [0, 0, 0, 4, 4, 4, 4, 8, 8]


def test_of_a_hundred_words_on_progress_the_newest_is_kept(store: RunStore) -> None:
    def talk() -> Talk:
        for n in range(100):
            yield Preparing(what="data", done=n, total=100)
        yield step(1)
        for n in range(100):
            yield Measuring(what="val", done=n, total=100)
        yield Ended(outcome="finished")

    run = store.create(Recipe())
    drive(store, run.id, train=told(talk), clock=lambda: 0.0)
    assert [event for _, event in store.events(run.id)][:-1] == [
        Preparing(what="data", done=99, total=100),
        step(1),
        Measuring(what="val", done=99, total=100),
    ]


def test_commands_go_in_one_by_one_and_are_looked_for_five_times_a_second(store: RunStore) -> None:
    now, heard = [0.0], []

    def talk() -> Talk:
        for n in range(1, 8):
            now[0] += 0.07
            heard.append((n, (yield step(n))))
        yield Ended(outcome="stopped")

    run = store.create(Recipe())
    store.send(run.id, Pause())
    store.send(run.id, Stop())
    drive(store, run.id, train=told(talk), clock=lambda: now[0])
    assert [(n, c) for n, c in heard if c] == [(3, Pause()), (4, Stop())]


def test_commands_from_this_process_need_no_look(store: RunStore) -> None:
    heard: list[Command | None] = []

    def talk() -> Talk:
        heard.append((yield step(1)))
        heard.append((yield step(2)))
        yield Ended(outcome="interrupted")

    run = store.create(Recipe())
    mine: list[list[Command]] = [[Interrupt()]]
    drive(store, run.id, train=told(talk), asked=lambda: mine.pop() if mine else [], clock=lambda: 0.0)
    assert heard == [Interrupt(), None]


@pytest.mark.parametrize("error", [ValueError("secret"), MemoryError(), RecursionError(), StopIteration()])
def test_an_unexpected_error_fails_the_run_and_fills_its_log(store: RunStore, error: Exception) -> None:
    def talk() -> Talk:
        yield step(3)
        raise error

    run = store.create(Recipe())
    ended = drive(store, run.id, train=told(talk))
    log = store.folder(run.id) / "log.txt"
    name = "RuntimeError" if isinstance(error, StopIteration) else type(error).__name__
    assert ended == Ended(outcome="failed", step=3, clock=3.0, code="internal.error", values={"name": name, "log": str(log)})
    assert kinds(store, run.id) == ["step", "ended"]
    assert (store.run(run.id).state, store.run(run.id).error) == ("failed", ("internal.error", ended.values))
    assert f"{type(error).__name__}" in log.read_text()
    assert "in talk" in log.read_text()


def test_a_run_without_a_place_for_its_files_fails_and_does_not_stay_running(store: RunStore) -> None:
    run = store.create(Recipe())
    shutil.rmtree(store.workspace.runs)
    store.workspace.runs.write_text("in the way")
    ended = drive(store, run.id, train=told(lambda: pytest.fail("never called")))
    assert ended is not None
    assert (ended.outcome, ended.code) == ("failed", "workspace.unusable")
    assert store.run(run.id).state == "failed"


def test_an_error_that_we_know_keeps_its_two_sentences(store: RunStore) -> None:
    def talk() -> Talk:
        yield step(1)
        raise DataError("run.unknown", run="x")

    run = store.create(Recipe())
    ended = drive(store, run.id, train=told(talk))
    assert ended is not None
    assert (ended.outcome, ended.code, ended.values) == ("failed", "run.unknown", {"run": "x"})
    assert not (store.folder(run.id) / "log.txt").exists()


def test_a_training_that_ends_without_a_word_has_failed(store: RunStore) -> None:
    def talk() -> Talk:
        yield step(1)

    run = store.create(Recipe())
    drive(store, run.id, train=told(talk))
    assert store.run(run.id).error is not None


def test_what_goes_wrong_after_the_end_changes_nothing(store: RunStore) -> None:
    def talk() -> Talk:
        yield Ended(outcome="finished", step=9)
        raise OSError("while cleaning up")

    run = store.create(Recipe())
    ended = drive(store, run.id, train=told(talk))
    assert ended == Ended(outcome="finished", step=9)
    assert store.run(run.id).state == "finished"
    assert "while cleaning up" in (store.folder(run.id) / "log.txt").read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_process_that_is_told_to_go_leaves_its_run_interrupted(store: RunStore, error: type[BaseException]) -> None:
    closed: list[bool] = []

    def talk() -> Talk:
        try:
            yield step(1)
            raise error
        finally:
            closed.append(True)

    run = store.create(Recipe())
    with pytest.raises(error):
        drive(store, run.id, train=told(talk))
    assert closed == [True]
    assert store.run(run.id).state == "interrupted"
    assert kinds(store, run.id) == ["step", "ended"]


def test_a_watcher_that_fails_ends_the_training_too(store: RunStore) -> None:
    closed: list[bool] = []

    def talk() -> Talk:
        try:
            yield step(1)
            yield step(2)
        finally:
            closed.append(True)

    def watch(event: Event) -> None:
        if isinstance(event, StepDone):
            raise ZeroDivisionError

    run = store.create(Recipe())
    drive(store, run.id, train=told(talk), watch=watch)
    assert closed == [True]
    assert store.run(run.id).state == "failed"


def test_a_store_that_cannot_write_pauses_the_run_when_it_can_again(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, refused = store.append, []

    def full(run_id: str, events: list[Event], **more: object) -> int:
        if len(events) > 1 or isinstance(events[0], StepDone):
            refused.append(len(events))
            raise StoreError("store.full", path="p", reason="no space")
        return append(run_id, events)

    def talk() -> Talk:
        yield step(1)
        yield EpochDone(
            epoch=1, step=1, train_loss=1, train_accuracy=0, val_loss=1, val_accuracy=0, val_macro_f1=0, best=True
        )
        pytest.fail("goes on although nothing can be written")

    run = store.create(Recipe())
    monkeypatch.setattr(store, "append", full)
    ended = drive(store, run.id, train=told(talk), clock=lambda: 0.0)
    assert ended is not None
    assert (ended.outcome, ended.code, refused) == ("paused", "store.full", [2, 3])
    assert kinds(store, run.id) == ["ended"]


def test_a_continuation_begins_at_the_last_whole_checkpoint(store: RunStore) -> None:
    resumed: list[Path | None] = []

    def train(recipe: Recipe, *, workspace: Workspace, folder: Path, resume: Path | None = None, edits: object = ()) -> Talk:
        resumed.append(resume)
        (folder / "a.ckpt").write_bytes(b"abc")
        digest = hashlib.sha256(b"abc").hexdigest()
        yield Saved(step=1, epoch=1, file="a.ckpt", sha256=digest, size_bytes=3, best=True)
        yield Ended(outcome="paused")

    run = store.create(Recipe())
    drive(store, run.id, train=train)
    store.requeue(run.id)
    drive(store, run.id, train=train)
    assert resumed == [None, store.folder(run.id) / "a.ckpt"]


def test_a_discarded_run_keeps_no_weights(store: RunStore) -> None:
    def train(recipe: Recipe, *, workspace: Workspace, folder: Path, resume: Path | None = None, edits: object = ()) -> Talk:
        (folder / "step.ckpt").write_bytes(b"weights")
        (folder / "inner").mkdir()
        (folder / "inner" / "x").touch()
        (folder / "log.txt").write_text("story")
        command = yield step(1)
        assert command == Discard()
        yield Ended(outcome="discarded")

    run = store.create(Recipe())
    mine: list[list[Command]] = [[Discard()]]
    drive(store, run.id, train=train, asked=lambda: mine.pop() if mine else [])
    assert [file.name for file in store.folder(run.id).iterdir()] == ["log.txt"]
    assert store.run(run.id).state == "discarded"


@pytest.mark.parametrize(("hours", "outcome"), [(0.0, "finished"), (2.0, "paused")])
def test_a_run_pauses_after_the_hours_that_its_recipe_allows_at_a_stretch(
    store: RunStore, hours: float, outcome: str
) -> None:
    now = [0.0]

    def talk() -> Talk:
        for n in range(1, 9):
            now[0] += 1800
            if isinstance((yield step(n)), Pause):
                yield Ended(outcome="paused", step=n)
                return
        yield Ended(outcome="finished", step=8)

    run = store.create(Recipe(max_hours=hours))
    for _ in range(2 if hours else 1):  # each attempt has all the hours
        ended = drive(store, run.id, train=told(talk), clock=lambda: now[0])
        assert ended is not None
        assert ended.outcome == outcome
        if hours:
            assert (ended.step, ended.reason, ended.code, ended.values) == (4, "limit", "run.max_hours", {"hours": 2.0})
            store.requeue(run.id)


def test_a_run_that_is_over_when_its_hours_are_has_finished(store: RunStore) -> None:
    now = [0.0]

    def talk() -> Talk:
        now[0] += 7200
        yield step(1)
        yield Ended(outcome="finished", step=1)

    ended = drive(store, store.create(Recipe(max_hours=1)).id, train=told(talk), clock=lambda: now[0])
    assert ended == Ended(outcome="finished", step=1)
