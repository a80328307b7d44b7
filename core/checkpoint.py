"""The durable save/load protocol for everything a run needs to go on. Knows files and plain values; nothing of networks.

A checkpoint is one file of tensors, numbers, texts, lists and dicts (no pickle code is ever run) and beside it a small
manifest with its SHA-256. Neither torch nor the disk notices a flipped bit, so nothing is loaded before its hash was seen.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from core import durable, torchfile
from core.durable import flush_folder
from core.errors import CheckpointError
from core.words import Value

FORMAT = 1
_NAME = re.compile(r"step-(\d{8,})(?:-(\d+))?\.ckpt")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CHUNK = 1 << 20
_GATHERED = 1 << 16
"""Bytes: smaller pieces wait until there are as many of them."""
_LARGEST_MANIFEST = 1 << 16
RESERVE_BYTES = 64 * 2**20
"""Free disk space that a checkpoint leaves, so that the database can still say what happened."""
ROOM = 1.3
"""So many times its size must be free before a checkpoint is begun."""


@dataclass(frozen=True, slots=True)
class Written:
    """A checkpoint that is on the disk, whole."""

    file: str
    """Name inside its folder."""
    sha256: str
    size_bytes: int


def save(path: Path, state: Mapping[str, Any], notes: Mapping[str, Value] | None = None) -> Written:
    """Write `state` to the new file `path` (see `free_name`), then its manifest, which also holds `notes`.

    The file appears under its name only after its bytes were flushed to the disk and read back; an older one is never
    touched. When this returns, a power cut loses nothing of it. Equal states give equal bytes. Nothing is begun that would
    not leave `RESERVE_BYTES` of the disk.

    Raises CheckpointError (`checkpoint.disk_full`, `checkpoint.unwritable`); the temporary file is gone then. Raises
    TypeError if `state` holds anything but tensors, numbers, texts, None, lists (tuples become lists) and dicts.
    """
    document = _plain({"format": FORMAT, **state}, "state")
    check_room(path.parent, _size(document))
    digest, size = write_durably(path, lambda file: torch.save(document, file))
    about = {"run": path.parent.name, "file": path.name, "sha256": digest, "size_bytes": size}
    manifest = {"format": FORMAT, **about, **(notes or {})}
    write_durably(manifest_of(path), lambda file: file.write(json.dumps(manifest, indent=1).encode()))
    return Written(path.name, digest, size)


def free_name(folder: Path, step: int) -> str:
    """`step-00000812.ckpt`, or `step-00000812-2.ckpt` where a run passes the same step again."""
    return durable.free_name(folder, f"step-{step:08d}", "ckpt")


def load(path: Path, sha256: str | None = None) -> dict[str, Any]:
    """The state in `path`, tensors on the CPU, after its SHA-256 was compared with `sha256` or else with its manifest.

    A manifest names the file and its folder, and is believed of no other. Raises CheckpointError (`checkpoint.missing`,
    `checkpoint.no_manifest`, `checkpoint.damaged`, `checkpoint.format`, `checkpoint.elsewhere`; where another try may do,
    `checkpoint.unreadable`).
    """
    if sha256 is None:
        manifest = read_manifest(path)
        sha256 = str(manifest.get("sha256", ""))
        run, name = (str(manifest.get(key, here)) for key, here in (("run", path.parent.name), ("file", path.name)))
        if (run, name) != (path.parent.name, path.name):  # older ones do not say
            raise CheckpointError("checkpoint.elsewhere", name=path.name, folder=path.parent.name, file=name, run=run)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                raise CheckpointError("checkpoint.damaged", name=path.name)
            torchfile.check(file)
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError("checkpoint.missing", name=path.name) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except (RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        if "allocate memory" in str(error):
            raise
        raise CheckpointError("checkpoint.damaged", name=path.name) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError("checkpoint.format", name=path.name, format=FORMAT)
    return state


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError("checkpoint.unreadable", name=path.name, reason=error.strerror or str(error))


def manifest_of(path: Path) -> Path:
    """Where the manifest of the checkpoint at `path` lies."""
    return path.with_name(f"{path.name}.json")


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest beside the checkpoint at `path`.

    Raises CheckpointError (`checkpoint.missing`, `checkpoint.no_manifest`, `checkpoint.unreadable`).
    """
    try:
        with manifest_of(path).open("rb") as file:
            manifest = json.loads(file.read(_LARGEST_MANIFEST))
    except (FileNotFoundError, ValueError, RecursionError) as error:
        code = "checkpoint.no_manifest" if path.exists() else "checkpoint.missing"
        raise CheckpointError(code, name=path.name) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if not isinstance(manifest, dict):
        raise CheckpointError("checkpoint.no_manifest", name=path.name)
    return manifest


