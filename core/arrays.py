"""Arrays that are kept on the disk by key: what took long to compute is there the next time. Knows bytes, not their meaning.

A key stands for content, so what is kept can only be right, or damaged; and damage is found by its hash. Nothing depends on
it: what is missing, or finds no room, is computed again.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from core.container import available_bytes, usable_cores

IN_MEMORY_BYTES = 2 * 2**30
"""Below this size a kept array is read, above it is mapped: the system then reads what is used."""
PIECE_BYTES = 64 * 2**20
SPARE_BYTES = 2**30
"""Of a disk that are left to others."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Arrays:
    """The arrays in one folder."""

    folder: Path
    limit_bytes: int
    """Of all of them together: what was not used for longest goes first."""
    in_memory_bytes: int | None = None
    """None: IN_MEMORY_BYTES."""

    def load(self, key: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array | None:
        """The array kept under `key`, or None if there is none or it is not what was written; then it is removed.

        Large ones are mapped for this process alone, so that nobody writes into what is kept.
        """
        file = self._file(key)
        try:
            expected = file.with_suffix(".sha256").read_text("utf-8")
            array = self._open(file, shape, dtype)
            whole = _hash(array) == expected
            os.utime(file)  # used: the last to be pruned
        except (OSError, ValueError):
            whole = False
        if whole:
            return array
        file.unlink(missing_ok=True)
        file.with_suffix(".sha256").unlink(missing_ok=True)
        return None

    def make(self, key: str, shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[Array], None]) -> Array:
        """A new array that `fill` writes, kept under `key`; where the disk is full it stays in memory alone."""
        temporary = self.folder / f".{secrets.token_hex(8)}.part"
        array = self._room(temporary, shape, dtype)
        try:
            fill(array)
            return self._keep(array, temporary, key)
        finally:
            temporary.unlink(missing_ok=True)

    def has_room(self, size_bytes: int) -> bool:
        """So much can be made now without asking too much of the disk or, for what is not mapped, of memory."""
        place = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        if shutil.disk_usage(place).free > size_bytes + SPARE_BYTES:
            return True
        return bool(size_bytes < min(self._limit, available_bytes() // 4))

    @property
    def _limit(self) -> int:
        return IN_MEMORY_BYTES if self.in_memory_bytes is None else self.in_memory_bytes

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.bin"

    def _open(self, file: Path, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        if file.stat().st_size < self._limit:
            return np.fromfile(file, dtype).reshape(shape)
        return np.memmap(file, dtype, mode="c", shape=shape)

    def _room(self, temporary: Path, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Memory, or a file for what is large. Its blocks are claimed first: a full disk kills a map."""
        total = int(np.prod(shape)) * np.dtype(dtype).itemsize
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if total >= self._limit and hasattr(os, "posix_fallocate"):
                with temporary.open("wb") as out:
                    os.posix_fallocate(out.fileno(), 0, total)
                return np.memmap(temporary, dtype, mode="r+", shape=shape)
        except OSError:
            temporary.unlink(missing_ok=True)
        return np.empty(shape, dtype)

    def _keep(self, array: Array, temporary: Path, key: str) -> Array:
        """The hash first, then the bytes in one rename. Returns what to work with."""
        file = self._file(key)
        try:
            if isinstance(array, np.memmap):
                array.flush()
            else:
                array.tofile(temporary)
            file.with_suffix(".sha256").write_text(_hash(array), "utf-8")
            os.replace(temporary, file)
        except OSError:
            return array
        self._prune(file)
        return self._open(file, array.shape, array.dtype) if isinstance(array, np.memmap) else array

    def _prune(self, keep: Path) -> None:
        """Delete what was not used for longest until the folder is within its limit; `keep` stays."""
        files = sorted((file for file in self.folder.glob("*.bin") if file != keep), key=lambda file: file.stat().st_mtime)
        total = sum(file.stat().st_size for file in (*files, keep))
        for file in files:
            if total <= self.limit_bytes:
                return
            total -= file.stat().st_size
            file.unlink(missing_ok=True)
            file.with_suffix(".sha256").unlink(missing_ok=True)


def _hash(array: Array) -> str:
    """Of the bytes, in pieces on all cores: hashing frees the interpreter."""
    flat = array.reshape(-1).view(np.uint8)
    pieces = [flat[start : start + PIECE_BYTES] for start in range(0, flat.size, PIECE_BYTES)]
    with ThreadPoolExecutor(usable_cores(), "hash") as pool:
        parts = list(pool.map(lambda piece: hashlib.sha256(piece).digest(), pieces))
    return hashlib.sha256(b"".join(parts)).hexdigest()
