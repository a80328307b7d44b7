"""Place: how far a run is. Plain numbers; with the weights and the optimizer's memory all that a continuation needs."""

import math
from dataclasses import dataclass

PLATEAU = 1e-4
"""Share by which a loss must fall to count as gain, as in torch's ReduceLROnPlateau."""


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
    broken: int = 0
    """Steps in a row, up to the last one, from which nothing could be learned: loss or gradients were no numbers."""
    passed_over: int = 0
    """Such steps in all."""
    best_epoch: int | None = None
    best_value: float = -math.inf
    """Of the recipe's metric, turned so that more is better."""
    best_loss: float = math.inf
    """Validation loss of the best epoch."""
    highest: float = -math.inf
    """Value of any epoch so far, the best one or not."""
    best_file: str = ""
    stale: int = 0
    """Epochs without gain in the metric."""
    lowered: float = 1.0
    """Share of the base rate that is left after the plateaus so far."""
    lowest_loss: float = math.inf
    """Validation loss that a plateau is measured by."""
    level: int = 0
    """Epochs without gain in that loss."""

    @property
    def reached(self) -> int:
        """The epoch of the last step; 0 before the first."""
        return self.epoch if self.offset else self.epoch - 1

    def judge(self, value: float, loss: float, images: int = 0) -> bool:
        """Is the epoch at work the best so far? By higher `value`; of equals by lower validation `loss`; else the first is.

        Where `value` is a share of so many `images` (macro-F1 is taken for one), all within one standard error of the
        highest so far count as equal (the rule of Breiman, Friedman, Olshen and Stone, 1984): a hundred images cannot tell
        93 % from 91 %, and whoever believes them keeps a lucky early epoch. Patience counts epochs without gain in the value
        itself.
        """
        gained = value > max(self.highest, self.best_value)
        self.highest = max(self.highest, self.best_value, value)
        least = self.highest - (math.sqrt(self.highest * (1 - self.highest) / images) if images else 0.0)
        better = value >= least and (loss < self.best_loss or self.best_value < least)
        self.stale = 0 if gained else self.stale + 1
        if better:
            self.best_epoch, self.best_value, self.best_loss = self.epoch, value, loss
        return better

    def watch_plateau(self, loss: float, *, patience: int, factor: float) -> None:
        """Lower the rate by `factor` once the loss has not fallen by a ten-thousandth for `patience` epochs."""
        if loss < self.lowest_loss * (1 - PLATEAU):
            self.lowest_loss, self.level = loss, 0
            return
        self.level += 1
        if self.level >= patience:
            self.lowered, self.level = self.lowered * factor, 0
