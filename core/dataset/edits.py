"""Edits: what a person has decided about the images of a data set, as a list that only grows. Knows hashes and class names.

No file of the person and no imported byte is ever changed: a data set is read and the edits are laid over it. An undo is one
more entry. What the entries that hold amount to has a name, the version; one that changes nothing is `ORIGINAL`.
"""

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import orjson

from core.dataset.quarantine import MIN_PER_CLASS
from core.dataset.record import Dataset, Item, grouped
from core.durable import flush_folder
from core.errors import DataError

FILE = "edits.jsonl"
ORIGINAL = "original"
"""The version of a set as it was imported."""
Decision = Literal["exclude", "relabel", "together", "ignore", "keep"]
Act = Decision | Literal["undo"]
ACTS: tuple[Act, ...] = ("exclude", "relabel", "together", "ignore", "keep", "undo")
_writing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Edit:
    """One entry of the list."""

    number: int
    """1, 2, …"""
    at: str
    """UTC, ISO 8601."""
    act: Act
    images: tuple[str, ...]
    """SHA-256 of the images it is about."""
    label: str = ""
    """relabel: the class that they belong to; ignore: the class it is about, where it is about no image."""
    kind: str = ""
    """The kind of finding that it answers; '' if none."""
    undoes: int = 0
    """undo: the number of the entry that does not hold any more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the entries that hold amount to."""

    excluded: frozenset[str] = frozenset()
    labels: dict[str, str] = field(default_factory=dict)
    """Image to class, where a person has said another one."""
    groups: dict[str, str] = field(default_factory=dict)
    """Image to the name of its group, which stays in one split."""
    ignored: frozenset[tuple[str, tuple[str, ...]]] = frozenset()
    """Findings that a person has looked at and let be: kind and images, or class where it is about none."""
    kept: frozenset[str] = frozenset()
    """Images that are what can be seen of a file that breaks off."""

    @property
    def version(self) -> str:
        """ORIGINAL, or twelve hexadecimal digits."""
        if not (self.excluded or self.labels or self.groups or self.kept):
            return ORIGINAL
        said: list[Any] = [sorted(self.excluded), sorted(self.labels.items()), sorted(self.groups.items())]
        if self.kept:  # versions from before anything could be kept have their names still
            said.append(sorted(self.kept))
        return hashlib.sha256(orjson.dumps(said)).hexdigest()[:12]


def read_edits(folder: Path) -> tuple[Edit, ...]:
    """The list of the data set in `folder`, oldest first. An entry that a power cut has torn was never acknowledged."""
    file = folder / FILE
    try:
        seen = file.stat()
    except OSError:
        return ()
    return _read(file, seen.st_mtime_ns, seen.st_size, seen.st_ino)


@lru_cache(maxsize=64)
def _read(file: Path, changed: int, size: int, inode: int) -> tuple[Edit, ...]:
    return tuple(_entries(file.read_bytes()))


def _entries(data: bytes) -> Iterator[Edit]:
    for line in data.split(b"\n"):
        try:
            said: dict[str, Any] = orjson.loads(line)
            edit = Edit(**{**said, "images": tuple(said["images"])})
        except (orjson.JSONDecodeError, TypeError, KeyError):
            continue
        if edit.act in ACTS:
            yield edit


