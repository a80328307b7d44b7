"""The learning-rate finder: a range test, after which the network is what it was. Knows no page and no chart.

Smith 2017 (Cyclical Learning Rates, section 3.3): let the rate rise while the network learns, and see what the loss does.
The rise is exponential and the loss smoothed, as in Gugger 2018 (How Do You Find A Good Learning Rate) and fastai.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from core.device import free_cached, is_fault
from core.errors import RecipeError, ThawError, TrainingError
from core.events import Event, Notice, StepDone
from core.recipe import Recipe
from core.slot import lose
from core.training import explained
from core.training.job import Job
from core.training.opening import opened
from core.training.place import Place
from core.workspace import Workspace

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]

MEMORY = 0.1
"""Share of the range over which losses are averaged: with 100 steps a weight of 0.9 for what was. Longer ones
(fastai and Lightning take 0.98, an average age of 49 steps) answer so late that every suggestion comes out too high."""
DIVERGED = 4.0
"""So many times its lowest value: the loss has left (fastai and Lightning stop there, too)."""
LEAST_STEPS = 20
FLAT = 0.1
"""Share of the steps at the beginning whose rates change nothing yet: they tell how much the loss varies by itself."""
CERTAIN, WORTH = 3.0, 0.01
"""It must have fallen by so many standard deviations of the smoothed loss, and by this share of it."""
BELOW_LOWEST = 10.0
"""The lowest loss lies where learning and leaving are even: a tenth of that rate is the rule of thumb of fastai."""


@dataclass(frozen=True)
class Found:
    """What a range test has shown."""

    part: str | None
    """Path of the group whose rate rose; None: the base rate rose, and every group's with it."""
    rates: tuple[float, ...]
    """Ascending; of the base or of the part."""
    losses: tuple[float, ...]
    """Of the batch that met each rate, before the step: what the rates before have led to."""
    smooth: tuple[float, ...]
    """These losses without the noise of single batches."""
    suggestion: float | None
    """None where the loss never fell."""
    stopped: Literal["end", "diverged"]


