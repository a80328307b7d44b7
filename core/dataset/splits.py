"""Splits: which images are learned from, watched and kept sealed. Pure: a data set and a seed in, indices out."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

from core.dataset.record import SEALED, SPLITS, Dataset


@dataclass(frozen=True, slots=True)
class Splits:
    """Indices into `Dataset.items`, each at most once, sorted."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]


def split(dataset: Dataset, *, val_fraction: float, test_fraction: float, seed: int) -> Splits:
    """Stratified by class, drawn by `seed` and content: neither the names nor the order of the files matter.

    A split that the source gives is kept as it is; what it does not give is drawn from the images that it gave to
    training or to nothing. Of the images of a class to draw from, `round(n * fraction)` go to each drawn split, at least
    one while one or more remain for training (test is served first); one always stays in training. Images of equal
    content are never in two splits: an import keeps each content once. Images of one group are never in two splits either:
    they are drawn together, as one of the class of most of them, and follow the one that was given to test or validation.
    """
    given = {item.split for item in dataset.items}
    places: dict[str, list[int]] = {name: [] for name in SPLITS}
    pool: dict[int, list[list[int]]] = defaultdict(list)
    for unit in _units(dataset):
        sealed = min((dataset.items[index].split for index in unit), key=SEALED.__getitem__)
        if sealed in {"val", "test"}:
            places[str(sealed)] += unit
        else:
            labels = Counter(dataset.items[index].label for index in unit)
            pool[min(labels, key=lambda label: (-labels[label], label))].append(unit)
    wanted = [("test", test_fraction), ("val", val_fraction)]
    drawn = [(name, fraction) for name, fraction in wanted if name not in given and fraction > 0.0]
    for units in pool.values():
        total = sum(map(len, units))
        rest = sorted(units, key=lambda unit: min(_draw(seed, dataset.items[index].sha256) for index in unit))
        for name, fraction in drawn:
            taken, rest = _taken(rest, max(1, round(total * fraction)))
            places[name] += taken
        places["train"] += [index for unit in rest for index in unit]
    return Splits(*(tuple(sorted(places[name])) for name in SPLITS))


def _units(dataset: Dataset) -> list[list[int]]:
    """Indices that go the same way: those of each group, every other image by itself."""
    units: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(dataset.items):
        units[item.group or f"{index}"].append(index)
    return list(units.values())


def _taken(units: list[list[int]], wanted: int) -> tuple[list[int], list[list[int]]]:
    """The first of `units` that make up `wanted` images and no more, at least one unit if two are there; and the rest."""
    chosen: set[int] = set()
    room = wanted
    for number, unit in enumerate(units):
        if len(unit) <= room and len(chosen) < len(units) - 1:
            chosen.add(number)
            room -= len(unit)
    if not chosen and len(units) > 1:
        chosen = {min(range(len(units)), key=lambda number: len(units[number]))}
    rest = [unit for number, unit in enumerate(units) if number not in chosen]
    return [index for number in sorted(chosen) for index in units[number]], rest


def _draw(seed: int, sha256: str) -> bytes:
    return hashlib.sha256(f"{seed}:{sha256}".encode()).digest()
