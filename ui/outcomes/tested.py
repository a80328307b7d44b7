"""What came out of a run: what the model said about each tested picture, how sure a figure is, and how recipes differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from core.events import Scores
from core.recipe import Recipe
from ui import services


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model said about one picture."""

    sha256: str
    name: str
    true: int
    predicted: int
    sure: float
    """Probability of the class it named."""
    top: tuple[tuple[int, float], ...]
    """The likeliest classes with their probabilities."""


def predictions(run_id: str) -> tuple[Prediction, ...]:
    """The tested pictures of a run; none if its file is gone or unreadable."""
    file = services.run_folder(run_id) / "test.json"
    try:
        return _predictions(file, file.stat().st_mtime_ns)
    except OSError:
        return ()


@lru_cache(maxsize=4)
def _predictions(file: Path, changed: int) -> tuple[Prediction, ...]:
    try:
        rows = orjson.loads(file.read_bytes())["items"]
        return tuple(_prediction(row) for row in rows)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ()


def _prediction(row: dict[str, Any]) -> Prediction:
    top = tuple((one["class"], one["probability"]) for one in row["top"])
    return Prediction(row["sha256"], row["name"], row["label"], row["predicted"], row["confidence"], top)


def behind(found: Sequence[Prediction], cell: tuple[int, int | None] | None) -> list[Prediction]:
    """The pictures behind a cell (class, class named); with None as the second, those of the class that were missed.

    Without a cell all mistakes. Mistakes come most sure first, right answers least sure first: the telling ones in front.
    """
    if cell is None:
        picked = [one for one in found if one.true != one.predicted]
    elif cell[1] is None:
        picked = [one for one in found if one.true == cell[0] != one.predicted]
    else:
        picked = [one for one in found if (one.true, one.predicted) == cell]
    return sorted(picked, key=lambda one: one.sure if one.true == one.predicted else -one.sure)


def right(scores: Scores) -> int:
    """Pictures named right."""
    return sum(one.found for one in scores.per_class)


def majority_class(scores: Scores) -> str:
    """The class whose share is the baseline, if the figures tell which one it was; else ''."""
    fits = [one.name for one in scores.per_class if math.isclose(one.support, scores.majority_accuracy * scores.images)]
    return fits[0] if len(fits) == 1 else ""


def interval(right: int, images: int) -> tuple[float, float]:
    """Where the accuracy on endlessly many such pictures lies, with 95 % confidence: Wilson 1927."""
    if images == 0:
        return 0.0, 1.0
    z, share = 1.959964, right / images
    middle = share + z * z / (2 * images)
    spread = z * math.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    scale = 1 + z * z / images
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def differences(recipes: Sequence[Recipe]) -> dict[str, list[Any]]:
    """Settings that are not the same in all of `recipes`: field to one value each, in the order of the recipe."""
    flat = [_flat(recipe.model_dump(mode="json")) for recipe in recipes]
    return {
        field: [one[field] for one in flat]
        for field in (flat[0] if flat else ())
        if field != "name" and any(one[field] != flat[0][field] for one in flat)
    }


def _flat(document: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {above + name: value}
    return flat
