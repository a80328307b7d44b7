"""Pixels: the images of a data set as one tensor of bytes, decoded once and kept in the workspace's cache.

The cache is keyed by content: what is in it can only be right, or damaged, and damage is found by its hash.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from core.dataset.importing import workers
from core.dataset.record import Dataset, Item
from core.errors import DataError
from core.images import DECODER, Fit, decode
from core.workspace import Workspace

IN_MEMORY_BYTES = 2 * 2**30
"""Below this size a stored array is read, above it is mapped: the system then reads what is used."""
CACHE_BYTES = 20 * 2**30
PIECE_BYTES = 64 * 2**20
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
    file = _file(items, size, fit, workspace)
    stored = _load(file, shape) if items else np.empty(shape, np.uint8)
    if stored is not None:
        if progress:
            progress(len(items), len(items))
        return torch.from_numpy(stored)
    return torch.from_numpy(_make(dataset, items, size, fit, file, progress, cancelled))


def _file(items: Sequence[Item], size: int, fit: Fit, workspace: Workspace) -> Path:
    key = hashlib.sha256(f"{DECODER} {size} {fit}\n".encode())
    key.update("\n".join(item.sha256 for item in items).encode())
    return workspace.cache / "pixels" / f"{key.hexdigest()[:40]}.u8"


def _load(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The stored array, or None if there is none or it is not what was written; then it is removed."""
    try:
        expected = file.with_suffix(".sha256").read_text("utf-8")
        pixels = _open(file, shape)
        whole = _hash(pixels) == expected
        os.utime(file)  # used: the last to be pruned
    except (OSError, ValueError):
        whole = False
    if whole:
        return pixels
    file.unlink(missing_ok=True)
    file.with_suffix(".sha256").unlink(missing_ok=True)
    return None


def _open(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The bytes of `file` in `shape`. Large ones are mapped for this process alone, so that nobody writes into the cache."""
    if file.stat().st_size < IN_MEMORY_BYTES:
        return np.fromfile(file, np.uint8).reshape(shape)
    return np.memmap(file, np.uint8, mode="c", shape=shape)


def _hash(pixels: np.ndarray) -> str:
    """Of the bytes, in pieces on all cores: hashing frees the interpreter."""
    flat = pixels.reshape(-1)
    pieces = [flat[start : start + PIECE_BYTES] for start in range(0, flat.size, PIECE_BYTES)]
    with ThreadPoolExecutor(workers(), "hash") as pool:
        parts = list(pool.map(lambda piece: hashlib.sha256(piece).digest(), pieces))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _make(
    dataset: Dataset,
    items: Sequence[Item],
    size: int,
    fit: Fit,
    file: Path,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> np.ndarray:
    """Decode all `items` and store them; where the disk is full they stay in memory alone."""
    shape = (len(items), 3, size, size)
    temporary = file.with_name(f".{secrets.token_hex(8)}.part")
    pixels = _room(temporary, shape)
    try:
        _fill(pixels, dataset, items, size, fit, progress, cancelled)
        return _store(pixels, temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _room(temporary: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Where to decode to: memory, or a file for what is large. Its blocks are claimed first: a full disk kills a map."""
    total = int(np.prod(shape))
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        if total >= IN_MEMORY_BYTES and hasattr(os, "posix_fallocate"):
            with temporary.open("wb") as out:
                os.posix_fallocate(out.fileno(), 0, total)
            return np.memmap(temporary, np.uint8, mode="r+", shape=shape)
    except OSError:
        temporary.unlink(missing_ok=True)
    return np.empty(shape, np.uint8)


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

    pool = ThreadPoolExecutor(workers(), "decode")
    try:
        done = 0
        for count in pool.map(some, range(0, len(items), CHUNK)):
            done += count
            if progress:
                progress(done, len(items))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _store(pixels: np.ndarray, temporary: Path, file: Path) -> np.ndarray:
    """Put `pixels` into the cache, the hash first, then the bytes in one rename. Returns what to work with."""
    try:
        if isinstance(pixels, np.memmap):
            pixels.flush()
        else:
            pixels.tofile(temporary)
        file.with_suffix(".sha256").write_text(_hash(pixels), "utf-8")
        os.replace(temporary, file)
    except OSError:  # not stored: the next run decodes again
        return pixels
    _prune(file)
    return _open(file, pixels.shape) if isinstance(pixels, np.memmap) else pixels


def _prune(keep: Path) -> None:
    """Delete what was not used for longest until the cache is within CACHE_BYTES; `keep` stays."""
    files = sorted((file for file in keep.parent.glob("*.u8") if file != keep), key=lambda file: file.stat().st_mtime)
    total = sum(file.stat().st_size for file in (*files, keep))
    for file in files:
        if total <= CACHE_BYTES:
            return
        total -= file.stat().st_size
        file.unlink(missing_ok=True)
        file.with_suffix(".sha256").unlink(missing_ok=True)
