"""Which images make up which step: a pure function of seed and epoch. Knows numbers of images only."""

import numpy as np
from numpy.typing import NDArray

from core.seeding import stream

ORDER = 1
"""The purpose of these numbers; the draws of augmentation have another."""


def count(images: int, batch_size: int) -> int:
    """Batches in an epoch; see `batches`."""
    whole, rest = divmod(images, batch_size)
    return whole + (rest > 1 or (rest == 1 and (whole == 0 or batch_size == 1)))


def batches(seed: int, epoch: int, images: int, batch_size: int) -> list[NDArray[np.int64]]:
    """Places of the images of each batch of `epoch`, each image once.

    A last batch of a single image would break batch norm (no variance in one), so it joins the batch before it: every image
    is still seen. With `batch_size` 1 the person has asked for single images and gets them.
    """
    order = stream(seed, epoch, ORDER).permutation(images)
    parts = [order[start : start + batch_size] for start in range(0, images, batch_size)]
    if len(parts) > 1 and len(parts[-1]) == 1 and batch_size > 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts
