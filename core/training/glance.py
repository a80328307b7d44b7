"""A first glance: what a head solved in closed form would reach on the kept activations, before a single step."""

import time

from torch import Tensor

from core.events import Glance
from core.heads import decompose, ridge

MOST_IMAGES, MOST_NUMBERS = 20_000, 2_560
"""Beyond either the decomposition takes seconds: then training is quicker to speak."""


def possible(activations: Tensor) -> bool:
    """They are one vector an image, few and short enough, and two or more."""
    images, numbers = len(activations), activations[0].numel() if len(activations) else 0
    return activations.dim() == 2 and 2 <= images <= MOST_IMAGES and numbers <= MOST_NUMBERS


def glance(train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor] | None, classes: int) -> Glance:
    """Of activations (N, D) with labels (N,): learned from `train`, judged on `val`.

    Without validation images the training images judge, each by the head that was learned from all others.
    """
    begin = time.perf_counter()
    features, labels = (tensor.cpu() for tensor in train)
    found = ridge(decompose(features.float()), labels, classes)
    right, images = round(found.accuracy * len(labels)), len(labels)
    if val is not None:
        answers = found.head(val[0].cpu().float()).argmax(1)
        right, images = int((answers == val[1].cpu()).sum()), len(answers)
    seconds = time.perf_counter() - begin
    return Glance(right=right, images=images, split="val" if val else "train", left_out=found.accuracy, seconds=seconds)
