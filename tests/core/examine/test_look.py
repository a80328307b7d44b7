"""What was planted is found: wrong labels and copies in a demo set and in real ones, at no less than these rates."""

import hashlib
import io
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from PIL import Image

from core.dataset import DEMOS, Dataset, open_dataset, street
from core.dataset.importing import Labelled, build
from core.examine import Examination, Finding, examine
from core.examine.look import look
from core.workspace import Workspace

Copy = Callable[[Image.Image], bytes]
EVERY = 20
"""One label in so many is changed."""


def changed(number: int) -> bool:
    """Spread evenly over the classes, which come by turns."""
    return number % EVERY == number // EVERY % EVERY


@pytest.fixture(scope="module")
def planted(workspace: Workspace, copied: dict[str, Copy]) -> Callable[..., tuple[Dataset, dict[str, str], Examination]]:
    """A set of `images` with every twentieth label changed, and copies of four images for each way of copying."""

    def plant(name: str, images: list[tuple[bytes, str]]) -> tuple[Dataset, dict[str, str], Examination]:
        labels = sorted({label for _, label in images})
        files = []
        for number, (data, label) in enumerate(images):
            wrong = labels[(labels.index(label) + 1 + number % (len(labels) - 1)) % len(labels)]
            files.append((f"{number}-", wrong if changed(number) else label, data))
        for place, (way, copy) in enumerate(copied.items()):
            for number in [number for number in range(len(images)) if not changed(number)][4 * place : 4 * place + 4]:
                data, label = images[number]
                files.append((f"{number}-{way}", label, copy(Image.open(io.BytesIO(data)).convert("RGB"))))
        made = build(
            [Labelled(file, label, None, lambda data=data: data) for file, label, data in files],
            workspace,
            name=name,
            source=name,
        )
        truth = {hashlib.sha256(data).hexdigest(): label for data, label in images}
        return made, truth, look(made, workspace)

    return plant


def of(found: Examination, *kinds: str) -> list[Finding]:
    return [finding for finding in found.findings if finding.kind in kinds]


def rates(data: Dataset, truth: dict[str, str], found: Examination) -> tuple[float, float, float]:
    """Precision and recall of doubted labels, and how many of the right doubts name the right class."""
    wrong = {item.sha256 for item in data.items if truth.get(item.sha256, "") not in ("", data.classes[item.label])}
    doubted = [finding for finding in of(found, "label") if finding.images[0] in truth]
    right = [finding for finding in doubted if finding.images[0] in wrong]
    named = [finding for finding in right if finding.label == truth[finding.images[0]]]
    return len(right) / max(1, len(doubted)), len(right) / len(wrong), len(named) / max(1, len(right))


def of_one_picture(data: Dataset, found: Examination) -> tuple[int, int, int]:
    """Groups of copies, those that show one picture, and copies that were made."""
    names = {item.sha256: item.name for item in data.items}
    shown = [{names[sha].split("-")[0] for sha in finding.images} for finding in of(found, "near", "same", "clash", "leak")]
    return len(shown), sum(len(one) == 1 for one in shown), sum(not item.name.endswith("-") for item in data.items)


def take(each: int, images: Iterator[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
    """So many of each class, the classes by turns."""
    by_class: dict[str, list[tuple[bytes, str]]] = {}
    for data, label in images:
        if len(row := by_class.setdefault(label, [])) < each:
            row.append((data, label))
    return [row[turn] for turn in range(each) for row in by_class.values()]


def test_the_wrong_labels_and_the_copies_of_the_street_signs_are_found(workspace: Workspace) -> None:
    data = open_dataset(workspace, "demo:street")
    arrows = list(street.ARROWS)
    truth = {item.sha256: arrows[int(item.name.split("sign-")[1][0])] for item in data.items}
    found = examine(data, workspace)
    precision, recall, named = rates(data, truth, found)
    assert precision >= 0.85
    assert recall >= 0.65
    assert named >= 0.9
    numbers = {item.sha256: item.name.split("sign-")[1][:4] for item in data.items}
    copies = of(found, "near", "same", "clash")
    assert len(copies) == street.ALIKE
    assert all(len({numbers[sha] for sha in finding.images}) == 1 for finding in copies)
    assert {finding.kind for finding in found.findings} == {"label", "near"}


def test_changed_labels_and_copies_of_scanned_digits_are_found(planted: Callable[..., Any]) -> None:
    images = take(40, ((file.read(), file.label) for file in islice(DEMOS["digits"].files(), 450)))
    data, truth, found = planted("digits", images)
    precision, recall, named = rates(data, truth, found)
    assert precision >= 0.95
    assert recall >= 0.75
    assert named == 1.0
    groups, right, made = of_one_picture(data, found)
    assert right == groups
    assert right >= 0.75 * made  # a brighter copy of ink on white paper loses what is lost in the white


def test_changed_labels_and_copies_of_photographed_hands_are_found(planted: Callable[..., Any], real_data: Path) -> None:
    with ZipFile(real_data / "sign-digits.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.lower().endswith(".jpg"))
        images = take(40, ((archive.read(name), name.split("/")[-2]) for name in names))
    data, truth, found = planted("hands", images)
    precision, recall, named = rates(data, truth, found)
    assert precision >= 0.85
    assert recall >= 0.6
    assert named >= 0.9
    groups, right, made = of_one_picture(data, found)
    assert (groups, right) == (made, made)
