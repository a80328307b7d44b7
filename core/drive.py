"""One attempt at one run: drain the generator of events into the store, and hand commands back through the same door.

Knows the store and the shape of `train`; nothing of threads, queues, terminals or torch.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Protocol

from core import log, process, slot
from core.errors import StoreError, ThawError
from core.events import Command, Ended, Event, Measuring, Notice, Pause, Preparing, Replanned, Saved, StepDone
from core.heavy import load_torch
from core.locks import Hold
from core.pace import Stopwatch
from core.recipe import Recipe
from core.room import check_room
from core.store import Run, RunStore
from core.workspace import Workspace

COMMIT_SECONDS = 0.5
COMMIT_EVENTS = 500
"""Steps are written together, at least this often; everything else at once. A crash loses at most so much of a curve."""
LOOK_SECONDS = 0.2
"""Between two looks for commands."""
NO_SPACE = frozenset(
    {"checkpoint.disk_full", "store.full", "run.no_space", "run.no_memory", "data.disk_full", "data.no_space"}
)
"""Failures that are none: the run waits until there is space again."""
NO_DEVICE = frozenset({"training.device_failed", "training.device_lost"})
"""Failures of the machine: the run is taken up again by the next process."""


class Train(Protocol):
    """The shape of `core.training.train`, the one that is used where no other is given."""

    def __call__(
        self,
        recipe: Recipe,
        *,
        workspace: Workspace,
        folder: Path,
        resume: Path | None = None,
        edits: Sequence[Replanned] = (),
    ) -> Generator[Event, Command | None, None]:
        """Events out, commands in."""
        ...


def drive(
    store: RunStore,
    run_id: str,
    *,
    train: Train | None = None,
    watch: Callable[[Event], None] = lambda event: None,
    asked: Callable[[], Sequence[Command]] = tuple,
    clock: Callable[[], float] = time.monotonic,
) -> Ended | None:
    """Carry out a queued run from its last checkpoint to its `Ended`; None if somebody else has taken it.

    `watch` sees every event after it was taken down. `asked` gives commands besides those left in the store. A full disk
    pauses the run, with the failure's two sentences; one that has no room is not begun. A device that fails interrupts it.
    What goes wrong unexpectedly is written to the run's log and ends the run as failed. If the store itself fails, so that
    the end cannot be written, raises StoreError; also if another process trains on the device (`run.device_taken`): then
    the run goes on waiting. KeyboardInterrupt and the like end the run as interrupted and are raised again.
    """
    run = store.run(run_id)
    with take_slot(store, run.recipe.device) if train is None else nullcontext():
        return _attempt(store, run, train, watch, asked, clock)


def take_slot(store: RunStore, device: str) -> Hold:
    """The right to train on `device`. Raises StoreError (`run.device_taken`), naming the run that is trained there."""
    hold = slot.take(store.workspace, device)
    if hold is None:
        name = slot.resolve(device)
        there = (run.name for run in store.runs(states={"running"}) if slot.resolve(run.recipe.device) == name)
        raise StoreError("run.device_taken", device=name, run=next(there, "–"))
    return hold


def _attempt(
    store: RunStore,
    run: Run,
    train: Train | None,
    watch: Callable[[Event], None],
    asked: Callable[[], Sequence[Command]],
    clock: Callable[[], float],
) -> Ended | None:
    run_id = run.id
    if not store.transition(run_id, "running", allowed={"queued"}):
        return None
    folder = store.workspace.runs / run.id
    taker, stopwatch = _Taker(store, run_id, clock), Stopwatch(run.recipe, store.workspace)
    limit = _Limit(run.recipe.max_hours, clock)
    ended: Ended | None = None
    try:
        store.folder(run_id)
        if train is None:
            check_room(run.recipe, store.workspace)
        saved = store.last_checkpoint(run_id)
        resume = folder / Path(saved.file).name if saved else None
        for notice in _fallen_back(store, run_id, saved):
            taker.take(notice)
            watch(notice)
        edits = store.edits(run_id)
        events = (train or _training())(run.recipe, workspace=store.workspace, folder=folder, resume=resume, edits=edits)
        with closing(_converse(events, store, run_id, lambda: (*asked(), *limit.commands()), clock)) as told:
            for event in told:
                if isinstance(event, Ended):
                    event = ended = limit.named(settled(event))
                taker.take(event)
                stopwatch.hear(event)
                watch(event)
        if ended is None:
            raise RuntimeError("the training ended without a word")
    except Exception as error:
        if taker.told:  # the end stands; what came after it is for the log alone
            log.record(folder, error)
        else:
            ended = _failure(error, folder, taker)
            taker.end(ended)
            watch(ended)
    except BaseException:
        if not taker.told:
            ended = taker.ended("interrupted", reason="shutdown")
            taker.end(ended)
            watch(ended)
        raise
    if ended is not None and ended.outcome == "discarded":
        store.wipe(run_id)
    return ended


def settled(ended: Ended) -> Ended:
    """An end by a full disk is a pause, and one by a device that failed an interruption."""
    if ended.outcome == "failed" and ended.code in NO_SPACE:
        return ended.model_copy(update={"outcome": "paused"})
    if ended.outcome == "failed" and ended.code in NO_DEVICE:
        return ended.model_copy(update={"outcome": "interrupted", "reason": "device"})
    return ended


class _Limit:
    """Pauses an attempt that has worked for so many hours; 0: never."""

    def __init__(self, hours: float, clock: Callable[[], float]) -> None:
        self._hours, self._clock = hours, clock
        self._end = clock() + 3600 * hours if hours else math.inf
        self._told = False

    def commands(self) -> Sequence[Command]:
        """The command that is due now; it is given once."""
        if self._told or self._clock() < self._end:
            return ()
        self._told = True
        return [Pause()]

    def named(self, ended: Ended) -> Ended:
        """`ended`, with the reason if this was it."""
        if not self._told or ended.outcome != "paused" or ended.code:
            return ended
        return ended.model_copy(update={"reason": "limit", "code": "run.max_hours", "values": {"hours": self._hours}})


def _fallen_back(store: RunStore, run_id: str, used: Saved | None) -> Sequence[Notice]:
    """What is said when the newest checkpoint on record is not the one that can be used."""
    newest = store.newest_saved(run_id)
    if newest is None or newest == used:
        return ()
    if used is None:
        return [Notice(code="run.from_the_start", values={"damaged": newest.file})]
    return [Notice(code="run.older_checkpoint", values={"damaged": newest.file, "used": used.file})]


def _training() -> Train:
    load_torch()
    from core.training import train

    return train


def _converse(
    events: Generator[Event, Command | None, None],
    store: RunStore,
    run_id: str,
    asked: Callable[[], Sequence[Command]],
    clock: Callable[[], float],
) -> Generator[Event, None, None]:
    """The events, one by one; before each next one the oldest command goes in."""
    waiting: deque[Command] = deque()
    looked = clock()
    try:
        event = next(events)
        while True:
            yield event
            now = clock()
            if now - looked >= LOOK_SECONDS:
                waiting.extend(store.take(run_id))
                looked = now
            waiting.extend(asked())
            event = events.send(waiting.popleft() if waiting else None)
    except StopIteration:
        return
    finally:
        events.close()


def _failure(error: Exception, folder: Path, taker: "_Taker") -> Ended:
    known = error if isinstance(error, ThawError) else process.out_of_files(error)
    if known:
        return settled(taker.ended("failed", code=known.code, values=known.values))
    file = log.record(folder, error)
    return taker.ended("failed", code="internal.error", values={"name": type(error).__name__, "log": file})


class _Taker:
    """Takes events down: steps in groups, all others at once; of words on how far something is only the newest."""

    def __init__(self, store: RunStore, run_id: str, clock: Callable[[], float]) -> None:
        self._store, self._run_id, self._clock = store, run_id, clock
        self._kept: list[Event] = []
        self._committed = clock()
        self.told = False
        """The end is in the store."""

    def take(self, event: Event) -> None:
        before = self._kept[-1] if self._kept else None
        if isinstance(event, Preparing | Measuring) and isinstance(before, type(event)):
            self._kept.pop()
        self._kept.append(event)
        late = self._clock() - self._committed >= COMMIT_SECONDS or len(self._kept) >= COMMIT_EVENTS
        if late or not isinstance(event, StepDone | Preparing | Measuring):
            self._commit()

    def ended(self, outcome: str, **details: object) -> Ended:
        """An end where things stand now."""
        steps = [event for event in self._kept if isinstance(event, StepDone)]
        clock = max((event.clock for event in self._kept), default=0.0)
        row = self._store.run(self._run_id)
        return Ended.model_validate(
            {
                "outcome": outcome,
                "step": steps[-1].step if steps else row.step,
                "epoch": row.epoch,
                "best_epoch": row.best_epoch,
                "clock": max(clock, row.seconds),
                **details,
            }
        )

    def end(self, ended: Ended) -> None:
        """Write the end, with what was kept if that is possible. Raises StoreError if even the end cannot be written."""
        self._kept.append(ended)
        try:
            self._commit()
        except StoreError:
            self._kept = [ended]
            self._commit()

    def _commit(self) -> None:
        self._store.append(self._run_id, self._kept)
        self.told = isinstance(self._kept[-1], Ended)
        self._kept = []
        self._committed = self._clock()
