"""Mixing: two images of a batch made into one, with both labels. Numbers follow from seed and step alone."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.seeding import number

MIX = 3
"""Purpose of the random numbers."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """Images (B, 3, S, S) of which `share` is the image itself and the rest that at `partner` (B,) of the same batch."""

    images: Tensor
    partner: Tensor
    share: float


def mixed(images: Tensor, *, mixup: float, cutmix: float, key: tuple[int, ...]) -> Mixed | None:
    """The batch mixed by a share drawn from Beta(alpha, alpha), one share for all; None where both are switched off.

    `mixup`: a weighted sum (Zhang et al. 2018). `cutmix`: a rectangle of the partner (Yun et al. 2019). With both, one of
    them by the toss of a coin.
    """
    if not mixup and not cutmix:
        return None
    rng = np.random.default_rng(number(*key, MIX))
    pasted = bool(cutmix) and (not mixup or rng.random() < 0.5)
    alpha = cutmix if pasted else mixup
    share = float(rng.beta(alpha, alpha))
    partner = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    if not pasted:
        return Mixed(torch.lerp(images[partner], images, share), partner, share)
    side = images.shape[-1]
    cut = round(side * float(np.sqrt(1 - share)))
    x, y = (int(at) for at in rng.integers(0, side - cut + 1, 2))
    made = images.clone()
    made[:, :, y : y + cut, x : x + cut] = images[partner][:, :, y : y + cut, x : x + cut]
    return Mixed(made, partner, 1 - cut * cut / side**2)
