"""Looks: images that show nothing or little, judged by grey levels and edges, against the set they lie in. numpy only.

What is true of more than USUAL of a set is the way of that set (photos by night, slides of a microscope) and no finding.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.dataset.record import Dataset, Item
from core.dataset.summary import IMBALANCE, TINY
from core.examine.finding import Finding, Kind, Suggestion

Grey = NDArray[np.float32]
"""Levels (H, W) in [0, 255]."""
USUAL = 0.2
"""Share of a set from which on a look is usual."""
BLANK = 3.0
"""Standard deviation of the grey levels of an image that shows nothing."""
DARK, BRIGHT = 48.0, 216.0
"""95 of 100 points of a dark image lie below, of a bright one above."""
SOFT = 8.0
"""Times less energy in the edges than the middle image of its class."""
LONG = 2.5
"""Times longer than wide, compared with the middle image of the set."""


def measures(grey: Grey) -> tuple[float, float, float, float]:
    """Standard deviation, 5th and 95th percentile of the levels, and the variance of the Laplacian.

    The last is the measure of focus of Pech-Pacheco et al. 2000 (Diatom autofocusing in brightfield microscopy).
    """
    low, high = np.percentile(grey, (5, 95))
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(grey.std()), float(low), float(high), float(laplacian.var())


def poor(dataset: Dataset, seen: Sequence[tuple[float, float, float, float]]) -> list[Finding]:
    """Findings about single images from their `measures`, in the order of the items."""
    spread, low, high, edges = np.array(seen, np.float64).reshape(-1, 4).T
    labels = np.array([item.label for item in dataset.items])
    blank = spread < BLANK
    contrast = np.maximum(spread, BLANK) ** 2
    focus = edges / contrast  # of an image with less contrast the edges are weaker too
    middle = np.array([np.median(focus[labels == label]) for label in range(len(dataset.classes))])[labels]
    softer = np.maximum(middle, 1e-9) / np.maximum(focus, 1e-9)
    dark = ~blank & (high < DARK)
    bright = ~blank & (low > BRIGHT)
    sides = [(item.width, item.height) for item in dataset.items]
    shape = np.array([width / height for width, height in sides])
    odd = np.exp(np.abs(np.log(shape / np.median(shape))))
    short = np.array([min(side) for side in sides], np.float64)
    return [
        *_found(dataset.items, "blank", blank, spread, rising=True, always=True),
        *_found(dataset.items, "blurred", ~blank & (softer > SOFT), softer),
        *_found(dataset.items, "dark", dark, high, rising=True),
        *_found(dataset.items, "bright", bright, low),
        *_found(dataset.items, "tiny", short < TINY, short, rising=True),
        *_found(dataset.items, "shape", odd > LONG, np.maximum(shape, 1 / shape)),
    ]


def rare(dataset: Dataset) -> list[Finding]:
    """Classes with far fewer images than the largest one."""
    counts = dataset.counts()
    most = max(counts.values())
    ratios = {label: most / count for label, count in counts.items() if count and most / count > IMBALANCE}
    worst = sorted(ratios, key=lambda label: (-ratios[label], label))
    return [Finding("imbalance", (), round(ratios[label], 2), "collect", label) for label in worst]


def _found(
    items: Sequence[Item],
    kind: Kind,
    which: NDArray[np.bool_],
    numbers: NDArray[np.float64],
    *,
    rising: bool = False,
    always: bool = False,
) -> list[Finding]:
    """One finding an image, the clearest first."""
    if not always and which.sum() > max(1, USUAL * len(items)):
        return []
    order = sorted(
        np.flatnonzero(which).tolist(), key=lambda at: (numbers[at] if rising else -numbers[at], items[at].sha256)
    )
    suggestion: Suggestion = "exclude" if kind == "blank" else "look"
    return [Finding(kind, (items[at].sha256,), round(float(numbers[at]), 3), suggestion) for at in order]