def checkpoints(folder: Path) -> tuple[Path, ...]:
    """Every checkpoint in `folder` that has a manifest, the one with the most steps last. None is verified here."""
    named = ((_NAME.fullmatch(path.name), path) for path in folder.glob("step-*.ckpt"))
    found = sorted((int(match[1]), int(match[2] or 1), path) for match, path in named if match)
    return tuple(path for *_, path in found if manifest_of(path).exists())


def prune(folder: Path, keep: Iterable[str]) -> None:
    """Delete every checkpoint in `folder` but those named in `keep`, and what a crash left half written."""
    kept = set(keep)
    for path in folder.glob("step-*.ckpt"):
        if path.name not in kept:
            path.unlink(missing_ok=True)
            manifest_of(path).unlink(missing_ok=True)
    for path in folder.glob(".step-*.tmp"):
        path.unlink(missing_ok=True)


class _Hashing:
    """A file to write to that hashes what passes. torch hides errors of the disk behind its own, so the first is kept.

    Many small pieces are gathered to a few large ones: a checkpoint of a network with 390 tensors comes in 2,000.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.digest = hashlib.sha256()
        self.size = 0
        self.error: OSError | None = None
        self._small = bytearray()

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if len(self._small) + len(view) < _GATHERED:
            self._small += view
        else:
            self.flush()
            self._send(view)
        return len(view)

    def flush(self) -> None:
        """Send what was gathered."""
        small, self._small = self._small, bytearray()
        self._send(memoryview(small))

    def _send(self, view: memoryview) -> None:
        self.digest.update(view)
        sent = 0
        try:
            while sent < len(view):
                sent += os.write(self.descriptor, view[sent : sent + _CHUNK])
        except OSError as error:
            self.error = error
            raise
        self.size += sent


def write_durably(path: Path, write: Callable[[Any], object]) -> tuple[str, int]:
    """Let `write` fill a temporary file in the same folder, flush it, read it back, rename it to `path`, flush the folder.

    Gives SHA-256 and size. Raises CheckpointError (`checkpoint.disk_full`, `checkpoint.unwritable`); what lay at `path`
    before is whole then, and the temporary file gone.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(temporary, flags, 0o600)
        try:
            sink = _Hashing(descriptor)
            try:
                write(sink)
                sink.flush()
            except RuntimeError as error:
                raise sink.error or error from error
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if _read_back(temporary) != sink.digest.hexdigest():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.replace(temporary, path)
        flush_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            code = "checkpoint.disk_full" if error.errno in _FULL else "checkpoint.unwritable"
            reason = error.strerror or str(error)
            raise CheckpointError(code, folder=str(path.parent), reason=reason) from error
        raise
    return sink.digest.hexdigest(), sink.size


def _read_back(path: Path) -> str:
    """SHA-256 of what can be read there now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_room(folder: Path, size: int) -> None:
    """Raises CheckpointError (`checkpoint.disk_full`) unless a checkpoint of `size` bytes fits and leaves the reserve."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # then writing will tell, and why
        return
    if free < ROOM * size + RESERVE_BYTES:
        raise CheckpointError("checkpoint.disk_full", folder=str(folder), reason=os.strerror(errno.ENOSPC))


def _size(value: Any) -> int:
    """Bytes of all tensors in a document."""
    if isinstance(value, dict):
        return sum(_size(inner) for inner in value.values())
    if isinstance(value, list):
        return sum(_size(inner) for inner in value)
    return value.numel() * value.element_size() if isinstance(value, torch.Tensor) else 0


def _plain(value: Any, where: str) -> Any:
    """`value` again, with equal texts as one object: the form of a file depends on which objects are the same."""
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str | int)]:
            raise TypeError(f"{where}: key {odd[0]!r} is neither text nor number")
        return {_plain(key, where): _plain(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{where}[{at}]") for at, inner in enumerate(value)]
    if isinstance(value, str):
        return sys.intern(str(value))
    if isinstance(value, torch.Tensor | int | float | None):
        return value
    raise TypeError(f"{where} is a {type(value).__name__}, which a checkpoint does not hold")
