"""Head: a linear layer that somebody has solved for, and what may be asked of the numbers it is solved from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.errors import TrainingError

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Head:
    """A linear layer for the features as they are: neither centred nor scaled."""

    weight: Tensor
    """(C, D) float32."""
    bias: Tensor
    """(C,) float32."""

    def __call__(self, features: Tensor) -> Tensor:
        """Scores (N, C) of features (N, D)."""
        return torch.addmm(self.bias, features, self.weight.T)

    def times(self, factor: float) -> "Head":
        """The head whose scores are `factor` times these."""
        return Head(self.weight * factor, self.bias * factor)


def check_features(features: Tensor) -> None:
    """Raises TrainingError (`head.too_few`, `head.not_finite`), and ValueError unless they are floats (N, D), D > 0."""
    if features.ndim != 2 or features.shape[1] == 0 or not features.is_floating_point():
        raise ValueError(f"features are floats (N, D), not {features.dtype} {tuple(features.shape)}")
    if len(features) < 2:
        raise TrainingError("head.too_few", n=len(features))
    # a sum is not finite where a number is not, and rows are counted only then
    if not features.sum().isfinite() and (broken := int((~features.isfinite()).any(dim=1).sum())):
        raise TrainingError("head.not_finite", n=broken, images=len(features))


def check_labels(labels: Tensor, images: int, classes: int) -> None:
    """Raises ValueError unless they are int64 (N,), one an image, each below `classes`, of which there are at least two."""
    if classes < 2:
        raise ValueError(f"a head tells at least 2 classes apart, not {classes}")
    if labels.shape != (images,) or labels.dtype != torch.int64:
        raise ValueError(f"labels are int64 ({images},), not {labels.dtype} {tuple(labels.shape)}")
    if images and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"labels from {int(labels.min())} to {int(labels.max())} do not fit {classes} classes")


def go_on(cancelled: Cancelled | None) -> None:
    """Raises TrainingError (`head.cancelled`) once somebody has called it off."""
    if cancelled is not None and cancelled():
        raise TrainingError("head.cancelled")
