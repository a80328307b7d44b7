"""A run that cannot go on says why, and what became of it while nobody looked is said once."""

import shutil
from collections import namedtuple
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from streamlit.testing.v1 import AppTest

from core import slot
from core.engine import Wait
from core.errors import StoreError
from core.events import Ended, Memory, Saved, Started, StepDone
from core.recipe import Recipe
from core.run import Run
from core.words import catalogue
from core.workspace import Workspace
from ui import services
from ui.access import of_request
from ui.text import time_in

Draw = Callable[..., AppTest]
Usage = namedtuple("Usage", "total used free")
ENGLISH = catalogue("en")


@pytest.fixture(autouse=True)
def nothing_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "_lost", set())


def begun(step: int = 0, *, epochs: int = 10, clock: float = 0.0) -> Started:
    return Started(
        device="cpu", precision="fp32", threads=1, versions={}, fingerprint="f", classes=("a", "b"),
        splits={"train": 24, "val": 3, "test": 3}, groups=(), parameters_total=10, parameters_trainable=10, held=(),
        steps_per_epoch=100, epochs=epochs, step=step, clock=clock,
    )  # fmt: skip


def done(step: int, clock: float = 1.0) -> StepDone:
    return StepDone(step=step, epoch=1, loss=0.5, correct=1, images=2, lr=0.1, clock=clock)


def make(dataset: str, name: str, *, running: bool = False, owner: str = "") -> Run:
    store = services.store()
    run = store.create(Recipe(dataset=dataset, backbone="thaw-small", image_size=32, batch_size=64, name=name), owner=owner)
    if running:
        assert store.transition(run.id, "running")
    return store.run(run.id)


def waiting(at: AppTest) -> str:
    (bar,) = at.get("progress")
    return str(bar.proto.text).replace("\\", "")


def captions(at: AppTest) -> str:
    return "\n".join(one.value for one in at.caption)


def ahead(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """The server trains `run` on the device that the others wait for."""
    wait = Wait(2, "turn", "cpu", run.id)
    monkeypatch.setattr(services.engine(), "wait", lambda run_id: wait)


def test_a_run_that_waits_says_who_trains_and_until_when(flowers: str, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(flowers, "first", running=True), make(flowers, "second")
    ahead(monkeypatch, first)
    assert waiting(draw("train", run=second.id)) == ENGLISH["train.live.queued"].format(place=2)
    services.store().append(first.id, [begun(), done(1), done(100, clock=10.0)])  # 900 are left, at 0.1 s each
    expected = {time_in(90 + more) for more in (-60, 0, 60)}
    said = waiting(draw("train", run=second.id))
    assert any(said == f"Waiting: place 2 in the queue. first is training until about {time}." for time in expected)


@pytest.mark.usefixtures("cheap")
def test_of_another_person_the_name_is_said_and_not_that_of_the_run(
    house: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = services.access().accounts
    ann, bob = accounts.add("Ann", "correct horse battery"), accounts.add("Bob", "correct horse battery")
    theirs, mine = make("demo:digits", "secret", running=True, owner=ann.id), make("demo:digits", "mine", owner=bob.id)
    ahead(monkeypatch, theirs)
    mark = of_request.set(bob)
    assert services.turn(mine.id).who == "Ann"
    of_request.set(ann)
    with pytest.raises(StoreError):
        services.turn(mine.id)
    assert services.turn(theirs.id).who == "secret"
    of_request.reset(mark)


def test_a_run_that_waits_for_a_lost_device_or_another_process_says_that(
    flowers: str, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(flowers, "x")
    monkeypatch.setattr(services.engine(), "wait", lambda run_id: Wait(1, "taken", "cpu", ""))
    assert waiting(draw("train", run=run.id)) == "Waiting: another Thaw process is training on the device cpu."
    monkeypatch.undo()
    monkeypatch.setattr(slot, "_lost", {"cpu"})
    assert waiting(draw("train", run=run.id)) == "Waiting: the device cpu failed. It goes on once Thaw is restarted."


def test_an_interruption_is_said_with_its_steps(flowers: str, draw: Draw) -> None:
    run, store = make(flowers, "x", running=True), services.store()
    store.append(run.id, [begun(), done(812), Ended(outcome="interrupted", step=812)])
    assert "it went on from" not in captions(draw("train", run=run.id))
    assert store.transition(run.id, "queued")
    assert store.transition(run.id, "running")
    store.append(run.id, [begun(810, clock=2.0), done(811, clock=3.0)])
    assert "Interrupted at step 812; it went on from step 810." in captions(draw("train", run=run.id))


def test_a_batch_that_did_not_fit_is_said_with_its_parts(flowers: str, draw: Draw) -> None:
    run = make(flowers, "x", running=True)
    services.store().append(run.id, [begun(), Memory(step=0, images_at_once=32), done(1)])
    said = captions(draw("train", run=run.id))
    assert "Batch 64 did not fit; continuing with 32 × 2 (same result; batch-norm statistics see 32)." in said


def test_a_disk_nearly_full_is_said_while_a_run_is_at_work(
    flowers: str, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(flowers, "x", running=True)
    saved = Saved(step=1, epoch=1, file="a", sha256="s", size_bytes=300 * 2**20, best=False)
    services.store().append(run.id, [begun(), done(1), saved])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 0, 350_000_000))
    (banner,) = draw("train", run=run.id).warning
    assert banner.value.startswith("Only 350 MB are free on the disk.")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 0, 2**30))
    assert not draw("train", run=run.id).warning
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 0, 0))
    services.store().append(run.id, [Ended(outcome="paused", step=1)])
    assert not draw("train", run=run.id).warning


def page() -> None:
    from ui.parts import hindrance

    hindrance.left_behind()


def test_what_became_of_the_runs_of_the_last_server_is_said_once_in_a_tab(house: Workspace) -> None:
    engine, store = services.engine(), services.store()
    again, lost, since = make("demo:digits", "a"), make("demo:digits", "b", running=True), make("demo:digits", "c")
    store.append(lost.id, [Ended(outcome="failed", code="run.no_progress", values={"run": "b", "n": 3})])
    engine.resumed, engine.given_up = (again.id,), (lost.id,)
    at = AppTest.from_function(page).run()
    one = [ENGLISH["notice.engine.resumed.one"], ENGLISH["notice.engine.given_up.one"]]
    assert [toast.value for toast in at.toast] == one
    assert not at.run().toast
    engine.resumed = (again.id, since.id)
    assert AppTest.from_function(page).run().toast[0].value == ENGLISH["notice.engine.resumed"].format(n=2)
    engine.resumed = engine.given_up = ()
    assert not AppTest.from_function(page).run().toast


def test_a_time_of_another_day_has_its_date() -> None:
    soon, late = datetime.now().astimezone(), datetime.now().astimezone() + timedelta(days=2)
    assert time_in(0) in {soon.strftime("%H:%M"), (soon + timedelta(seconds=5)).strftime("%H:%M")}
    assert time_in(2 * 86400).startswith(late.strftime("%Y-%m-%d "))
