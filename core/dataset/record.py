"""Dataset: images with labels, as they lie in a folder of the workspace. Knows its manifest; nothing of where it came from.

File and class names are data: shown, never used as a path. On the disk an image is `<sha256>.<suffix>`.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import orjson

from core.errors import DataError
from core.words import Value

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
VERSION = 1
MANIFEST = "manifest.json"
SHA256 = re.compile(r"[0-9a-f]{64}")
PART_SUFFIX = "jpg"
SEALED: dict[Split | None, int] = {"test": 0, "val": 1, "train": 2, None: 3}
"""Which of two splits keeps an image that both claim: what is tested with must not be learned from."""


@dataclass(frozen=True, slots=True)
class Item:
    """One image and its label."""

    sha256: str
    name: str
    """As its source called it; data, never a path."""
    label: int
    split: Split | None
    """As given by the source; None where it said nothing."""
    width: int
    """Pixels, upright."""
    height: int
    suffix: str
    group: str = ""
    """Images of one group stay in one split: an import or a person said that they are copies. '' for most."""


@dataclass(frozen=True, slots=True)
class Part:
    """What can be seen of a JPEG that breaks off: an image of its own, which lies with the set until a person keeps it."""

    sha256: str
    width: int
    height: int
    share: float
    """Of the rows of the whole, in (0, 1]."""
    label: str
    """Class of the file."""
    split: Split | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was kept out, and why: words at `error.<code>.cause`."""

    name: str
    code: str
    values: dict[str, Value]
    remains: str = ""
    """SHA-256 of the file if a small picture of what can be seen of it lies with the set: `Dataset.remains`."""
    part: Part | None = None


Notice = tuple[str, dict[str, Value]]
"""A code and values: words at `notice.<code>`."""


@dataclass(frozen=True)
class Dataset:
    """A data set of the workspace. Two data sets with equal content, labels and given splits have one id."""

    id: str
    name: str
    source: str
    """Name of the zip or folder, or `demo:NAME`."""
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...]
    notices: tuple[Notice, ...]
    folder: Path = field(compare=False)
    created: str = field(compare=False)
    """UTC, ISO 8601."""
    version: str = "original"
    """Of the edits that a person has made since the import: `core.dataset.edits`."""
    left_out: tuple[Item, ...] = field(default=(), compare=False)
    """What a person has excluded in this version; the bytes are still there."""

    @property
    def demo(self) -> str | None:
        """Key of `DEMOS` if Thaw made it, else None."""
        return self.source.removeprefix("demo:") if self.source.startswith("demo:") else None

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of contents, labels, given splits and groups, whatever the names and the order."""
        return fingerprint(self.classes, self.items)

    def path(self, item: Item) -> Path:
        """Where the bytes of `item` lie."""
        return self.folder / f"{item.sha256}.{item.suffix}"

    def remains(self, skipped: Skipped) -> Path:
        """Where the small picture of a refused file lies that has `remains`."""
        return self.folder / remains_name(skipped.remains)

    def parts(self) -> Iterator[tuple[Skipped, Item]]:
        """Files of which a person can keep what can be seen, and the image that it would be."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        for one in self.skipped:
            part = one.part
            if part is not None and part.label in numbers:
                item = Item(part.sha256, one.name, numbers[part.label], part.split, part.width, part.height, PART_SUFFIX)
                yield one, item

    def image(self, item: Item) -> bytes:
        """The bytes of `item`, checked. Raises DataError (`dataset.image_missing`, `dataset.image_changed`)."""
        try:
            data = self.path(item).read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError("dataset.image_missing", name=item.name, dataset=self.name, reason=reason) from error
        if hashlib.sha256(data).hexdigest() != item.sha256:
            raise DataError("dataset.image_changed", name=item.name, dataset=self.name)
        return data

    def counts(self) -> dict[str, int]:
        """Images of each class, in the order of the classes."""
        numbers = [0] * len(self.classes)
        for item in self.items:
            numbers[item.label] += 1
        return dict(zip(self.classes, numbers, strict=True))


def remains_name(sha256: str) -> str:
    """Of the file with what can be seen of a refused one; never that of an image."""
    return f"remains-{sha256}.webp"


