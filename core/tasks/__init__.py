"""Tasks: what a network's outputs are compared with, and in which figures. One file a task, one line in the table."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.tasks.classification import Classification
from core.tasks.figures import Figures

__all__ = ["TASKS", "Figures", "Task"]


class Task(Protocol):
    """One kind of question to a network."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What training makes small: a mean over the images of the batch, a number."""
        ...

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """How many of the batch's images are answered rightly; stays on the device."""
        ...

    def figures(self, outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> Figures:
        """What validation reports after each epoch, on at least one image."""
        ...


TASKS: dict[str, Callable[..., Task]] = {"classification": Classification}
