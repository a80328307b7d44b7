"""Place: how far a run is. Plain numbers; with the weights and the optimizer's memory all that a continuation needs."""

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
    best_value: float | None = None
    """Of the recipe's metric, turned so that more is better."""
    best_file: str = ""
    stale: int = 0
    """Epochs since the best."""

    @property
    def reached(self) -> int:
        """The epoch of the last step; 0 before the first."""
        return self.epoch if self.offset else self.epoch - 1