def fingerprint(classes: tuple[str, ...], items: tuple[Item, ...]) -> str:
    """As `Dataset.fingerprint`."""
    rows = sorted(
        [item.sha256, classes[item.label], item.split or "", *([item.group] if item.group else [])] for item in items
    )
    return hashlib.sha256(orjson.dumps([list(classes), rows])).hexdigest()


def grouped(items: Iterable[Item]) -> dict[str, list[tuple[int, Item]]]:
    """The images of each group with their numbers."""
    found: dict[str, list[tuple[int, Item]]] = {}
    for at, item in enumerate(items):
        if item.group:
            found.setdefault(item.group, []).append((at, item))
    return found


def in_groups(items: Sequence[Item], members: Iterable[Sequence[int]]) -> tuple[Item, ...]:
    """`items` of which those numbered by one of `members` are a group, named by the least of their hashes."""
    names = {at: min(items[one].sha256 for one in some) for some in members for at in some}
    return tuple(replace(item, group=names[at]) if at in names else item for at, item in enumerate(items))


def write_manifest(dataset: Dataset, folder: Path, *, recipe: str = "") -> None:
    """Write `manifest.json` into `folder` and see it to the disk. `recipe`: what made a demo set, to know an old one."""
    document = {
        "version": VERSION,
        "recipe": recipe,
        "id": dataset.id,
        "name": dataset.name,
        "source": dataset.source,
        "created": dataset.created,
        "classes": dataset.classes,
        "items": [
            [item.sha256, item.suffix, item.label, item.split, item.width, item.height, item.name] for item in dataset.items
        ],
        "groups": [[at for at, _ in members] for members in grouped(dataset.items).values()],
        "skipped": [[skipped.name, skipped.code, skipped.values] for skipped in dataset.skipped],
        "remains": [[at, skipped.remains] for at, skipped in enumerate(dataset.skipped) if skipped.remains],
        "parts": [[at, *astuple(skipped.part)] for at, skipped in enumerate(dataset.skipped) if skipped.part],
        "notices": dataset.notices,
    }
    with (folder / MANIFEST).open("wb") as file:
        file.write(orjson.dumps(document))
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> tuple[Dataset, str]:
    """The data set in `folder`, and what made it. Raises DataError (`dataset.damaged`)."""
    try:
        document = cast(dict[str, Any], orjson.loads((folder / MANIFEST).read_bytes()))
        classes = tuple(document["classes"])
        items = tuple(
            Item(sha, name, label, split, width, height, suffix)
            for sha, suffix, label, split, width, height, name in document["items"]
        )
        together = document.get("groups", [])  # sets made before there were groups stay divided as they were
        if document["version"] != VERSION or not all(0 <= item.label < len(classes) for item in items):
            raise ValueError("version or labels")
        if not all(at in range(len(items)) for some in together for at in some):
            raise ValueError("groups")
        dataset = Dataset(
            id=document["id"],
            name=document["name"],
            source=document["source"],
            classes=classes,
            items=in_groups(items, together),
            skipped=_skipped(document),
            notices=tuple((code, values) for code, values in document["notices"]),
            folder=folder,
            created=document["created"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("dataset.damaged", id=folder.name) from error
    return dataset, str(document["recipe"])


def _skipped(document: dict[str, Any]) -> tuple[Skipped, ...]:
    """Raises ValueError if one is said to have remains under a name that is not one of ours: a backup comes from outside."""
    remains = dict(document.get("remains", []))
    if not all(isinstance(sha, str) and SHA256.fullmatch(sha) for sha in remains.values()):
        raise ValueError("remains")
    parts = {at: read_part(said) for at, *said in document.get("parts", [])}
    return tuple(
        Skipped(name, code, values, remains.get(at, ""), parts.get(at))
        for at, (name, code, values) in enumerate(document["skipped"])
    )


def read_part(said: Sequence[Any]) -> Part:
    """The inverse of `astuple`. Raises ValueError if it is none of ours."""
    match said:
        case [str(sha), int(width), int(height), int(share) | float(share), str(label), split] if (
            SHA256.fullmatch(sha) and min(width, height) > 0 and 0 < share <= 1 and (split is None or split in SPLITS)
        ):
            return Part(sha, width, height, float(share), label, split)
    raise ValueError("part")
