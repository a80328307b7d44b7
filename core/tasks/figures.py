"""Figures: what validation reports after an epoch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """On the validation images. The loss is a mean over images, without label smoothing."""

    loss: float
    accuracy: float
    macro_f1: float
