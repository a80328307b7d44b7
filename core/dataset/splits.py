"""Splits: which images are learned from, watched and kept sealed. Pure: a data set and a seed in, indices out."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from core.dataset.record import SPLITS, Dataset


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
    content are never in two splits: an import keeps each content once.
    """
    given = {item.split for item in dataset.items}
    places: dict[str, list[int]] = {name: [] for name in SPLITS}
    pool: dict[int, list[int]] = defaultdict(list)
    for index, item in enumerate(dataset.items):
        if item.split in {"val", "test"}:
            places[str(item.split)].append(index)
        else:
            pool[item.label].append(index)
    wanted = [("test", test_fraction), ("val", val_fraction)]
    drawn = [(name, fraction) for name, fraction in wanted if name not in given and fraction > 0.0]
    for indices in pool.values():
        rest = sorted(indices, key=lambda index: _draw(seed, dataset.items[index].sha256))
        for name, fraction in drawn:
            take = min(max(1, round(len(indices) * fraction)), len(rest) - 1)
            places[name] += rest[:take]
            rest = rest[take:]
        places["train"] += rest
    return Splits(*(tuple(sorted(places[name])) for name in SPLITS))


def _draw(seed: int, sha256: str) -> bytes:
    return hashlib.sha256(f"{seed}:{sha256}".encode()).digest()
