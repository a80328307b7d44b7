"""Summary: what a page says about a data set at a glance, and what may go wrong with it. Pure: reads the manifest only."""

import re
import statistics
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from core.dataset.record import SPLITS, Dataset, Notice
from core.words import Value

IMBALANCE = 5.0
FEW = 20
TINY = 32
MIXED = 4.0
_BLANKS = re.compile(r"[\s_-]+")


@dataclass(frozen=True, slots=True)
class Spread:
    """Pixels."""

    min: int
    median: int
    max: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of a data set."""

    images: int
    counts: dict[str, int]
    given: dict[str, dict[str, int]]
    """Images of each class by the split that the source gave: 'train', 'val', 'test', '' (nothing given)."""
    width: Spread
    height: Spread


def summarise(dataset: Dataset) -> Summary:
    """Counts and sizes of `dataset`."""
    given = {label: dict.fromkeys((*SPLITS, ""), 0) for label in dataset.classes}
    for item in dataset.items:
        given[dataset.classes[item.label]][item.split or ""] += 1
    width, height = _spread([item.width for item in dataset.items]), _spread([item.height for item in dataset.items])
    return Summary(len(dataset.items), dataset.counts(), given, width, height)


def problems(dataset: Dataset) -> tuple[Notice, ...]:
    """What a person should know before learning from `dataset`, the gravest first. An import stores them as notices."""
    summary = summarise(dataset)
    most, least = max(summary.counts, key=summary.counts.__getitem__), min(summary.counts, key=summary.counts.__getitem__)
    found: list[Notice] = []
    if any(item.split == "train" for item in dataset.items):
        unseen = [label for label, by in summary.given.items() if not by["train"] and not by[""]]
        found += [("data.class_not_in_train", {"label": label}) for label in unseen]
    for names in _alike(dataset.classes):
        found.append(("data.alike_classes", {"classes": ", ".join(f"“{name}”" for name in names)}))
    ratio = summary.counts[most] / summary.counts[least]
    if ratio > IMBALANCE:
        values: dict[str, Value] = {
            "most": most,
            "n_most": summary.counts[most],
            "least": least,
            "n_least": summary.counts[least],
        }
        found.append(("data.imbalanced", {**values, "ratio": round(ratio, 1)}))
    few = [label for label, n in summary.counts.items() if n < FEW]
    if few:
        found.append(("data.few_images", {"n": len(few), "limit": FEW, "least": least, "n_least": summary.counts[least]}))
    tiny = sum(1 for item in dataset.items if min(item.width, item.height) < TINY)
    if tiny:
        found.append(("data.tiny", {"n": tiny, "limit": TINY}))
    areas = [(item.width * item.height, item) for item in dataset.items]
    small, large = min(areas, key=lambda pair: pair[0])[1], max(areas, key=lambda pair: pair[0])[1]
    if large.width * large.height > MIXED**2 * small.width * small.height:
        sizes = {"small": f"{small.width}×{small.height}", "large": f"{large.width}×{large.height}"}
        found.append(("data.mixed_sizes", {**sizes}))
    return tuple(found)


def _alike(classes: Sequence[str]) -> list[list[str]]:
    """Classes whose names are the same but for capitals and for what stands between words."""
    by_core: dict[str, list[str]] = {}
    for name in classes:
        by_core.setdefault(_BLANKS.sub(" ", unicodedata.normalize("NFKC", name)).strip().casefold(), []).append(name)
    return [names for core, names in by_core.items() if core and len(names) > 1]


def _spread(values: Sequence[int]) -> Spread:
    return Spread(min(values), int(statistics.median(values)), max(values))