def find_rate(
    recipe: Recipe,
    *,
    workspace: Workspace,
    part: str | None = None,
    steps: int = 100,
    low: float = 1e-7,
    high: float = 1.0,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Found:
    """Open what `recipe` says as a training would, try `steps` rates from `low` to `high`, and forget what was learned.

    See `sweep`. `progress` hears of steps done of all, and (0, all) now and then while the data is read. Equal recipes find
    equal things, on a CPU with the same threads and versions. Raises every ThawError that a training can end with,
    RecipeError (`finder.unknown_part`) and TrainingError (`finder.cancelled`).
    """
    told = cancelled or (lambda: False)
    with borrowed(recipe, workspace, told, lambda: progress(0, steps) if progress else None) as job:
        return sweep(job, part=part, steps=steps, low=low, high=high, progress=progress, cancelled=told)


@contextmanager
def borrowed(recipe: Recipe, workspace: Workspace, told: Cancelled, heartbeat: Callable[[], None]) -> Iterator[Job]:
    """A job to try things with, opened as a training would open it; it is in no store, and nothing of it stays.

    What goes wrong inside is raised as the ThawError that a training would end with, or TrainingError (`finder.cancelled`)
    once it is `told` to give up. `heartbeat` is heard while it opens.
    """
    threads = torch.get_num_threads()
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    job: Job | None = None
    try:
        with TemporaryDirectory() as folder:  # nothing is written there
            opening = opened(recipe, workspace=workspace, folder=Path(folder), resume=None, told=told)
            job = _opened(opening, heartbeat)
            yield job
    except (ThawError, RuntimeError, ValueError, MemoryError) as error:
        if told():
            raise TrainingError("finder.cancelled") from error
        known = explained(error, recipe, job)
        if known is None or known is error:
            raise
        if is_fault(error):
            lose(str(known.values["device"]))
        raise known from error
    finally:
        torch.set_num_threads(threads)
        free_cached()


def sweep(
    job: Job,
    *,
    part: str | None = None,
    steps: int = 100,
    low: float = 1e-7,
    high: float = 1.0,
    progress: Progress | None = None,
    cancelled: Cancelled = lambda: False,
) -> Found:
    """The range test on an open `job`, which afterwards is what it was: weights, statistics, the optimizer's memory, place.

    One step per rate on the batches of the first epoch, again and again if there are fewer, with the plan of now and without
    schedule. It stops by itself where the smoothed loss is four times its lowest, or a loss is no number. With a `part` (a
    name in `Plan.rates()`) only that group's rate rises and the others stay at theirs. As they lower the loss, too, the same
    steps are then made once more with the part at `low`, and what counts is how much lower the loss was than there: the
    batches are the same, so nearly all of their noise goes as well.

    The suggestion is the smaller of two: the rate at which the smoothed loss falls most steeply over the logarithm of the
    rate (Gugger), and a tenth of the rate at which it is lowest (fastai). Noise can put the first too high and a flat valley
    the second, and smoothing delays the curve, which moves both up. A rate too low costs time; one too high costs what the
    network already knew.

    Raises ValueError for fewer than 20 steps or an empty range, RecipeError and TrainingError as `find_rate` does.
    """
    if steps < LEAST_STEPS or not 0 < low < high:
        raise ValueError(f"no range test of {steps} steps from {low} to {high}")
    if part is not None and part not in job.plan.rates():
        raise RecipeError("finder.unknown_part", part=part, known=", ".join(name or "''" for name in job.plan.rates()))
    rates = np.geomspace(low, high, steps).tolist()
    passes = 1 if part is None else 2

    def tell(done: int) -> None:
        if cancelled():
            raise TrainingError("finder.cancelled")
        if progress:
            progress(done, passes * steps)

    losses: list[float] = []
    smoothed = _Smoothed(1 - 1 / (MEMORY * steps))
    diverged = False
    with closing(_losses(job, rates, part, cancelled)) as rising:
        for loss in rising:
            if diverged := not math.isfinite(loss):
                break
            losses.append(loss)
            tell(len(losses))
            last = smoothed.take(loss)
            if diverged := last > DIVERGED * min(smoothed.values) and len(losses) > FLAT * steps:
                break
    alone = _Smoothed(smoothed.keep)
    if part is not None:
        with closing(_losses(job, [low] * len(losses), part, cancelled)) as resting:
            for done, loss in enumerate(resting, 1):
                alone.take(loss)
                tell(steps + done)
    return Found(
        part=part,
        rates=tuple(rates[: len(losses)]),
        losses=tuple(losses),
        smooth=tuple(smoothed.values),
        suggestion=_suggestion(rates, smoothed.values, alone.values or [0.0] * len(losses), flat=round(FLAT * steps)),
        stopped="diverged" if diverged else "end",
    )


class _Smoothed:
    """Exponential mean with the bias of its beginning taken out (Kingma & Ba 2015, section 3)."""

    def __init__(self, keep: float) -> None:
        self.keep = keep
        self.values: list[float] = []
        self._sum = 0.0

    def take(self, loss: float) -> float:
        self._sum = self.keep * self._sum + (1 - self.keep) * loss
        self.values.append(self._sum / (1 - self.keep ** (len(self.values) + 1)))
        return self.values[-1]


def _losses(job: Job, rates: Sequence[float], part: str | None, cancelled: Cancelled) -> Generator[float, None, None]:
    """The loss that each step at one of the `rates` begins with, NaN where it is no number. Undone when it is closed."""
    recipe, place = job.recipe, job.place
    plain = {"schedule": "constant", "warmup_epochs": 0.0, "instruments": False}
    try:
        with job.learner.forgetting():
            job.place = Place()
            deque(job.prepare(cancelled), maxlen=0)
            rows: deque[NDArray[np.int64]] = deque()
            for rate in rates:
                if part is None:
                    job.recipe = recipe.model_copy(update={**plain, "lr": rate})
                else:
                    job.recipe = recipe.model_copy(update=plain)
                    job.learner.set_scale(part, rate / recipe.lr)
                if not rows:
                    job.place.offset = 0
                    rows.extend(job.batches())
                deque(job.step(rows.popleft()), maxlen=0)
                for done in job.read():
                    if isinstance(done, StepDone):
                        yield math.nan if done.loss is None else done.loss
                    elif isinstance(done, Notice):  # its gradients were no numbers
                        yield math.nan
    finally:
        job.recipe, job.place = recipe, place
        if part is not None:
            job.learner.set_scale(part, job.plan.rates()[part])


def _suggestion(rates: Sequence[float], smooth: Sequence[float], alone: Sequence[float], flat: int) -> float | None:
    """See `sweep`; `alone` is the smoothed loss without what is tried. On the first `flat` rates nothing happens yet."""
    if len(smooth) <= flat:
        return None
    curve = np.array(smooth) - np.array(alone)
    lowest, start = int(curve.argmin()), curve[:flat]
    least = max(CERTAIN * start.std(), WORTH * np.mean(smooth[:flat]))
    if lowest < flat or start.mean() - curve[lowest] < least:
        return None
    steepest = flat + int(np.gradient(curve)[flat : lowest + 1].argmin())
    return float(max(min(rates[steepest], rates[lowest] / BELOW_LOWEST), rates[0]))


def _opened(opening: Generator[Event, None, Job], heartbeat: Callable[[], None]) -> Job:
    """Hear an opening out."""
    while True:
        try:
            next(opening)
        except StopIteration as end:
            job: Job = end.value
            return job
        heartbeat()
