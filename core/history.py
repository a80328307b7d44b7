"""Events to the state of a run: what it does, how far it is, what it has reached. Pure; knows no store and no page.

`History` is fed and grows; a `RunState` read from it is never changed by what comes later.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal, NamedTuple

from core.curve import Curve
from core.events import (
    Ended,
    EpochDone,
    Event,
    Film,
    FirstSteps,
    Glance,
    GroupInfo,
    Kept,
    Measuring,
    Memory,
    Notice,
    Pinned,
    Preparing,
    Readings,
    Replanned,
    Saved,
    Scores,
    Started,
    StepDone,
    Tested,
)
from core.run import State
from core.steps import Steps

__all__ = ["Curve", "History", "Interruption", "RunState", "Stage"]

Stage = Literal["waiting", "preparing", "training", "validating", "testing", "ended"]
RECENT_STEPS = 50
"""Steps over which the present speed is taken."""
COUNTED = {"training.passed_over"}
"""Notices that count something: the newest says it all."""
TRACE = 240
"""Readings of the instruments that are remembered; when there are more, every second one is forgotten."""


class Interruption(NamedTuple):
    """A place at which the run was broken off, and the checkpoint from which it went on, in steps done."""

    at: int
    went_on_from: int


@dataclass(frozen=True, slots=True)
class RunState:
    """One run at one moment."""

    state: State = "queued"
    stage: Stage = "waiting"
    preparing: Preparing | None = None
    """What is being prepared and how much of it is done, while `stage` is preparing."""
    measuring: Measuring | None = None
    """How far validation or test are, while `stage` is validating or testing."""
    epoch: int = 0
    """The epoch at work, 1-based; 0 before the first step."""
    epochs_total: int = 0
    step: int = 0
    steps_total: int = 0
    fraction: float = 0.0
    """Steps done of all, in [0, 1]; 1 once the run has finished, however early."""
    images_per_second: float | None = None
    """Of the last steps, validation left out."""
    seconds: float = 0.0
    """Of work so far."""
    seconds_left: float | None = None
    """If the rest goes as the part since the last start, validation included."""
    loss: float | None = None
    """Of the last step."""
    lr: float | None = None
    epochs: tuple[EpochDone, ...] = ()
    best: EpochDone | None = None
    started: Started | None = None
    """Device, classes, splits, parameters and versions of the last start."""
    groups: tuple[GroupInfo, ...] = ()
    """As they learn now."""
    first_groups: tuple[GroupInfo, ...] = ()
    """As they learned in the first step."""
    trainable: int = 0
    """Numbers that learn now."""
    edits: tuple[Replanned, ...] = ()
    """What was changed on the way, by a person or by the timeline; the last one says what holds now."""
    first_steps: FirstSteps | None = None
    kept: Kept | None = None
    """What of the frozen blocks is remembered now."""
    glance: Glance | None = None
    images_at_once: int | None = None
    """Where memory did not suffice for a whole batch."""
    readings: tuple[Readings, ...] = ()
    """Of the instruments, oldest first, the last one always among them."""
    films: tuple[Film, ...] = ()
    """One an epoch."""
    notices: tuple[Notice, ...] = ()
    pins: tuple[Pinned, ...] = ()
    """Moments that a person has kept, those included that were let go since."""
    saved: Saved | None = None
    tested: Tested | None = None
    scores: Scores | None = None
    """Of `tested`."""
    ended: Ended | None = None
    interruptions: tuple[Interruption, ...] = ()
    attempt: int = 1
    """Number of the attempt at work, from 1, or else of the next one."""

    @property
    def epochs_learned(self) -> float:
        """Passes over the training images so far; 1.5 in the middle of the second."""
        return self.step / self.started.steps_per_epoch if self.started else 0.0

    @property
    def edited(self) -> bool:
        """A person has changed what learns, or how fast, while it learned."""
        return any(edit.cause == "person" for edit in self.edits)

    @property
    def best_part(self) -> float:
        """How much of its epoch the best weights had learned, in (0, 1]; less than 1 if the run was stopped within it."""
        if self.best is None or self.started is None:
            return 1.0
        return min(1.0, self.best.step / self.started.steps_per_epoch - (self.best.epoch - 1))


class History:
    """All that one run has said, as far as pages and reports need it. Fed by one thread."""

    def __init__(self) -> None:
        self.curve = Curve()
        self.attempts: list[tuple[float, float | None, float]] = []
        """Per attempt the clock at its begin, at its (last) start of training, and now."""
        self._preparing: Preparing | None = None
        self._measuring: Measuring | None = None
        self._started: Started | None = None
        self._start_clock = 0.0
        self._clock = 0.0
        self._step: StepDone | None = None
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT_STEPS)
        self._epochs: list[EpochDone] = []
        self._bests: list[EpochDone] = []
        """Each the best until the next one; an epoch that was stopped half way and then finished may be there twice."""
        self._first_groups: tuple[GroupInfo, ...] = ()
        self._edits: list[Replanned] = []
        self._readings: list[Readings] = []
        self._films: list[Film] = []
        self._first_steps: FirstSteps | None = None
        self._kept: Kept | None = None
        self._glance: Glance | None = None
        self._memory: Memory | None = None
        self._notices: list[Notice] = []
        self._pins: list[Pinned] = []
        self._saved: Saved | None = None
        self._tested: Tested | None = None
        self._ended: Ended | None = None
        self._broken_off: int | None = None
        """Steps done when the last attempt was interrupted, until the next one begins."""
        self._interruptions: list[Interruption] = []
        self._active = False

    def feed(self, entry: Event | Steps) -> None:
        """Take in the next event, or many steps at once."""
        if isinstance(entry, Steps):
            if len(entry):
                self.curve.add_steps(entry)
                tail = list(Steps(entry.rows[-RECENT_STEPS:]).unpack())
                for step in tail:
                    self._take_step(step)
            return
        if isinstance(entry, StepDone):
            self.curve.add_step(entry)
            self._take_step(entry)
            return
        self._tick(entry.clock)
        if isinstance(entry, Preparing):
            self._preparing = entry
        elif isinstance(entry, Measuring):
            self._measuring = entry
        elif isinstance(entry, Started):
            self._begin(entry)
        elif isinstance(entry, EpochDone):
            self._measuring = None
            self.curve.add_epoch(entry)
            self._epochs = [*(e for e in self._epochs if e.epoch < entry.epoch), entry]
            if entry.best:
                self._bests.append(entry)
            self._recent.clear()
        elif isinstance(entry, Replanned):
            self._edits.append(entry)
            self._kept = None
            self.curve.add_mark(entry.step, entry.cause)
        elif isinstance(entry, Readings):
            self._readings.append(entry)
            if len(self._readings) > TRACE:
                self._readings = [*self._readings[:-1:2], self._readings[-1]]
        elif isinstance(entry, Film):
            self._films = [*(film for film in self._films if film.epoch < entry.epoch), entry]
        elif isinstance(entry, Kept):
            self._kept, self._preparing = entry, None
        elif isinstance(entry, Glance):
            self._glance = entry
        elif isinstance(entry, FirstSteps):
            self._first_steps = entry
        elif isinstance(entry, Memory):
            self._memory = entry
        elif isinstance(entry, Saved):
            self._saved = entry
        elif isinstance(entry, Pinned):
            self._pins.append(entry)
        elif isinstance(entry, Notice):
            if entry.code in COUNTED:
                self._notices = [notice for notice in self._notices if notice.code != entry.code]
            if entry not in self._notices:
                self._notices.append(entry)
        elif isinstance(entry, Tested):
            self._tested, self._measuring = entry, None
        elif isinstance(entry, Ended):
            self._ended = entry
            known = self._step.step if self._step else 0
            self._broken_off = (entry.step or known) if entry.outcome == "interrupted" else None  # 0: it was still opening
            self._active = False
            self._preparing = self._measuring = None
            self._recent.clear()
            self.curve.done = True

    def state(self, state: State | None = None) -> RunState:
        """The run as it stands; `state` is what the store says, where that is known better."""
        started, step = self._started, self._step
        total = started.steps_per_epoch * started.epochs if started else 0
        done = step.step if step else 0
        ended = self._ended
        known: State = state or (ended.outcome if ended and not self._active else "running" if self._active else "queued")
        return RunState(
            state=known,
            stage=self._stage(known),
            preparing=self._preparing if known == "running" else None,
            measuring=self._measuring if known == "running" else None,
            epoch=step.epoch if step else 0,
            epochs_total=started.epochs if started else 0,
            step=done,
            steps_total=total,
            fraction=1.0 if known == "finished" else min(done / total, 1.0) if total else 0.0,
            images_per_second=self._speed(),
            seconds=self._clock,
            seconds_left=self._left(done, total) if known == "running" else None,
            loss=step.loss if step else None,
            lr=step.lr if step else None,
            epochs=tuple(self._epochs),
            best=self._bests[-1] if self._bests else None,
            started=started,
            groups=self._edits[-1].groups if self._edits else started.groups if started else (),
            first_groups=self._first_groups,
            trainable=(
                self._edits[-1].parameters_trainable if self._edits else started.parameters_trainable if started else 0
            ),
            edits=tuple(self._edits),
            first_steps=self._first_steps,
            kept=self._kept,
            glance=self._glance,
            images_at_once=self._memory.images_at_once if self._memory else None,
            readings=tuple(self._readings),
            films=tuple(self._films),
            notices=tuple(self._notices),
            pins=tuple(self._pins),
            saved=self._saved,
            tested=self._tested,
            scores=self._tested.scores if self._tested else None,
            ended=ended if not self._active else None,
            interruptions=tuple(self._interruptions),
            attempt=len(self.attempts) + (not self._active),
        )

    def _tick(self, clock: float) -> None:
        if not self._active and self._ended is not None:
            self._preparing = self._tested = self._ended = None
        if not self._active:  # a continuation goes on with the clock of its checkpoint
            self._clock = clock if self.attempts else 0.0
            self.attempts.append((self._clock, None, self._clock))
            self._active = True
            self.curve.done = False
        self._clock = max(self._clock, clock)
        self.attempts[-1] = (*self.attempts[-1][:2], self._clock)

    def _take_step(self, step: StepDone) -> None:
        self._tick(step.clock)
        self._step, self._measuring, self._preparing = step, None, None
        self._recent.append((step.clock, step.images))

    def _begin(self, started: Started) -> None:
        if self._broken_off is not None:
            self._interruptions.append(Interruption(self._broken_off, started.step))
            self._broken_off = None
        self.curve.rewind(started.step)
        self._started, self._preparing, self._kept = started, None, None
        if not started.step or not self._first_groups:
            self._first_groups = started.groups
        self._start_clock = started.clock
        self.attempts[-1] = (self.attempts[-1][0], started.clock, self._clock)
        self._recent.clear()
        self._epochs = [epoch for epoch in self._epochs if epoch.step <= started.step]
        self._bests = [epoch for epoch in self._bests if epoch.step <= started.step]
        self._edits = [edit for edit in self._edits if edit.step < started.step]
        self._readings = [readings for readings in self._readings if readings.step <= started.step]
        self._films = [film for film in self._films if film.step <= started.step]
        if self._step and self._step.step > started.step:
            self._step = None if started.step == 0 else self._step.model_copy(update={"step": started.step})

    def _stage(self, state: State) -> Stage:
        if state != "running":
            return "waiting" if state == "queued" else "ended"
        started, step = self._started, self._step
        if started is None or self._preparing is not None:
            return "preparing"
        if self._measuring:
            return "validating" if self._measuring.what == "val" else "testing"
        if step is None or step.step <= started.step:
            return "training"
        last = self._epochs[-1] if self._epochs else None
        if last and last.step == step.step:
            return "testing" if last.epoch >= started.epochs else "training"
        return "validating" if step.step % started.steps_per_epoch == 0 else "training"

    def _speed(self) -> float | None:
        if len(self._recent) < 2:
            return None
        seconds = self._recent[-1][0] - self._recent[0][0]
        images = sum(images for _, images in self._recent) - self._recent[0][1]
        return images / seconds if seconds > 0 else None

    def _left(self, done: int, total: int) -> float | None:
        since = done - self._started.step if self._started else 0
        if since <= 0:
            return None
        return max(total - done, 0) * (self._clock - self._start_clock) / since
