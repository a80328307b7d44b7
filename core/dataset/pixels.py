"""Pixels: the images of a data set as one tensor of bytes, decoded once and kept in the workspace's cache.

The key is the content of the images, so what is kept under it can only be right.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from core.arrays import Arrays
from core.container import usable_cores
from core.dataset.record import Dataset, Item
from core.errors import DataError
from core.images import DECODER, Fit, decode
from core.workspace import Workspace

LIMIT_BYTES = 20 * 2**30
CHUNK = 16
"""Images that one thread decodes between two looks at `cancelled`."""


def load_pixels(
    dataset: Dataset,
    indices: Sequence[int],
    *,
    size: int,
    fit: Fit,
    workspace: Workspace,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> torch.Tensor:
    """Pixels (N, 3, size, size) uint8 of `dataset.items[indices]`, in that order. May be a private map of a file.

    `progress` hears (images done, N), once with (N, N) if they were stored. Raises DataError: `data.cancelled`,
    `dataset.image_missing`, `dataset.image_changed`, `image.*`, each naming the image.
    """
    items = [dataset.items[index] for index in indices]
    shape = (len(items), 3, size, size)
    if not items:
        return torch.empty(shape, dtype=torch.uint8)
    kept, key = stored(workspace), _key(items, size, fit)
    pixels = kept.load(key, shape, np.uint8)
    if pixels is not None:
        if progress:
            progress(len(items), len(items))
        return torch.from_numpy(pixels)

    def fill(room: np.ndarray) -> None:
        _fill(room, dataset, items, size, fit, progress, cancelled)

    return torch.from_numpy(kept.make(key, shape, np.uint8, fill))


def stored(workspace: Workspace) -> Arrays:
    """Where decoded pixels are kept."""
    return Arrays(workspace.cache / "pixels", LIMIT_BYTES)


def _key(items: Sequence[Item], size: int, fit: Fit) -> str:
    key = hashlib.sha256(f"{DECODER} {size} {fit}\n".encode())
    key.update("\n".join(item.sha256 for item in items).encode())
    return key.hexdigest()[:40]


def _fill(
    pixels: np.ndarray,
    dataset: Dataset,
    items: Sequence[Item],
    size: int,
    fit: Fit,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> None:
    """Decode `items` into `pixels` on all cores: Pillow frees the interpreter."""

    def some(start: int) -> int:
        chunk = items[start : start + CHUNK]
        for index, item in enumerate(chunk, start):
            if cancelled and cancelled():
                raise DataError("data.cancelled")
            pixels[index] = decode(dataset.image(item), size, fit, name=item.name).transpose(2, 0, 1)
        return len(chunk)

    pool = ThreadPoolExecutor(usable_cores(), "decode")
    try:
        done = 0
        for count in pool.map(some, range(0, len(items), CHUNK)):
            done += count
            if progress:
                progress(done, len(items))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
