"""Durable: a small file that is there whole after a power cut, or not at all; and a seal by which a change is noticed.

Knows bytes and files; nothing of what they mean. Large files of tensors go through core/checkpoint.py.
"""

import os
import re
import secrets
import zlib
from contextlib import suppress
from pathlib import Path

_SEAL = re.compile(rb"(.*)\n#([0-9a-f]{8})", re.DOTALL)


def free_name(folder: Path, stem: str, suffix: str) -> str:
    """`stem.suffix`, or the first of `stem-2.suffix`, `stem-3.suffix`, … that is not in `folder`."""
    name, turn = f"{stem}.{suffix}", 1
    while (folder / name).exists():
        turn += 1
        name = f"{stem}-{turn}.{suffix}"
    return name


def write(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: a temporary file beside it, flushed, renamed, its folder flushed. Raises OSError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o600)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(draft, path)
        flush_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def flush_folder(folder: Path) -> None:
    """A rename is safe from a power cut only when its folder was flushed; Windows has no such call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sealed(text: bytes) -> bytes:
    """`text` and a sum over it: SQLite does not notice a flipped bit in a value."""
    return text + b"\n#%08x" % zlib.crc32(text)


def unsealed(data: bytes) -> bytes:
    """The text again; one from before there were seals is given as it is. Raises ValueError if it was changed."""
    found = _SEAL.fullmatch(data)
    if found is None:
        return data
    if zlib.crc32(found[1]) != int(found[2], 16):
        raise ValueError("its sum does not fit")
    return found[1]
