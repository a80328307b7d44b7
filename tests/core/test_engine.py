"""The engine takes runs in their order, one at a time on a device, hears commands at once and outlives every failure."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import engine as module
from core import slot, vitals
from core.dataset import decide, import_dataset, open_dataset
from core.engine import Engine
from core.errors import CheckpointError, StoreError, TrainingError
from core.events import Command, Discard, Ended, Event, Notice, Pause, Saved, Started, StepDone, Stop
from core.recipe import Recipe
from core.store import RunStore, State
from core.workspace import Workspace, open_workspace

Talk = Generator[Event, Command | None, None]
OUTCOMES = {"stop": "stopped", "pause": "paused", "discard": "discarded", "interrupt": "interrupted"}


class Fake:
    """A training of `recipe.epochs` steps that waits for `go` before each, obeys commands and saves after each step."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.order: list[tuple[str, str | None]] = []
        self.threads: set[int] = set()
        self.working = 0
        self.most_at_once = 0
        self.wrong: dict[str, BaseException] = {}

    def __call__(
        self, recipe: Recipe, *, workspace: Workspace, folder: Path, resume: Path | None = None, edits: object = ()
    ) -> Talk:
        self.order.append((recipe.name, resume.name if resume else None))
        self.threads.add(threading.get_ident())
        self.working += 1
        self.most_at_once = max(self.working, self.most_at_once)
        try:
            first = int(resume.stem) if resume else 0
            command = yield started(first, recipe.epochs)
            for n in range(first + 1, recipe.epochs + 1):
                while not command and not self.go.acquire(timeout=0.01):
                    command = yield StepDone(step=n, epoch=1, loss=1.0, correct=0, images=1, lr=0.1, clock=n)
                if recipe.name in self.wrong:
                    raise self.wrong.pop(recipe.name)
                (folder / f"{n}.ckpt").write_bytes(b"w")
                digest = hashlib.sha256(b"w").hexdigest()
                heard = yield Saved(step=n, epoch=1, file=f"{n}.ckpt", sha256=digest, size_bytes=1, best=False)
                if command := command or heard:
                    yield Ended(outcome=OUTCOMES[command.kind], step=n)
                    return
            yield Ended(outcome="finished", step=recipe.epochs)
        finally:
            self.working -= 1


def started(first: int, epochs: int) -> Started:
    return Started(
        device="cpu",
        precision="fp32",
        threads=1,
        versions={},
        fingerprint="",
        classes=(),
        splits={},
        parameters_total=0,
        parameters_trainable=0,
        groups=(),
        held=(),
        steps_per_epoch=1,
        epochs=epochs,
        step=first,
    )


class House:
    """A workspace with an engine, and ways to wait for what it does."""

    def __init__(self, root: Path) -> None:
        self.workspace = open_workspace(root)
        self.fake = Fake()
        self.store = RunStore(self.workspace)
        self.engine = Engine(self.workspace, self.store, train=self.fake)

    def submit(self, name: str, steps: int = 3, device: str = "auto") -> str:
        return self.engine.submit(Recipe(name=name, epochs=steps, device=device))

    def step(self, n: int = 1) -> None:
        self.fake.go.release(n)

    def until(self, run_id: str, state: State) -> None:
        wait(lambda: self.store.run(run_id).state == state, f"{run_id} is {self.store.run(run_id).state}, not {state}")

    def restart(self, *, crash: bool = False) -> None:
        if crash:
            self.engine._over.set()
        else:
            assert self.engine.shutdown()
        self.store.close()
        self.store = RunStore(self.workspace)
        self.engine = Engine(self.workspace, self.store, train=self.fake)
        self.engine.start()


def wait(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.002)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.05)
    house = House(tmp_path)
    yield house
    assert house.engine.shutdown()
    house.store.close()


def test_runs_are_taken_in_their_order_by_one_thread(house: House) -> None:
    ids = [house.submit(name) for name in "abc"]
    assert house.engine.queue() == tuple(ids)
    house.engine.start()
    house.until(ids[0], "running")
    assert house.engine.queue() == tuple(ids[1:])
    house.step(9)
    for run_id in ids:
        house.until(run_id, "finished")
    assert [name for name, _ in house.fake.order] == ["a", "b", "c"]
    assert (len(house.fake.threads), house.fake.most_at_once) == (1, 1)
    assert house.engine.queue() == ()
    assert house.engine.alive()


