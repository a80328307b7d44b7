"""Classification: one class an image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.evaluation import confusion, cross_entropy, macro_f1, softmax
from core.tasks.figures import Figures


@dataclass(frozen=True, slots=True)
class Classification:
    """Outputs are logits (B, C), targets are labels (B,) int64."""

    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes: Szegedy et al. 2016, section 7. Training only."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats, in single precision whatever the outputs are in."""
        return F.cross_entropy(outputs.float(), targets, label_smoothing=self.label_smoothing)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Images whose highest score is that of their own class."""
        return (outputs.argmax(dim=1) == targets).sum()

    def figures(self, outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> Figures:
        """Loss, accuracy and macro-F1 of logits (N, C) against labels (N,)."""
        table = confusion(targets, outputs.argmax(axis=1), outputs.shape[1])
        return Figures(
            loss=cross_entropy(targets, softmax(outputs)),
            accuracy=float(np.trace(table) / len(targets)),
            macro_f1=macro_f1(table),
        )