def holding(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Those that are no undo and were not undone, oldest first."""
    undone = {edit.undoes for edit in edits if edit.act == "undo"}
    return tuple(edit for edit in edits if edit.act != "undo" and edit.number not in undone)


def standing(edits: Sequence[Edit]) -> Standing:
    """What `edits` amount to; of two that contradict each other the later one holds."""
    excluded: set[str] = set()
    labels: dict[str, str] = {}
    groups: dict[str, str] = {}
    ignored: set[tuple[str, tuple[str, ...]]] = set()
    kept: set[str] = set()
    for edit in holding(edits):
        if edit.act == "exclude":
            excluded |= set(edit.images)
        elif edit.act == "relabel":
            labels |= dict.fromkeys(edit.images, edit.label)
        elif edit.act == "together":
            _join(groups, edit.images)
        elif edit.act == "keep":
            kept |= set(edit.images)
        else:
            ignored.add((edit.kind, edit.images or (edit.label,)))
    return Standing(frozenset(excluded), labels, groups, frozenset(ignored), frozenset(kept))


def _join(groups: dict[str, str], images: Iterable[str]) -> None:
    """Make `images`, and whatever they hang together with, one group of `groups`."""
    images = set(images)
    joined = {groups[sha] for sha in images if sha in groups}
    members = {sha for sha, name in groups.items() if name in joined} | images
    groups |= dict.fromkeys(members, min(members))


def versions(edits: Sequence[Edit]) -> Iterator[Standing]:
    """Every state that the data set was ever in, the newest first; the last one is as it was imported."""
    for many in range(len(edits), -1, -1):
        yield standing(edits[:many])


def edited(dataset: Dataset, now: Standing) -> Dataset:
    """`dataset` as imported, with `now` laid over it. Classes and their order stay, and what its import put together."""
    if now.version == ORIGINAL:
        return dataset
    dataset = _with_parts(dataset, now.kept)
    groups = _groups(dataset, now)
    numbers = {name: number for number, name in enumerate(dataset.classes)}
    items: list[Item] = []
    for item in dataset.items:
        label = numbers.get(now.labels.get(item.sha256, ""), item.label)
        group = groups.get(item.sha256, "")
        items.append(item if (label, group) == (item.label, item.group) else replace(item, label=label, group=group))
    return replace(
        dataset,
        items=tuple(item for item in items if item.sha256 not in now.excluded),
        left_out=tuple(item for item in items if item.sha256 in now.excluded),
        version=now.version,
    )


def _with_parts(dataset: Dataset, kept: frozenset[str]) -> Dataset:
    """`dataset` with what is seen of files that break off, where it is `kept`: these files are left out no more."""
    parts = {item.sha256: item for _, item in dataset.parts() if item.sha256 in kept}
    if not parts:
        return dataset
    skipped = tuple(one for one in dataset.skipped if one.part is None or one.part.sha256 not in parts)
    return replace(dataset, items=(*dataset.items, *parts.values()), skipped=skipped)


def _groups(dataset: Dataset, now: Standing) -> dict[str, str]:
    """Image to the name of its group: those that a person made, and those of the import, joined where they meet."""
    groups = dict(now.groups)
    for name, members in grouped(dataset.items).items():
        images = [item.sha256 for _, item in members]
        if any(sha in now.groups for sha in images):
            _join(groups, images)
        else:
            groups |= dict.fromkeys(images, name)
    return groups


def decide(imported: Dataset, act: Decision, images: Sequence[str], *, label: str = "", kind: str = "") -> Edit:
    """Add an entry to the list of `imported`, a data set as it was imported, and see it to the disk.

    Raises DataError: `edit.unknown_image`, `edit.unknown_class`, `edit.class_too_small` (a class would keep too few images
    to learn it and to test it), `data.disk_full`.
    """
    parts = {item.sha256 for _, item in imported.parts()}
    known = parts if act == "keep" else parts | {item.sha256 for item in imported.items}
    for sha in images:
        if sha not in known:
            raise DataError("edit.unknown_image", name=sha[:12], dataset=imported.name)
    if act == "relabel" and label not in imported.classes:
        raise DataError("edit.unknown_class", label=label, dataset=imported.name)
    return _add(imported, act, tuple(images), label, kind, 0)


def undo(imported: Dataset, number: int) -> Edit:
    """Add an entry that ends another one's hold. Raises DataError: `edit.nothing_to_undo`, and as `decide`."""
    if number not in {edit.number for edit in holding(read_edits(imported.folder))}:
        raise DataError("edit.nothing_to_undo", n=number)
    return _add(imported, "undo", (), "", "", number)


def _add(imported: Dataset, act: Act, images: tuple[str, ...], label: str, kind: str, undoes: int) -> Edit:
    with _writing:
        before = read_edits(imported.folder)
        number = max((edit.number for edit in before), default=0) + 1
        edit = Edit(number, datetime.now(UTC).isoformat(timespec="seconds"), act, images, label, kind, undoes)
        if act not in {"together", "ignore"}:
            _check(imported, standing(before), standing((*before, edit)))
        _append(imported.folder / FILE, orjson.dumps(edit))
    return edit


def _check(imported: Dataset, before: Standing, after: Standing) -> None:
    """No class may fall below what a split needs; one that was below already may stay there."""
    then = Counter(item.label for item in edited(imported, before).items)
    now = Counter(item.label for item in edited(imported, after).items)
    for label, name in enumerate(imported.classes):
        if now[label] < min(MIN_PER_CLASS, then[label]):
            raise DataError("edit.class_too_small", label=name, n=now[label], minimum=MIN_PER_CLASS)


def _append(file: Path, line: bytes) -> None:
    """One line at the end, after the one that a power cut may have torn."""
    try:
        torn = file.exists() and file.stat().st_size > 0 and not file.read_bytes().endswith(b"\n")
        with file.open("ab") as out:
            out.write((b"\n" if torn else b"") + line + b"\n")
            out.flush()
            os.fsync(out.fileno())
        flush_folder(file.parent)  # the first line makes the file
    except OSError as error:
        raise DataError("data.disk_full", path=str(file.parent)) from error
