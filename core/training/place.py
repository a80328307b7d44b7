"""Place: how far a run is. Plain numbers; with the weights and the optimizer's memory all that a continuation needs."""

import math
from dataclasses import dataclass


@dataclass
class Place:
    """How far a run is."""

    epoch: int = 1
    """At work, 1-based; one more than the recipe's after the last."""
    step: int = 0
    """Steps done in all."""
    offset: int = 0
    """Batches done in this epoch."""
    loss: float = 0.0
    """Sum over the images of this epoch so far; so are the next two."""
    correct: int = 0
    images: int = 0
    best_epoch: int | None = None
    best_value: float = -math.inf
    """Of the recipe's metric, turned so that more is better."""
    best_loss: float = math.inf
    """Validation loss of the best epoch."""
    best_file: str = ""
    stale: int = 0
    """Epochs without gain in the metric."""

    @property
    def reached(self) -> int:
        """The epoch of the last step; 0 before the first."""
        return self.epoch if self.offset else self.epoch - 1

    def judge(self, value: float, loss: float) -> bool:
        """Is the epoch at work the best so far? By higher `value`; of equals by lower validation `loss`; else the first is.

        A small validation split gives equal accuracies often, and the loss still sees a difference. Patience counts epochs
        without gain in the value itself.
        """
        gained = value > self.best_value
        better = gained or (value == self.best_value and loss < self.best_loss)
        self.stale = 0 if gained else self.stale + 1
        if better:
            self.best_epoch, self.best_value, self.best_loss = self.epoch, value, loss
        return better
