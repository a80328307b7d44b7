"""Demos: data sets that need no network, made on first use. Knows where their pictures come from.

Words: `demo.<key>.title`, `demo.<key>.story` and `demo.<key>.lesson`.
"""

import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from core.dataset import boards, cells, leaves, night, street
from core.dataset.apart import Cancelled, Progress
from core.dataset.importing import build
from core.dataset.record import Dataset, Split
from core.dataset.taking import Labelled
from core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Demo:
    """One demo set."""

    key: str
    images: int
    classes: tuple[str, ...]
    version: str
    """What made it: a set of another version is made again."""
    files: Callable[[], Iterator[Labelled]]
    augment: str = "none"
    """The preset of augmentation that suits it."""
    epochs: int = 8
    """Enough for a first look."""


def generate(
    key: str, workspace: Workspace, *, progress: Progress | None = None, cancelled: Cancelled | None = None
) -> Dataset:
    """Make `DEMOS[key]` in the workspace, as data set `demo-KEY`. Raises DataError (`data.cancelled`, `data.disk_full`)."""
    demo = DEMOS[key]
    return build(
        list(demo.files()), workspace, name=key.capitalize(), source=f"demo:{key}", id=f"demo-{key}", recipe=demo.version,
        progress=progress, cancelled=cancelled,
    )  # fmt: skip


def sheet(key: str, many: int) -> list[bytes]:
    """The files of the first `many` images of `DEMOS[key]`, the classes by turns: a look before the set is made."""
    by_class: dict[str, list[Labelled]] = {}
    for one in DEMOS[key].files():
        by_class.setdefault(one.label, []).append(one)
    rows = list(by_class.values())
    turns = (row[turn] for turn in range(many) for row in rows if turn < len(row))
    return [one.read() for one in islice(turns, many)]


def _digits() -> Iterator[Labelled]:
    """The 1,797 scans of handwritten digits that come with scikit-learn: 8x8 pixels, 17 levels of grey (UCI, CC BY 4.0)."""
    for number, row in enumerate(_scans()):
        label = int(row[64])
        yield Labelled(f"{label}/scan-{number:04d}.png", str(label), None, partial(_digit, row[:64].reshape(8, 8)))


def _scans() -> np.ndarray:
    """Rows of 64 levels of ink, 0 to 16, and the digit. Read past scikit-learn, whose import alone takes seconds."""
    found = find_spec("sklearn")
    for place in (found.submodule_search_locations or []) if found else []:
        file = Path(place) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            with gzip.open(file, "rt", encoding="ascii") as rows:
                return np.loadtxt(rows, np.uint8, delimiter=",")
    from sklearn.datasets import load_digits

    scans = load_digits()
    return np.column_stack([scans.data, scans.target]).astype(np.uint8)


def _digit(scan: np.ndarray) -> bytes:
    """One scan as dark ink on paper, enlarged smoothly to 64 x 64 pixels."""
    paper = 255 - np.pad(np.rint(scan * (255 / 16)).astype(np.uint8), 1)
    out = io.BytesIO()
    Image.fromarray(paper).resize((64, 64), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def _drawn(theme: str, counts: Mapping[str, int], draw: Callable[[str, int], bytes]) -> Iterator[Labelled]:
    for label, count in counts.items():
        for number in range(count):
            yield Labelled(f"{label}/{theme}-{number:03d}.jpg", label, None, partial(draw, label, number))


def _night() -> Iterator[Labelled]:
    """Leaves by night to test; those by day to learn from, the last tenth of each class to validate."""
    for label, count in leaves.COUNTS.items():
        for number in range(count // 4):
            yield Labelled(f"test/{label}/leaf-{number:03d}.jpg", label, "test", partial(night.leaf_at_night, label, number))
    for label, count in leaves.COUNTS.items():
        for number in range(count):
            split: Split = "val" if number >= count - count // 10 else "train"
            yield Labelled(f"{split}/{label}/leaf-{number:03d}.jpg", label, split, partial(leaves.leaf, label, number))


def _street() -> Iterator[Labelled]:
    """Each sign under the name that somebody gave it; some lie there twice, some once more made smaller."""
    for at, (label, count) in enumerate(street.COUNTS.items()):
        for number in range(count):
            name = street.filed(label, number)
            yield Labelled(f"{name}/sign-{at}{number:03d}.jpg", name, None, partial(street.sign, label, number))
    for at, label in enumerate(street.COUNTS):
        for number in range(street.AGAIN // len(street.COUNTS)):
            name = street.filed(label, number)
            yield Labelled(f"{name}/sign-{at}{number:03d} (1).jpg", name, None, partial(street.sign, label, number))
        for number in range(10, 10 + street.ALIKE // len(street.COUNTS)):
            name = street.filed(label, number)
            file = f"{name}/sign-{at}{number:03d}-small.jpg"
            yield Labelled(file, name, None, partial(_saved_anew, label, number))


def _saved_anew(label: str, number: int) -> bytes:
    return street.saved_anew(street.sign(label, number))


def _demo(
    key: str,
    counts: Mapping[str, int],
    files: Callable[[], Iterator[Labelled]],
    augment: str,
    *,
    extra: int = 0,
    version: int = 1,
) -> Demo:
    return Demo(key, sum(counts.values()) + extra, tuple(sorted(counts)), f"{key}-{version}", files, augment)


DEMOS: dict[str, Demo] = {
    "leaves": _demo("leaves", leaves.COUNTS, partial(_drawn, "leaf", leaves.COUNTS, leaves.leaf), "any-direction"),
    "cells": _demo("cells", cells.COUNTS, partial(_drawn, "cell", cells.COUNTS, cells.cell), "any-direction", version=2),
    "boards": _demo("boards", boards.COUNTS, partial(_drawn, "board", boards.COUNTS, boards.board), "light", version=2),
    "street": _demo("street", street.COUNTS, _street, "upright", extra=street.AGAIN + street.ALIKE, version=2),
    "night": _demo(
        "night", leaves.COUNTS, _night, "any-direction", extra=sum(n // 4 for n in leaves.COUNTS.values()), version=2
    ),
    "digits": Demo("digits", 1797, tuple("0123456789"), "digits-1", _digits, "upright"),
}
