"""Quarantine: which readable images stay out of a data set all the same, and why. Pure."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from core.dataset import names
from core.dataset.record import SEALED, Notice, Skipped, Split
from core.errors import DataError
from core.images import Facts
from core.words import Value

MIN_PER_CLASS = 2
"""One image to learn from and one to test with."""
NAMED = 12
"""Classes named in a sentence, at most."""


class Refused(DataError):
    """An import that cannot become a data set. `skipped`: the files that could not be used, each with its reason."""

    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that can be read, before it is known whether it may stay."""

    name: str
    label: str
    split: Split | None
    sha256: str
    facts: Facts


def without_doubles(found: Sequence[Candidate]) -> tuple[list[Candidate], list[Skipped]]:
    """Each content once; none of a content that two classes claim. Of doubles in given splits the sealed one stays."""
    by_content: dict[str, list[Candidate]] = defaultdict(list)
    for one in sorted(found, key=lambda one: (SEALED[one.split], names.natural(one.name))):
        by_content[one.sha256].append(one)
    kept: list[Candidate] = []
    skipped: list[Skipped] = []
    for first, *more in by_content.values():
        other = next((one for one in more if one.label != first.label), None)
        if other is None:
            kept.append(first)
            skipped += [Skipped(one.name, "data.duplicate", {"name": one.name, "first": first.name}) for one in more]
        else:
            skipped += [_contradiction(one, other if one.label == first.label else first) for one in (first, *more)]
    return kept, skipped


def _contradiction(one: Candidate, rival: Candidate) -> Skipped:
    values: dict[str, Value] = {"label": one.label, "other": rival.name, "other_label": rival.label}
    return Skipped(one.name, "data.contradiction", {"name": one.name, **values})


def without_lonely(kept: Sequence[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """Those of classes with MIN_PER_CLASS images or more, and the others: once one is tested with, none is left to learn."""
    counts = Counter(one.label for one in kept)
    enough = [one for one in kept if counts[one.label] >= MIN_PER_CLASS]
    return enough, [one for one in kept if counts[one.label] < MIN_PER_CLASS]


def alone(one: Candidate) -> Skipped:
    """Why the only image of a class stays out."""
    return Skipped(one.name, "data.lonely", {"name": one.name, "label": one.label})


def left_out(lonely: Sequence[Candidate]) -> list[Notice]:
    """One notice that names the classes of the `lonely`; none if there are none."""
    labels = sorted({one.label for one in lonely}, key=names.natural)
    return [("data.class_left_out", {"n": len(labels), "classes": _listed(labels)})] if labels else []


def refusal(source: str, usable: Sequence[Candidate], skipped: Sequence[Skipped]) -> Refused:
    """Why there are no two classes to tell apart in `source`, with the counts of the `usable` images."""
    counts = Counter(one.label for one in usable)
    if len(counts) > 1:
        said = _listed([f"{label} ({counts[label]})" for label in sorted(counts, key=names.natural)])
        error = Refused("data.too_few", name=source, counts=said, minimum=MIN_PER_CLASS)
    elif counts:
        error = Refused("data.one_class", name=source, label=next(iter(counts)), n=len(usable))
    elif skipped:
        error = Refused("data.none_usable", name=source, n=len(skipped))
    else:
        error = Refused("data.no_images", name=source)
    error.skipped = tuple(skipped)
    return error


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:NAMED]) + (", …" if len(labels) > NAMED else "")
