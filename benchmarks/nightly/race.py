"""Race: fifty starts at one moment, in the server and beside it. One run lives on each device, the others wait.

The training is pretended, so that all there is to see is who begins when; store, engine, slots and threads are real.
"""

import threading
import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.nightly.proof import Proof, many
from core import drive as driving
from core import slot
from core.engine import Engine
from core.errors import StoreError
from core.events import Command, Ended, Event, Started, StepDone
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import Workspace, open_workspace

TURNS, STARTS, BESIDE = 20, 50, 6
DEVICES = ("cpu", "auto", "cuda:1")
STEPS = 3
SECONDS = 240.0


class Pretended:
    """A training that stops before its first step until `go`, and notes who is at work at the same time."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.most: Counter[str] = Counter()
        """Runs at one moment, by device."""
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, recipe: Recipe, **_: Any) -> Generator[Event, Command | None, None]:
        device = slot.resolve(recipe.device)
        with self._lock:
            self._now[device] += 1
            self.most[device] = max(self.most[device], self._now[device])
        try:
            yield Started(
                device=device, precision="fp32", threads=1, versions={}, fingerprint="", classes=(), splits={},
                parameters_total=0, parameters_trainable=0, groups=(), held=(), steps_per_epoch=STEPS, epochs=1, step=0,
            )  # fmt: skip
            self.go.wait(SECONDS)
            for step in range(1, STEPS + 1):
                yield StepDone(step=step, epoch=1, loss=1.0, correct=0, images=1, lr=0.1)
            yield Ended(outcome="finished", step=STEPS)
        finally:
            with self._lock:
                self._now[device] -= 1


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """So many races of fifty."""
    proof = Proof("race", {"races": 0, "starts": 0, "waited_beside": 0})
    for number in range(many(TURNS, scale)):
        pretended = Pretended()
        with mock.patch.object(driving, "_training", lambda pretended=pretended: pretended):
            _race(open_workspace(folder / str(number)), pretended, proof)
        proof.figures["races"] += 1
        proof.figures["starts"] += STARTS + BESIDE
        if proof.faults:
            break
    return proof


def _race(workspace: Workspace, pretended: Pretended, proof: Proof) -> None:
    store = RunStore(workspace)
    engine = Engine(workspace, store)
    engine.start()
    line = threading.Barrier(STARTS + BESIDE)
    recipes = [Recipe(name=str(n), device=DEVICES[n % len(DEVICES)]) for n in range(STARTS + BESIDE)]

    def start(number: int) -> str:
        line.wait(SECONDS)
        return engine.submit(recipes[number])

    with ThreadPoolExecutor(STARTS + BESIDE) as people:
        inside = [people.submit(start, number) for number in range(STARTS)]
        outside = [people.submit(_beside, workspace, line, recipe, proof) for recipe in recipes[STARTS:]]
        ids = [future.result() for future in inside]
        _one_lives(store, set(map(slot.resolve, DEVICES)), proof)
        pretended.go.set()
        ids += [future.result() for future in outside]
    end = time.monotonic() + SECONDS
    while any(run.state != "finished" for run in store.runs()) and time.monotonic() < end:
        time.sleep(0.01)
    engine.shutdown()
    _each_once(store, ids, pretended, proof)
    store.close()


def _beside(workspace: Workspace, line: threading.Barrier, recipe: Recipe, proof: Proof) -> str:
    """The start of another process, which tries until the device is free."""
    store = RunStore(workspace)
    line.wait(SECONDS)
    run = store.create(recipe)
    while store.run(run.id).state == "queued":
        try:
            driving.drive(store, run.id)
        except StoreError as error:
            if error.code != "run.device_taken":
                proof.faults.append(f"{error.code}: {error}")
                break
            proof.figures["waited_beside"] += 1
            time.sleep(0.01)
    store.close()
    return run.id


def _one_lives(store: RunStore, devices: set[str], proof: Proof) -> None:
    """Before the first has ended: one on each device is at work, the others wait."""
    end = time.monotonic() + SECONDS
    while len(live := [run for run in store.runs() if run.state == "running"]) < len(devices) and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.1)  # one too many would begin now
    states = Counter(run.state for run in store.runs())
    found = sorted(slot.resolve(run.recipe.device) for run in live)
    if found != sorted(devices) or states["running"] != len(devices) or states.keys() - {"running", "queued"}:
        proof.faults.append(f"at work: {found}; {dict(states)}")


def _each_once(store: RunStore, ids: list[str], pretended: Pretended, proof: Proof) -> None:
    """Nothing was lost, nothing done twice."""
    if set(pretended.most.values()) != {1}:
        proof.faults.append(f"at one moment: {dict(pretended.most)}")
    if sorted(run.id for run in store.runs()) != sorted(ids) or len(ids) != STARTS + BESIDE:
        proof.faults.append(f"{len(ids)} were started, {len(store.runs())} are there")
    for run_id in ids:
        told = [
            (event.kind, event.step) for _, event in store.events(run_id) if isinstance(event, Started | StepDone | Ended)
        ]
        if told != [("started", 0), *(("step", step) for step in range(1, STEPS + 1)), ("ended", STEPS)]:
            proof.faults.append(f"{run_id} says {told}")
