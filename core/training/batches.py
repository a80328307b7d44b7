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


def shuffled(seed: int, epoch: int, images: int) -> NDArray[np.int64]:
    """Places of all images, each once, in the order of `epoch`."""
    return stream(seed, epoch, ORDER).permutation(images)


def batches(order: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """`order` in batches.

    A last batch of a single image would break batch norm (no variance in one), so it joins the batch before it: every image
    is still seen. With `batch_size` 1 the person has asked for single images and gets them.
    """
    parts = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if len(parts) > 1 and len(parts[-1]) == 1 and batch_size > 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts


def even_order(seed: int, epoch: int, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of as many images as there are, each class equally often, in the order of `epoch`.

    Images of a frequent class take turns over the epochs by chance; those of a rare one come several times.
    """
    rng = stream(seed, epoch, ORDER)
    classes = np.unique(labels)
    each = -(-len(labels) // len(classes))
    drawn = []
    for one in classes:
        mine = np.flatnonzero(labels == one)
        rounds = [rng.permutation(mine) for _ in range(-(-each // len(mine)))]
        drawn.append(np.concatenate(rounds)[:each])
    order: NDArray[np.int64] = rng.permutation(np.concatenate(drawn))[: len(labels)]
    return order
