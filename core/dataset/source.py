"""Source: the files of a zip or a folder, listed and checked before one of them is read. Knows nothing of images or classes.

A name inside a source is data and never a path of ours. The limits keep an archive of a few kilobytes from filling the disk
or the memory.
"""

import lzma
import os
import shutil
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from core.dataset import names
from core.dataset.record import Skipped
from core.errors import DataError
from core.workspace import DATABASE

MAX_ENTRIES = 200_000
MAX_BYTES = 20 * 2**30
"""Of an archive, unpacked."""
MAX_FILE_BYTES = 200 * 2**20
MAX_RATIO = 200
RATIO_FROM_BYTES = 100 * 2**20
"""Below this size an archive may be packed as tightly as it likes: it cannot hurt."""
MAX_DIRECTORY_BYTES = MAX_ENTRIES * 512
RESERVE_BYTES = 256 * 2**20
"""Free disk space that an import leaves."""
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source. `read` raises OSError with a reason in words."""

    name: str
    size: int
    read: Callable[[], bytes]
    stamp: str = ""
    """Changes when the file does."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a zip or a folder holds, but for what systems leave behind (`names.ignored`)."""

    name: str
    entries: tuple[Entry, ...]
    """In natural order of their names."""
    folders: tuple[str, ...]
    refused: tuple[Skipped, ...]


@contextmanager
def open_source(path: Path, *, sole: bool = False) -> Iterator[Source]:
    """The files at `path`, which stays open inside the `with`.

    `sole`: a file that has a second name elsewhere (a hard link) is refused like any other link, as no upload has such.
    Raises DataError: `data.missing`, `data.not_a_zip`, `data.zip_damaged`, `data.encrypted`, `data.too_many_entries`,
    `data.bomb`, `data.overlap`, `data.too_big`, `data.unreadable_folder`.
    """
    if path.is_dir():
        yield _folder(path, sole)
        return
    if not path.is_file() or (sole and path.stat().st_nlink > 1):
        raise DataError("data.missing", path=str(path))
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            source = _archive(stack.enter_context(_zip(file, path.name)), path)
        except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError, ValueError, OverflowError) as error:
            raise DataError("data.zip_damaged", name=path.name) from error
        except OSError as error:
            raise DataError("data.missing", path=str(path)) from error
        yield source


def check_room(name: str, needed: int, folder: Path) -> None:
    """Raises DataError (`data.no_space`) unless `needed` bytes fit on the disk of `folder` and leave a reserve."""
    free = shutil.disk_usage(folder).free
    if needed > free - RESERVE_BYTES:
        raise DataError("data.no_space", name=name, size=_gigabytes(needed), free=_gigabytes(free))


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 0.1 * 2**30 else f"{size / 2**20:.1f} MB"


