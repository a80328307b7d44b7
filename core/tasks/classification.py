"""Classification: one class an image."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.evaluation import cross_entropy, macro_f1, softmax
from core.tasks.figures import Figures


@dataclass(frozen=True, slots=True)
class Classification:
    """Outputs are logits (B, C), targets are labels (B,) int64."""

    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes: Szegedy et al. 2016, section 7. Training only."""
    weights: Tensor | None = None
    """(C,) how much an image of each class counts, on the device of the outputs; None: all alike. Training only."""
    gamma: float = 0.0
    """Focal loss: each image counts (1 - p)^gamma, p being the probability of its class (Lin et al. 2017, eq. 4)."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats, in single precision whatever the outputs are in."""
        logits = outputs.float()
        each = F.cross_entropy(logits, targets, weight=self.weights, label_smoothing=self.label_smoothing, reduction="none")
        if self.gamma > 0:
            sure = F.cross_entropy(logits, targets, reduction="none").neg().exp()
            each = each * (1 - sure).clamp(min=0) ** self.gamma
        return each.mean()

    @staticmethod
    def evened(counts: Tensor) -> Tensor:
        """(C,) weights under which classes of `counts` (C,) images count equally, 1 on average; 0 for no images."""
        return torch.where(counts > 0, counts.sum() / (counts.clamp(min=1) * (counts > 0).sum()), 0.0)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Images whose highest score is that of their own class."""
        return (outputs.argmax(dim=1) == targets).sum()

    def figures(self, outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> Figures:
        """Loss, accuracy and macro-F1 of logits (N, C) against labels (N,)."""
        named = outputs.argmax(axis=1)
        return Figures(
            loss=cross_entropy(targets, softmax(outputs)),
            accuracy=float((named == targets).sum() / len(targets)),
            macro_f1=macro_f1(targets, named, outputs.shape[1]),
        )
