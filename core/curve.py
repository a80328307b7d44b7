"""Curve: the points of one run's charts, and what of them a chart that knows some already needs. Pure: numpy and a lock.

An answer is at most 20 KiB of JSON however long the run is: a long stretch is thinned to the exact minimum and maximum of
equal bins, so that no peak is lost. One thread adds, many ask.
"""

import secrets
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from core.events import EpochDone, StepDone
from core.steps import Steps

LIMIT_BYTES = 20 * 1024
"""Of one answer as JSON."""
BLOCK = 512
"""Steps whose extremes are remembered together, so that a long history is not looked through again at each reset."""
MARKS = 50
"""Changes that a chart shows."""
STEP = ("loss", "accuracy", "lr")
"""What is measured at each step: mean loss and share of right images of its batch, base learning rate."""
EPOCH = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
_STEP_BYTES, _EPOCH_BYTES = 31, 44
"""Of one point in JSON, about; an answer that comes out longer is thinned again."""

Indices = NDArray[np.int64]
Values = NDArray[np.float64]


class Curve:
    """What charts of one run draw. `rev` counts points; `epoch` is a word that changes when old points no longer hold."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps = _Table(len(STEP))
        self._epochs = _Table(len(EPOCH))
        self._numbers: list[int] = []
        """Epoch numbers."""
        self._revs: list[int] = []
        """`rev` after each epoch was added: it says which points came before."""
        self._marks: list[tuple[int, str]] = []
        self.epoch = secrets.token_hex(4)
        self.done = False

    @property
    def rev(self) -> int:
        """Points so far: steps and epochs together."""
        return self._steps.length + self._epochs.length

    def add_step(self, event: StepDone) -> None:
        """One more step, later than all before."""
        loss = np.nan if event.loss is None else event.loss
        with self._lock:
            self._steps.append(event.step, (loss, event.correct / event.images if event.images else np.nan, event.lr))

    def add_steps(self, steps: Steps) -> None:
        """Many more steps."""
        rows = steps.rows
        with np.errstate(divide="ignore", invalid="ignore"):
            accuracy = np.where(rows["images"] > 0, rows["correct"] / rows["images"], np.nan)
        with self._lock:
            self._steps.extend(rows["step"], (rows["loss"], accuracy, rows["lr"]))

    def add_epoch(self, event: EpochDone) -> None:
        """One more epoch; told again after a continuation, it takes the place of the first telling."""
        with self._lock:
            if self._numbers and event.epoch <= self._numbers[-1]:
                self._cut(self._steps.length, next(i for i, n in enumerate(self._numbers) if n >= event.epoch))
            row = [getattr(event, name) for name in EPOCH]
            self._epochs.append(event.step, [np.nan if value is None else value for value in row])
            self._numbers.append(event.epoch)
            self._revs.append(self.rev)

    def add_mark(self, step: int, cause: str) -> None:
        """Something was changed after `step`: a line across the charts. Only the newest MARKS are kept."""
        with self._lock:
            self._marks = [*self._marks, (step, cause)][-MARKS:]

    def rewind(self, step: int) -> None:
        """Forget what came after `step`: the run goes on from there."""
        with self._lock:
            self._marks = [mark for mark in self._marks if mark[0] < step]
            steps = int(np.searchsorted(self._steps.x, step, "right"))
            epochs = int(np.searchsorted(self._epochs.x, step, "right"))
            if (steps, epochs) != (self._steps.length, self._epochs.length):
                self._cut(steps, epochs)

    def since(
        self, rev: int, epoch: str, *, points: int = 2000, start: float | None = None, stop: float | None = None
    ) -> dict[str, Any]:
        """What a chart that holds `rev` points of `epoch` lacks: `{epoch, rev, reset, done, x, y, epochs, marks}`.

        `x` are steps, `y` lists by name in `STEP`, `epochs` lists by name in `EPOCH` with `epoch` and `step` beside them;
        null where there is no number, five significant digits. `marks`: all [step, cause] of changes, always. `reset`:
        forget what you have; these are all points, thinned to at most `points` and 20 KiB. With `start` and `stop`: only
        the stretch between these two steps.
        """
        with self._lock:
            if start is not None or stop is not None:
                return self._thinned(*self._between(start, stop), points)
            known = epoch == self.epoch and 0 <= rev <= self.rev
            if not known:
                return self._thinned(0, self._steps.length, points)
            old_epochs = int(np.searchsorted(self._revs, rev, "right"))
            new_steps = np.arange(rev - old_epochs, self._steps.length)
            new_epochs = np.arange(old_epochs, self._epochs.length)
            if len(new_steps) * _STEP_BYTES + len(new_epochs) * _EPOCH_BYTES < LIMIT_BYTES:
                answer = self._answer(new_steps, new_epochs, reset=False)
                if len(orjson.dumps(answer)) <= LIMIT_BYTES:
                    return answer
            return self._thinned(0, self._steps.length, points)

    def window(self, start: float, stop: float, *, points: int = 2000) -> dict[str, Any]:
        """The stretch between two steps, as fine as 20 KiB allow; for a chart that is zoomed in."""
        return self.since(-1, "", points=points, start=start, stop=stop)

    def _between(self, start: float | None, stop: float | None) -> tuple[int, int]:
        """Indices of the steps within, and one more on either side, so that lines run to the edge."""
        x = self._steps.x
        low = 0 if start is None else int(np.searchsorted(x, start, "left")) - 1
        high = len(x) if stop is None else int(np.searchsorted(x, stop, "right")) + 1
        return max(low, 0), min(max(high, low), len(x))

    def _thinned(self, low: int, high: int, points: int) -> dict[str, Any]:
        epochs = min(points, LIMIT_BYTES // 3 // _EPOCH_BYTES, self._epochs.length)
        steps = min(points, (LIMIT_BYTES - 400 - epochs * _EPOCH_BYTES) // _STEP_BYTES)
        while True:
            at = self._steps.pick(low, high, steps, (0, 1), coarse=(2,))
            answer = self._answer(at, self._epochs.pick(0, self._epochs.length, epochs, (2, 3)), reset=True)
            size = len(orjson.dumps(answer))
            if size <= LIMIT_BYTES or not len(at):
                return answer
            steps = int(steps * LIMIT_BYTES / size * 0.95)
            epochs = min(epochs, max(int(epochs * LIMIT_BYTES / size * 0.95), 20))

    def _answer(self, steps: Indices, epochs: Indices, *, reset: bool) -> dict[str, Any]:
        numbers = np.asarray(self._numbers, np.int64)
        return {
            "epoch": self.epoch,
            "rev": self.rev,
            "reset": reset,
            "done": self.done,
            "marks": self._marks,
            "x": self._steps.x[steps].tolist(),
            "y": {name: _short(self._steps.column(i)[steps]) for i, name in enumerate(STEP)},
            "epochs": {
                "epoch": numbers[epochs].tolist(),
                "step": self._epochs.x[epochs].tolist(),
                **{name: _short(self._epochs.column(i)[epochs]) for i, name in enumerate(EPOCH)},
            },
        }

    def _cut(self, steps: int, epochs: int) -> None:
        self._steps.cut(steps)
        self._epochs.cut(epochs)
        del self._numbers[epochs:]
        del self._revs[epochs:]
        self._revs = [min(rev, steps + number) for number, rev in enumerate(self._revs, 1)]
        self.epoch = secrets.token_hex(4)


class _Table:
    """Rows that grow: an integer `x`, never falling, and float columns, with the extremes of each full block."""

    def __init__(self, columns: int) -> None:
        self.length = 0
        self._x = np.empty(1024, np.int64)
        self._y = np.empty((columns, 1024))
        self._lows = np.empty((columns, 0), np.int64)
        self._highs = np.empty((columns, 0), np.int64)

    @property
    def x(self) -> Indices:
        return self._x[: self.length]

    def column(self, number: int) -> Values:
        return self._y[number, : self.length]

    def append(self, x: int, row: Sequence[float]) -> None:
        at = self.length
        self._reserve(at + 1)
        self._x[at] = x
        for number, value in enumerate(row):
            self._y[number, at] = value
        self.length = at + 1
        if self.length % BLOCK == 0:
            self._digest()

    def extend(self, x: NDArray[Any], columns: Sequence[NDArray[Any]]) -> None:
        end = self.length + len(x)
        self._reserve(end)
        self._x[self.length : end] = x
        for number, values in enumerate(columns):
            self._y[number, self.length : end] = values
        self.length = end
        self._digest()

    def cut(self, length: int) -> None:
        self.length = length
        self._lows = self._lows[:, : length // BLOCK]
        self._highs = self._highs[:, : length // BLOCK]

    def pick(self, low: int, high: int, want: int, fine: Sequence[int], coarse: Sequence[int] = ()) -> Indices:
        """At most `want` indices in [low, high): the first, the last, and the exact extremes of equal bins.

        Columns in `fine` share all bins there is room for; those in `coarse` have eight.
        """
        if high - low <= want:
            return np.arange(low, high)
        bins = max((want - 2 - 16 * len(coarse)) // (2 * len(fine)), 1)
        picked = [np.array([low, high - 1])]
        picked += [self._extremes(number, low, high, bins) for number in fine]
        picked += [self._extremes(number, low, high, min(bins, 8)) for number in coarse]
        return np.unique(np.concatenate(picked))

    def _extremes(self, number: int, low: int, high: int, bins: int) -> Indices:
        values = self._y[number]
        first, last = -(-low // BLOCK), high // BLOCK
        if high - low < 2 * BLOCK * bins:
            edges = np.linspace(low, high, bins + 1).astype(np.int64)
            bottom = top = np.arange(low, high)
        else:  # bins of whole blocks; of each block only its extremes are looked at
            edges = np.linspace(first, last, bins + 1).astype(np.int64) * BLOCK
            edges[0], edges[-1] = low, high
            ragged = np.arange(low, first * BLOCK), np.arange(last * BLOCK, high)
            bottom = np.concatenate([ragged[0], self._lows[number, first:last], ragged[1]])
            top = np.concatenate([ragged[0], self._highs[number, first:last], ragged[1]])
        return np.concatenate([_lowest(values[bottom], bottom, edges), _lowest(-values[top], top, edges)])

    def _digest(self) -> None:
        """Remember the extremes of blocks that have become full."""
        seen, full = self._lows.shape[1], self.length // BLOCK
        if full == seen:
            return
        blocks = self._y[:, seen * BLOCK : full * BLOCK].reshape(len(self._y), full - seen, BLOCK)
        starts = np.arange(seen, full) * BLOCK
        holes = np.isnan(blocks)
        lows = np.where(holes, np.inf, blocks).argmin(2) + starts
        highs = np.where(holes, -np.inf, blocks).argmax(2) + starts
        self._lows, self._highs = np.hstack([self._lows, lows]), np.hstack([self._highs, highs])

    def _reserve(self, length: int) -> None:
        if length > len(self._x):
            size = max(length, 2 * len(self._x))
            x, y = np.empty(size, np.int64), np.empty((len(self._y), size))
            x[: self.length], y[:, : self.length] = self.x, self._y[:, : self.length]
            self._x, self._y = x, y


def _lowest(values: Values, indices: Indices, edges: Indices) -> Indices:
    """Of ascending `indices` the one with the lowest value in each bin between two `edges`; NaN counts as highest."""
    values = np.where(np.isnan(values), np.inf, values)
    starts = np.searchsorted(indices, edges[:-1])
    lowest = np.minimum.reduceat(values, starts)
    counts = np.diff(np.append(starts, len(indices)))
    hits = np.flatnonzero(values == np.repeat(lowest, counts))
    bins = np.searchsorted(starts, hits, "right")
    return indices[hits[np.unique(bins, return_index=True)[1]]]


def _short(values: Values) -> list[float | None]:
    """Five significant digits; None for what is not a finite number."""
    return [float(f"{value:.5g}") if -np.inf < value < np.inf else None for value in values.tolist()]