def test_pause_frees_the_device_and_resuming_goes_on_from_the_checkpoint(house: House) -> None:
    house.engine.start()
    first, second = house.submit("first"), house.submit("second")
    house.until(first, "running")
    house.step(1)
    house.engine.send(first, Pause())
    house.until(first, "paused")
    house.until(second, "running")
    house.engine.resume(first)
    house.step(3)
    house.until(second, "finished")
    house.step(3)
    house.until(first, "finished")
    assert [name for name, _ in house.fake.order] == ["first", "second", "first"]
    assert house.fake.order[2][1] in {"1.ckpt", "2.ckpt"}
    ended = house.engine.state(first).ended
    assert ended is not None
    assert ended.step == 3


def test_a_failure_of_any_kind_is_the_end_of_one_run_only(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.fake.wrong = {"a": ValueError("x"), "b": SystemExit(3), "c": MemoryError()}
    ids = [house.submit(name, steps=1) for name in "abcd"]
    house.engine.start()
    house.step(4)
    for run_id, state in zip(ids, ("failed", "interrupted", "failed", "finished"), strict=True):
        house.until(run_id, state)
    assert house.engine.alive()
    assert "a run ended unexpectedly" in caplog.text
    error = house.store.run(ids[0]).error
    assert error is not None
    assert (error[0], error[1]["name"]) == ("internal.error", "ValueError")


def test_a_thread_that_fails_again_and_again_rests_longer_each_time(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(house.engine, "_one", lambda lane: 1 / 0)
    house.engine.start()
    wait(lambda: len(caplog.records) >= 4, "it does not fail")
    times = [record.created for record in caplog.records]
    assert times[3] - times[2] > 2 * (times[1] - times[0])
    assert house.engine.alive()


@pytest.mark.parametrize(("command", "state"), [(Pause(), "paused"), (Discard(), "discarded"), (Stop(), "discarded")])
def test_a_run_that_waits_obeys_at_once(house: House, command: Command, state: State) -> None:
    run_id = house.submit("waits")
    house.engine.send(run_id, command)
    assert house.store.run(run_id).state == state
    house.engine.start()
    assert house.engine.queue() == ()
    assert house.fake.order == []


def test_stopping_a_paused_run_keeps_its_best(house: House) -> None:
    house.engine.start()
    run_id = house.submit("x")
    house.until(run_id, "running")
    house.step()
    house.engine.send(run_id, Pause())
    house.until(run_id, "paused")
    house.engine.send(run_id, Stop())
    house.until(run_id, "stopped")
    assert len(house.fake.order) == 2


def test_discarding_a_paused_run_deletes_its_weights(house: House) -> None:
    house.engine.start()
    run_id = house.submit("x")
    house.until(run_id, "running")
    house.step()
    house.engine.send(run_id, Pause())
    house.until(run_id, "paused")
    assert list(house.store.folder(run_id).glob("*.ckpt"))
    house.engine.send(run_id, Discard())
    assert house.store.run(run_id).state == "discarded"
    assert list(house.store.folder(run_id).iterdir()) == []


def test_what_is_over_can_neither_be_told_nor_resumed(house: House) -> None:
    house.engine.start()
    run_id = house.submit("x", steps=1)
    house.step()
    house.until(run_id, "finished")
    for command in (Stop(), Pause(), Discard()):
        with pytest.raises(StoreError, match="neither waiting nor running"):
            house.engine.send(run_id, command)
    with pytest.raises(StoreError, match="is over"):
        house.engine.resume(run_id)


def test_a_run_at_work_or_failed_without_a_checkpoint_is_not_resumed(house: House) -> None:
    house.fake.wrong = {"bad": ValueError()}
    house.engine.start()
    run_id = house.submit("bad")
    house.until(run_id, "running")
    with pytest.raises(StoreError, match="already waiting or running"):
        house.engine.resume(run_id)
    house.step()
    house.until(run_id, "failed")
    with pytest.raises(StoreError, match="no checkpoint"):
        house.engine.resume(run_id)


def test_shutdown_saves_what_runs_and_keeps_the_queue_for_the_next_start(house: House) -> None:
    house.engine.start()
    first, second = house.submit("first"), house.submit("second")
    house.until(first, "running")
    house.restart()
    assert house.engine.resumed == (first,)
    house.until(first, "running")
    assert house.engine.queue() == (second,)
    house.step(6)
    house.until(first, "finished")
    house.until(second, "finished")
    assert [name for name, _ in house.fake.order] == ["first", "first", "second"]


def test_what_the_command_line_left_is_not_taken_up_by_the_server(house: House) -> None:
    other = RunStore(house.workspace)
    run = other.create(Recipe(name="by hand"))
    other.transition(run.id, "running")
    other.close()
    house.engine.start()
    assert (house.engine.resumed, house.store.run(run.id).state) == ((), "interrupted")


def test_a_run_that_comes_to_no_checkpoint_is_taken_up_twice_and_then_given_up(house: House) -> None:
    house.engine.start()
    run_id = house.submit("stuck")
    for _ in range(2):
        house.until(run_id, "running")
        house.restart(crash=True)
        assert house.engine.resumed == (run_id,)
    house.until(run_id, "running")
    house.restart(crash=True)
    assert (house.engine.resumed, house.engine.given_up) == ((), (run_id,))
    assert house.store.run(run_id).state == "failed"
    assert house.store.run(run_id).error == ("run.no_progress", {"run": "stuck", "n": 3})


def test_each_new_checkpoint_wipes_the_strikes_out(house: House) -> None:
    house.engine.start()
    run_id = house.submit("slow", steps=9)
    for n in range(1, 6):
        house.until(run_id, "running")
        house.step()
        wait(lambda n=n: (house.store.folder(run_id) / f"{n}.ckpt").exists(), "no checkpoint")
        house.restart()
        assert house.engine.resumed == (run_id,)


def test_a_full_disk_pauses_the_run_and_says_so(house: House) -> None:
    house.fake.wrong = {"big": CheckpointError("checkpoint.disk_full", folder="f", reason="No space left on device")}
    house.engine.start()
    run_id = house.submit("big")
    house.step()
    house.until(run_id, "paused")
    run = house.store.run(run_id)
    assert run.error is not None
    assert run.error[0] == "checkpoint.disk_full"
    house.engine.resume(run_id)  # there is space again
    house.step(3)
    house.until(run_id, "finished")
    assert house.store.run(run_id).error is None


def test_a_thread_that_dies_is_named_and_replaced_and_its_run_told_failed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.02)
    house.engine.start()
    run_id = house.submit("x")
    house.until(run_id, "running")
    lane = house.engine._lanes["auto"]
    alive, lane.thread = lane.thread, threading.Thread(target=lambda: None)  # one that is not alive
    house.until(run_id, "failed")
    assert house.store.run(run_id).error == ("engine.thread_died", {})
    replaced = lambda: getattr(house.engine._lanes.get("auto"), "thread", None) not in (None, alive, lane.thread)  # noqa: E731
    wait(replaced, "nobody took its place")
    wait(lambda: house.engine.health()["ok"] and house.engine.alive(), "it is still said to be dead")
    house.step(9)
    after = house.submit("after", steps=1)
    house.step(9)
    house.until(after, "finished")


def test_a_dead_thread_is_said_in_the_health(house: House) -> None:
    house.engine.start()
    assert house.engine.health() == {"ok": True, "problems": []}
    lane = house.engine._lanes["auto"]
    alive, lane.thread = lane.thread, threading.Thread(target=lambda: None)
    told = house.engine.health()
    lane.thread = alive
    assert told == {"ok": False, "problems": [{"code": "engine.dead", "values": {"device": "auto"}}]}


def test_a_thread_that_hangs_is_named_once_with_its_stack(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.02)
    hung = threading.Event()

    def train(recipe: Recipe, **more: object) -> Talk:
        yield started(0, 1)
        monkeypatch.setattr(vitals, "FIRST_SECONDS", 0.1)
        hung.wait(20)
        yield Ended(outcome="finished", step=1)

    house.engine = Engine(house.workspace, house.store, train=train)
    house.engine.start()
    run_id = house.submit("hangs")
    wait(lambda: not house.engine.health()["ok"], "nobody noticed")
    (problem,) = house.engine.health()["problems"]
    assert (problem["code"], problem["values"]["run"], problem["run"]) == ("engine.stalled", "hangs", run_id)
    notices = lambda: [e for _, e in house.store.events(run_id) if isinstance(e, Notice)]  # noqa: E731
    wait(lambda: bool(notices()), "nothing was written down")
    time.sleep(0.1)
    hung.set()
    house.until(run_id, "finished")
    assert [notice.code for notice in notices()] == ["engine.stalled"]
    assert "hung.wait" not in (stack := (house.store.folder(run_id) / "stalls.txt").read_text("utf-8"))
    assert "in train" in stack
    wait(lambda: house.engine.health()["ok"], "it is still said to hang")


def test_a_device_that_fails_interrupts_its_run_and_is_given_no_other_by_this_server(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "_lost", set())
    house.engine = Engine(house.workspace, house.store, "cuda:0", train=house.fake)
    failed = TrainingError("training.device_failed", device="cuda:0", step=1)
    house.fake.wrong = {"first": failed}
    house.engine.start()
    first, second = house.submit("first"), house.submit("second")
    other = house.submit("other", device="cuda:1")
    house.until(first, "running")
    slot.lose("cuda:0")  # as the training does before it ends
    house.step(9)
    house.until(first, "interrupted")
    house.until(other, "finished")
    assert house.store.run(first).error == ("training.device_failed", {"device": "cuda:0", "step": 1})
    house.engine.resume(first)
    time.sleep(0.2)  # the lane has had its chance
    assert [house.store.run(run_id).state for run_id in (first, second)] == ["queued", "queued"]
    assert house.engine.health()["problems"] == [{"code": "training.device_lost", "values": {"device": "cuda:0"}}]
    assert house.engine.alive()
    slot._lost.clear()  # as in the next process
    house.step(9)
    for run_id in (first, second):
        house.until(run_id, "finished")


def test_the_next_server_takes_up_what_a_failed_device_interrupted(house: House) -> None:
    house.fake.wrong = {"x": TrainingError("training.device_failed", device="cuda:0", step=0)}
    house.engine.start()
    run_id = house.submit("x")
    house.step()
    house.until(run_id, "interrupted")
    house.restart()
    assert house.engine.resumed == (run_id,)
    house.step(9)
    house.until(run_id, "finished")


def test_a_run_waits_while_another_process_trains_on_its_device(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("core.drive._training", lambda: house.fake)
    house.engine = Engine(house.workspace, house.store, "cpu")
    hold = slot.take(house.workspace, "cpu")
    assert hold is not None
    house.engine.start()
    run_id = house.submit("patient")
    wait(lambda: house.engine.wait(run_id).why == "taken", "nobody noticed")
    assert house.store.run(run_id).state == "queued"
    hold.release()
    house.step(9)
    house.until(run_id, "finished")
    assert caplog.text == ""


def test_only_one_engine_serves_a_workspace(house: House) -> None:
    house.engine.start()
    other = RunStore(house.workspace)
    with pytest.raises(StoreError, match="Another Thaw server"):
        Engine(house.workspace, other, train=house.fake).start()
    other.close()


def test_two_devices_work_side_by_side_and_one_device_never_twice(house: House) -> None:
    house.engine = Engine(house.workspace, house.store, "cuda:0", train=house.fake)
    house.engine.start()
    one, two, three = house.submit("one"), house.submit("two", device="cuda:1"), house.submit("three", device="cuda:0")
    house.until(one, "running")
    house.until(two, "running")
    assert house.store.run(three).state == "queued"
    assert house.store.run(one).recipe.device == "cuda:0"
    house.step(9)
    for run_id in (one, two, three):
        house.until(run_id, "finished")
    assert house.fake.most_at_once == 2


def test_two_names_of_one_device_take_turns(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "resolve", lambda name: {"auto": "cpu"}.get(name, name))
    house.engine.start()
    ids = [house.submit("a")]
    house.until(ids[0], "running")
    ids += [house.submit("b", device="cpu"), house.submit("c")]
    time.sleep(0.2)  # the other lane has had its chance
    assert house.store.run(ids[1]).state == "queued"
    house.step(9)
    for run_id in ids:
        house.until(run_id, "finished")
    assert house.fake.most_at_once == 1


def test_the_curve_of_a_live_run_is_there_before_it_is_on_the_disk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.drive.COMMIT_SECONDS", 1e9)
    house.engine.start()
    run_id = house.submit("live")
    house.until(run_id, "running")
    wait(lambda: house.engine.curve(run_id).rev >= 5, "no points")
    assert [event.kind for _, event in house.store.events(run_id)] == ["started"]
    assert house.engine.state(run_id).stage in {"training", "validating"}
    house.step(3)
    house.until(run_id, "finished")
    curve = house.engine.curve(run_id)
    wait(lambda: not house.engine._views.of(run_id).live, "still live")
    assert curve.done
    steps = [event.step for _, event in house.store.events(run_id) if isinstance(event, StepDone)]
    assert house.engine.curve(run_id).since(-1, "")["rev"] == len(steps)


def test_the_curve_of_a_run_in_another_process_grows_as_it_is_written(house: House) -> None:
    house.engine.start()
    other = RunStore(house.workspace)
    run = other.create(Recipe(name="elsewhere"))
    other.transition(run.id, "running")
    point = StepDone(step=1, epoch=1, loss=1.0, correct=0, images=1, lr=0.1)
    other.append(run.id, [point])
    curve = house.engine.curve(run.id)
    assert (curve.rev, curve.done) == (1, False)
    other.append(run.id, [point.model_copy(update={"step": 2})])
    other.append(run.id, [Ended(outcome="finished")])
    assert house.engine.curve(run.id) is curve
    assert (curve.rev, curve.done) == (2, True)
    assert house.engine.state(run.id).state == "finished"
    other.close()


def test_an_unknown_run_is_named(house: House) -> None:
    for ask in (house.engine.state, house.engine.curve, house.engine.resume):
        with pytest.raises(StoreError, match="no run called"):
            ask("0" * 26)


def test_an_end_that_could_not_be_written_is_written_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    append, full = house.store.append, [True]

    def sometimes(run_id: str, events: list[Event], **more: object) -> int:
        if full[0]:
            raise StoreError("store.full", path="p", reason="no space")
        return append(run_id, events, **more)

    monkeypatch.setattr(house.store, "append", sometimes)
    house.engine.start()
    run_id = house.submit("x")
    wait(lambda: run_id in house.engine._unsaid, "nothing was kept")
    assert house.store.run(run_id).state == "running"
    full[0] = False
    house.until(run_id, "paused")
    assert house.store.run(run_id).error == ("store.full", {"path": "p", "reason": "no space"})


def test_an_end_that_any_error_kept_from_being_written_is_written_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, broken = house.store.append, [True]

    def sometimes(run_id: str, events: list[Event], **more: object) -> int:
        if broken[0]:
            raise OSError(24, "too many open files")
        return append(run_id, events, **more)

    monkeypatch.setattr(house.store, "append", sometimes)
    house.engine.start()
    run_id = house.submit("x")
    wait(lambda: run_id in house.engine._unsaid, "nothing was kept")
    broken[0] = False
    house.until(run_id, "failed")
    assert house.store.run(run_id).error == ("internal.error", {"name": "OSError", "log": "-"})


def test_a_run_that_could_not_be_taken_at_first_is_not_failed_while_it_works(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    transition, busy = house.store.transition, [True]

    def sometimes(run_id: str, new: State, **more: object) -> bool:
        if busy.pop() if busy else False:
            raise StoreError("store.busy", path="p")
        return transition(run_id, new, **more)

    monkeypatch.setattr(house.store, "transition", sometimes)
    house.engine.start()
    run_id = house.submit("x")
    house.until(run_id, "running")
    house.engine._say_again()  # as the idle thread of another device does
    house.step(3)
    house.until(run_id, "finished")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority per thread")
def test_the_thread_that_trains_lets_pages_go_first(house: House) -> None:
    seen: list[int] = []
    monitor = house.fake.__call__

    def train(recipe: Recipe, **more: object) -> Talk:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return monitor(recipe, **more)

    house.engine = Engine(house.workspace, house.store, train=train)
    house.engine.start()
    run_id = house.submit("x", steps=1)
    house.step()
    house.until(run_id, "finished")
    assert seen == [min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)] or seen == [10]


def test_an_engine_that_waits_has_not_loaded_torch(tmp_path: Path) -> None:
    script = f"""
import sys, time
from core.engine import Engine
from core.store import RunStore
from core.workspace import open_workspace
workspace = open_workspace({str(tmp_path)!r})
engine = Engine(workspace, RunStore(workspace))
engine.start()
time.sleep(0.2)
assert engine.alive() and engine.queue() == ()
assert engine.shutdown()
print([name for name in ("torch", "streamlit", "pandas", "PIL") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_run_is_queued_with_the_version_of_its_data_set(house: House, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(8):
        file = tmp_path / "pets" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(file)
    data = import_dataset(tmp_path / "pets", house.workspace)
    plain = house.engine.submit(Recipe(dataset=data.id))
    decide(data, "exclude", [data.items[0].sha256])
    later = house.engine.submit(Recipe(dataset=data.id))
    version = open_dataset(house.workspace, data.id).version
    assert house.store.run(plain).recipe.dataset == data.id
    assert house.store.run(later).recipe.dataset == f"{data.id}@{version}"
