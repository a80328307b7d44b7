"""Engine: a queue and one thread per device. Takes queued runs in their order and drives them; owned by one server process.

Pages hand in recipes and commands and read plain data back; nothing else crosses. Imports no torch: its threads do, when
they have something to train.
"""

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from core import slot, vitals
from core.allocator import give_back
from core.drive import Train, drive, settled
from core.errors import StoreError, ThawError
from core.events import Command, Discard, Ended, Event, Interrupt, Notice, Pause, StepDone, Stop
from core.history import Curve, RunState
from core.recipe import Recipe
from core.room import check_room
from core.slot import resolve
from core.store import ACTIVE, RESUMABLE, Run, RunStore
from core.threads import set_threads
from core.views import View, Views
from core.workspace import Workspace

IDLE_SECONDS = 2.0
"""Between two looks at what other processes have left in the queue."""
FAULTY_SECONDS = 10.0
"""Longest rest of a thread that fails again and again, as where the workspace is gone: its log should not fill a disk."""
WATCH_SECONDS = 2.0
"""Between two looks at the threads that train."""
COPY_SECONDS = 60.0
"""Between two looks whether a copy of the database is due; the first comes so long after the start."""

logger = logging.getLogger("thaw.engine")


class Engine:
    """Trains the queued runs of one workspace, as its only server.

    `train` is what carries a recipe out, by default `core.training.train`.
    """

    def __init__(self, workspace: Workspace, store: RunStore, device: str = "auto", *, train: Train | None = None) -> None:
        self.workspace = workspace
        self.store = store
        self.device = device
        self._train = train
        self._wake = threading.Condition()
        self._lanes: dict[str, _Lane] = {}
        self._started = self._closing = False
        self._views = Views(store)
        self._unsaid: dict[str, Ended] = {}
        self._watcher: threading.Thread | None = None
        self._over = threading.Event()
        self.resumed: tuple[str, ...] = ()
        """Runs that the last server left and that this one has taken up."""
        self.given_up: tuple[str, ...] = ()
        """Runs that came to no new checkpoint in several attempts: a person has to look."""

    # --- life

    def start(self) -> None:
        """Mark what a dead server was running as interrupted, queue that again in front, take over its queue, and begin.

        Raises StoreError (`store.served`) if another process serves this workspace.
        """
        self.store.serve()
        self.store.recover()
        resumed, given_up = self.store.take_over()
        self.resumed, self.given_up = tuple(resumed), tuple(given_up)
        if resumed or given_up:
            logger.info("%d runs resumed, %d given up", len(resumed), len(given_up))
        self._started = True
        self._open_lanes()
        self._watcher = threading.Thread(target=self._watch, name="engine-watch", daemon=True)
        self._watcher.start()

    def alive(self) -> bool:
        """True while every thread of the engine lives."""
        return self._started and not self._closing and all(lane.thread.is_alive() for lane in list(self._lanes.values()))

    def health(self) -> dict[str, Any]:
        """Plain data: `ok`, and in `problems` the code and values of the two sentences of each thing that is not.

        `engine.dead` (no thread for a device), `engine.stalled` (a run is silent for too long: hung), `training.device_lost`
        (a GPU failed: what waits for it waits for the next server).
        """
        problems: list[dict[str, Any]] = [
            {"code": "training.device_lost", "values": {"device": device}} for device in slot.lost()
        ]
        for lane in list(self._lanes.values()) if self._started and not self._closing else ():
            if not lane.thread.is_alive():
                problems.append({"code": "engine.dead", "values": {"device": lane.name}})
            elif lane.pulse.stalled:
                values = {"run": lane.pulse.run, "seconds": round(lane.pulse.silent_seconds()), "step": lane.pulse.step}
                with suppress(StoreError):
                    values["run"] = self.store.run(lane.pulse.run).name
                problems.append({"code": "engine.stalled", "values": values, "run": lane.pulse.run})
        return {"ok": not problems, "problems": problems}

    def shutdown(self, timeout: float = 8.0) -> bool:
        """Interrupt what runs and wait until it has saved itself; True if all ended within `timeout` seconds.

        What waits stays queued for the next start.
        """
        end = time.monotonic() + timeout
        self._over.set()
        with self._wake:
            self._closing = True
            for lane in self._lanes.values():
                lane.asked.append(Interrupt())
            self._wake.notify_all()
            lanes = list(self._lanes.values())
        for lane in lanes:
            lane.thread.join(max(end - time.monotonic(), 0.0))
        if self._watcher:
            self._watcher.join(max(end - time.monotonic(), 0.1))
        return not any(lane.thread.is_alive() for lane in lanes)

    # --- what pages ask for

    def submit(self, recipe: Recipe, *, owner: str = "") -> str:
        """Queue a new run of the person `owner`, on the newest version of its data set; gives its id."""
        from core.dataset import pinned

        if recipe.device == "auto" and self.device != "auto":
            recipe = recipe.changed(device=self.device)
        recipe = recipe.changed(dataset=pinned(self.workspace, recipe.dataset))
        if self._train is None:
            check_room(recipe, self.workspace)
        run = self.store.create(recipe, owner=owner)
        self._call()
        return run.id

    def resume(self, run_id: str) -> None:
        """Queue a run that was paused, interrupted or stopped, or that failed; it goes on from its last checkpoint.

        Raises StoreError as `RunStore.requeue`, and `run.no_space`, `run.no_memory`.
        """
        if self._train is None:
            check_room(self.store.run(run_id).recipe, self.workspace)
        self.store.requeue(run_id)
        self._call()

    def send(self, run_id: str, command: Command) -> None:
        """Tell a run something: one at work hears it within a step, one that waits obeys at once.

        Stopping a run that waits with a checkpoint tests its best weights, as soon as the device is free.
        Raises StoreError (`run.unknown`, `run.not_waiting`).
        """
        run = self.store.run(run_id)
        if run.state == "running" or not self._obey(run, command):
            self.store.send(run_id, command)

    def queue(self) -> tuple[str, ...]:
        """Ids of the runs that wait here, the next one first."""
        return tuple(self.store.adopt())

    def move(self, run_id: str, places: int) -> None:
        """As `RunStore.move`."""
        self.store.move(run_id, places)
        self._call()

    def wait(self, run_id: str) -> "Wait":
        """What a run in the queue waits for. Raises StoreError (`run.unknown`)."""
        queue, name = self.queue(), self._lane_name(self.store.run(run_id))
        place = queue.index(run_id) + 1 if run_id in queue else 0
        lane = self._lanes.get(name)
        if slot.is_lost(name):
            return Wait(place, "lost", resolve(name), "")
        if lane and lane.taken and not lane.pulse.run:
            return Wait(place, "taken", resolve(name), "")
        return Wait(place, "turn", name, lane.pulse.run if lane else "")

    def curve(self, run_id: str) -> Curve:
        """The points of a run, up to the last step if it runs here. Raises StoreError (`run.unknown`)."""
        state = self.store.run(run_id).state  # first: a run that has ended has written all its points
        curve = self._views.of(run_id).history.curve
        curve.done = state not in ACTIVE
        return curve

    def state(self, run_id: str) -> RunState:
        """How a run stands. Raises StoreError (`run.unknown`)."""
        state = self.store.run(run_id).state
        return self._views.of(run_id).state(state)

    def _obey(self, run: Run, command: Command) -> bool:
        """Do to a run that waits what it was told; False if it is not waiting or has begun meanwhile."""
        saved = self.store.last_checkpoint(run.id) if isinstance(command, Stop) else None
        if saved and run.state in {"queued", "paused", "interrupted"}:
            if run.state != "queued":
                self.store.requeue(run.id)
            self.store.send(run.id, command)
            self._call()
            return True
        if isinstance(command, Pause) and run.state == "queued":
            return self._end(run, "paused")
        if isinstance(command, Discard) or (isinstance(command, Stop) and run.state in {"queued", "paused", "interrupted"}):
            if run.state != "queued" and run.state not in RESUMABLE:
                return False
            if self._end(run, "discarded"):
                self.store.wipe(run.id)
                return True
        return False

    def _end(self, run: Run, outcome: str) -> bool:
        ended = Ended.model_validate(
            {
                "outcome": outcome,
                "step": run.step,
                "epoch": run.epoch,
                "best_epoch": run.best_epoch,
                "reason": "user",
                "clock": run.seconds,
            }
        )
        return self.store.end(run.id, ended, states={run.state})

    # --- threads

    def _call(self) -> None:
        if self._started and not self._closing:
            self._open_lanes()
        with self._wake:
            self._wake.notify_all()

    def _lane_name(self, run: Run) -> str:
        return self.device if run.recipe.device == "auto" else run.recipe.device

    def _waiting(self) -> list[Run]:
        return [self.store.run(run_id) for run_id in self.store.adopt()]

    def _open_lanes(self) -> None:
        """A thread for each device that a waiting run asks for, and one at least."""
        names = {self.device, *(self._lane_name(run) for run in self._waiting())}
        with self._wake:
            for name in names - self._lanes.keys():
                lane = self._lanes[name] = _Lane(name)
                lane.thread = threading.Thread(target=self._work, args=(lane,), name=f"engine-{name}", daemon=True)
                lane.thread.start()

    def _watch(self) -> None:
        """The life of the thread that looks after the others, and after the copies of the database."""
        looked = time.monotonic()
        while not self._over.wait(WATCH_SECONDS):
            try:
                for lane in list(self._lanes.values()):
                    self._look_at(lane)
                if time.monotonic() - looked >= COPY_SECONDS:
                    looked = time.monotonic()
                    self.store.keep_copy()
            except Exception as error:
                logger.exception("looking after the engine failed", exc_info=error)

    def _look_at(self, lane: "_Lane") -> None:
        """A thread that has died is replaced, and its run told failed; one that hangs is named once, with its stack."""
        run = lane.pulse.run
        if not lane.thread.is_alive() and not self._closing:
            logger.error("the thread of %s has died", lane.name)
            with self._wake:
                self._lanes.pop(lane.name, None)
            if run:
                self.store.end(
                    run, Ended(outcome="failed", step=lane.pulse.step, code="engine.thread_died"), states={"running"}
                )
            self._open_lanes()
        elif lane.pulse.stalled and run and lane.told != (run, lane.pulse.last):
            lane.told = (run, lane.pulse.last)
            seconds = round(lane.pulse.silent_seconds())
            log = vitals.write_stacks(self.store.folder(run))
            logger.error("the run %s has been silent for %d s; see %s", run, seconds, log)
            self.store.append(run, [Notice(code="engine.stalled", values={"seconds": seconds, "log": log})])

    def _work(self, lane: "_Lane") -> None:
        """The life of one thread. Nothing that happens in a run ends it."""
        _be_nice()
        faults = 0
        while not self._closing:
            try:
                if not self._one(lane):
                    with self._wake:
                        if not self._closing:
                            self._wake.wait(IDLE_SECONDS)
                    self._say_again()
                    self._open_lanes()
                faults = 0
            except BaseException as error:
                logger.exception("a run ended unexpectedly", exc_info=error)
                faults += 1
                with self._wake:
                    self._wake.wait(min(0.05 * 2**faults, FAULTY_SECONDS))

    def _one(self, lane: "_Lane") -> bool:
        """Drive the first run that waits for this device; False if there is none."""
        run = next((run for run in self._waiting() if self._lane_name(run) == lane.name), None)
        if run is None or slot.is_lost(lane.name) or not self._device_free(lane):
            return False
        view: View | None = None
        try:
            set_threads(interactive=True)  # before torch is imported for the first time
            self._unsaid.pop(run.id, None)  # it was never taken, then: it waits
            view = self._views.of(run.id, live=True)
            lane.pulse.begin(run.id)
            watch = partial(_both, view.feed, lane.hear)
            done = drive(self.store, run.id, train=self._train, watch=watch, asked=lane.take) is not None
            lane.taken = False
            return done
        except Exception as error:
            if isinstance(error, StoreError) and error.code == "run.device_taken":
                lane.taken = True
                return False
            self._unsaid[run.id] = _failed(error)
            raise
        finally:
            lane.busy = False
            lane.pulse.end()
            give_back()
            if view:
                view.rest(self.store.last_seq(run.id))
            with self._wake:
                self._wake.notify_all()

    def _device_free(self, lane: "_Lane") -> bool:
        """Take the device, unless a lane of another name (`auto`, `cuda`) is at work on the same one."""
        others = [other for other in list(self._lanes.values()) if other is not lane]
        devices = {other.name: resolve(other.name) for other in others} if others else {}
        mine = resolve(lane.name) if others else lane.name
        with self._wake:
            lane.busy = not any(other.busy and devices[other.name] == mine for other in others)
            return lane.busy

    def _say_again(self) -> None:
        """Ends that a full disk kept from being written."""
        for run_id, ended in list(self._unsaid.items()):
            with suppress(Exception):  # then it is said the next time
                self.store.end(run_id, ended, states={"running"})
                del self._unsaid[run_id]


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a run is not at work yet."""

    place: int
    """In the queue, 1 is next; 0 if it does not wait here."""
    why: Literal["turn", "lost", "taken"]
    """It is not its turn; its device failed; another process trains there."""
    device: str
    """As its recipe or the server calls it."""
    at_work: str
    """Id of the run that this server trains there; '' if there is none."""


@dataclass(eq=False)
class _Lane:
    """One device and its thread."""

    name: str
    thread: threading.Thread = field(init=False)
    busy: bool = False
    taken: bool = False
    """Another process of the workspace trains on the device."""
    asked: deque[Command] = field(default_factory=deque)
    """Commands for whatever runs here."""
    pulse: vitals.Pulse = field(default_factory=vitals.Pulse)
    told: tuple[str, float] | None = None
    """The silence that was spoken of: a run, and when it was last heard."""

    def hear(self, event: Event) -> None:
        self.pulse.beat(event.step if isinstance(event, StepDone) else None)

    def take(self) -> Sequence[Command]:
        return [self.asked.popleft()] if self.asked else ()


def _both(first: Callable[[Event], None], second: Callable[[Event], None], event: Event) -> None:
    first(event)
    second(event)


def _failed(error: Exception) -> Ended:
    if isinstance(error, ThawError):
        return settled(Ended(outcome="failed", code=error.code, values=error.values))
    return Ended(outcome="failed", code="internal.error", values={"name": type(error).__name__, "log": "-"})


def _be_nice() -> None:
    """Pages go first: this thread, and those that it starts, wait for them. Only Linux can say so of a thread."""
    if sys.platform == "linux":
        with suppress(PermissionError):  # a container may forbid it; then the pages are merely slower
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
