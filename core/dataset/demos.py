"""Demos: data sets that need no network, made on first use. Knows where their pictures come from.

Words: `demo.<key>.title` and `demo.<key>.story`.
"""

import gzip
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from core.dataset.importing import Cancelled, Labelled, Progress, build
from core.dataset.leaves import COUNTS, leaf
from core.dataset.record import Dataset
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


def _leaves() -> Iterator[Labelled]:
    for label, count in COUNTS.items():
        for number in range(count):
            yield Labelled(f"{label}/leaf-{number:03d}.jpg", label, None, partial(leaf, label, number))


DEMOS: dict[str, Demo] = {
    "digits": Demo("digits", 1797, tuple("0123456789"), "digits-1", _digits, "upright"),
    "leaves": Demo("leaves", sum(COUNTS.values()), tuple(sorted(COUNTS)), "leaves-1", _leaves, "any-direction"),
}