def _zip(file: BinaryIO, name: str) -> zipfile.ZipFile:
    start = file.read(8)
    looks = start[:4] in {b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"}
    if not zipfile.is_zipfile(file):
        raise DataError("data.zip_damaged" if looks else "data.not_a_zip", name=name)
    size = _directory_size(file)
    if size > MAX_DIRECTORY_BYTES:
        raise DataError("data.too_many_entries", name=name, n=size // 64, limit=MAX_ENTRIES)
    file.seek(0)
    return zipfile.ZipFile(file)


def _directory_size(file: BinaryIO) -> int:
    """Bytes of the table of contents, as the end of the archive declares them: looked at before it is read into memory."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 65_557))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        return 0
    size = int(struct.unpack_from("<L", tail, end + 12)[0])
    locator = tail[max(0, end - 20) : end]
    if size == 0xFFFFFFFF and locator.startswith(b"PK\x06\x07"):
        file.seek(struct.unpack_from("<Q", locator, 8)[0])
        record = file.read(56)
        size = int(struct.unpack_from("<Q", record, 40)[0]) if len(record) == 56 else 0
    return size


def _archive(archive: zipfile.ZipFile, path: Path) -> Source:
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise DataError("data.too_many_entries", name=path.name, n=len(infos), limit=MAX_ENTRIES)
    if any(info.flag_bits & 0x1 for info in infos):
        raise DataError("data.encrypted", name=path.name)
    _check_bomb(archive, infos, path)
    entries: list[Entry] = []
    folders: list[str] = []
    refused: list[Skipped] = []
    lock = threading.Lock()
    for info, name in zip(infos, _names(infos), strict=True):
        if names.unsafe(name):
            refused.append(Skipped(name, "data.unsafe_name", {"name": name}))
        elif names.ignored(name):
            continue
        elif info.create_system == 3 and stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            refused.append(Skipped(name, "data.link", {"name": name}))
        elif name.endswith("/"):
            folders.append(name)
        else:
            stamp = f"{info.file_size}-{info.CRC:08x}"
            entries.append(Entry(name, info.file_size, partial(_read_entry, archive, info, lock), stamp))
    return _sorted(path.name, entries, folders, refused)


def _names(infos: list[zipfile.ZipInfo]) -> list[str]:
    """Names as their maker meant them: flag bit 11 says UTF-8, all others share one encoding to be found."""
    unsure = [info for info in infos if not info.flag_bits & 0x800]
    texts = iter(names.readable([info.orig_filename.encode("cp437", "replace") for info in unsure]))
    decoded = [info.orig_filename if info.flag_bits & 0x800 else next(texts) for info in infos]
    if not any("/" in name for name in decoded):  # some tools of Windows write backslashes, against the format
        decoded = [name.replace("\\", "/") for name in decoded]
    return decoded


def _check_bomb(archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo], path: Path) -> None:
    unpacked = sum(info.file_size for info in infos)
    packed = path.stat().st_size
    if unpacked > RATIO_FROM_BYTES and unpacked > MAX_RATIO * packed:
        raise DataError("data.bomb", name=path.name, size=_gigabytes(unpacked), packed=_gigabytes(packed), limit=MAX_RATIO)
    if unpacked > MAX_BYTES:
        raise DataError("data.too_big", name=path.name, size=_gigabytes(unpacked), limit=_gigabytes(MAX_BYTES))
    ordered = sorted(infos, key=lambda info: info.header_offset)
    ends = [info.header_offset + 30 + info.compress_size for info in ordered]
    starts = [info.header_offset for info in ordered] + [archive.start_dir]
    if any(end > start for end, start in zip(ends, starts[1:], strict=True)):
        raise DataError("data.overlap", name=path.name)


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, lock: threading.Lock) -> bytes:
    """The bytes of one entry, never more than it declares. The lock: ZipFile counts its readers unguarded."""
    try:
        with lock:
            file = archive.open(info)
        try:
            return file.read()
        finally:
            with lock:
                file.close()
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        RuntimeError,
        NotImplementedError,
        ValueError,
        MemoryError,
    ) as error:
        raise OSError(str(error) or type(error).__name__) from error


def _folder(path: Path, sole: bool) -> Source:
    root = path.absolute()
    entries: list[Entry] = []
    folders: list[str] = []
    refused: list[Skipped] = []
    todo: list[tuple[str, str]] = [(str(root), "")]
    seen = 0
    while todo:
        folder, above = todo.pop()
        try:
            children = sorted(os.scandir(folder), key=lambda child: child.name)
        except OSError as error:
            reason = error.strerror or str(error)
            if not above:
                raise DataError("data.unreadable_folder", path=folder, reason=reason) from error
            refused.append(Skipped(above, "data.unreadable", {"name": above, "reason": reason}))
            continue
        seen += len(children)
        if seen > MAX_ENTRIES:
            raise DataError("data.too_many_entries", name=root.name, n=seen, limit=MAX_ENTRIES)
        for child in children:
            name = above + names.spoken(child.name)
            if names.ignored(name):
                continue
            shared = sole and child.is_file() and child.stat().st_nlink > 1
            if shared or child.is_symlink() or not (child.is_file() or child.is_dir()):
                refused.append(Skipped(name, "data.link", {"name": name}))
            elif child.is_file():
                facts = child.stat()
                stamp = f"{facts.st_size}-{facts.st_mtime_ns}"
                entries.append(Entry(name, facts.st_size, partial(_read_file, child.path), stamp))
            elif name.count("/") >= MAX_DEPTH:
                refused.append(Skipped(name, "data.too_deep", {"name": name, "limit": MAX_DEPTH}))
            elif not Path(child.path, DATABASE).is_file():  # a workspace holds copies of what was imported
                folders.append(name + "/")
                todo.append((child.path, name + "/"))
    return _sorted(root.name, entries, folders, refused)


def _read_file(path: str) -> bytes:
    """The bytes of a file that was no link when it was listed, and is none now."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(number, "rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _sorted(name: str, entries: list[Entry], folders: list[str], refused: list[Skipped]) -> Source:
    """All in natural order; of files that have one name (an archive may hold such) the first."""
    by_name: dict[str, Entry] = {}
    for entry in entries:
        if entry.name in by_name:
            refused.append(Skipped(entry.name, "data.same_name", {"name": entry.name}))
        by_name.setdefault(entry.name, entry)
    return Source(
        names.spoken(name),
        tuple(sorted(by_name.values(), key=lambda entry: names.natural(entry.name))),
        tuple(sorted(set(folders), key=names.natural)),
        tuple(sorted(refused, key=lambda skipped: names.natural(skipped.name))),
    )
