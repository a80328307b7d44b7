"""Many steps as columns: the form in which they are stored and drawn. Knows neither files nor charts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.events import StepDone

_ROW = np.dtype(
    [
        ("step", "<i8"),
        ("epoch", "<i4"),
        ("correct", "<i4"),
        ("images", "<i4"),
        ("loss", "<f8"),
        ("lr", "<f8"),
        ("clock", "<f8"),
    ]
)


@dataclass(frozen=True, eq=False)
class Steps:
    """Consecutive `StepDone` events. A loss that is not a finite number is NaN here and None in the event."""

    rows: NDArray[Any]
    """Structured, one row a step: step, epoch, correct, images, loss, lr, clock."""

    @staticmethod
    def of(events: Sequence[StepDone]) -> "Steps":
        """Pack events, in their order."""
        rows = np.empty(len(events), _ROW)
        for at, e in enumerate(events):
            rows[at] = (e.step, e.epoch, e.correct, e.images, np.nan if e.loss is None else e.loss, e.lr, e.clock)
        return Steps(rows)

    def to_bytes(self) -> bytes:
        """44 bytes a step, little-endian whatever the machine."""
        return self.rows.tobytes()

    @staticmethod
    def from_bytes(data: bytes) -> "Steps":
        """The inverse of `to_bytes`. Raises ValueError if `data` is not a whole number of steps."""
        return Steps(np.frombuffer(data, _ROW))

    def __len__(self) -> int:
        return len(self.rows)

    def unpack(self) -> Iterator[StepDone]:
        """The events again, equal to those that were packed; they were checked when they were made."""
        for step, epoch, correct, images, loss, lr, clock in self.rows.tolist():
            yield StepDone.model_construct(
                kind="step",
                step=step,
                epoch=epoch,
                correct=correct,
                images=images,
                loss=None if loss != loss else loss,
                lr=lr,
                clock=clock,
            )
