"""A classifier's figures from its probabilities: numpy only; knows neither networks nor files."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.events import ClassScore, Scores

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


def softmax(logits: Floats) -> NDArray[np.float64]:
    """Probabilities (N, C) of class scores (N, C), each row summing to 1, in double precision."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def confused(labels: Ints, predicted: Ints, classes: int) -> list[tuple[int, int, int]]:
    """(i, j, n), n > 0, ascending: n images of class i called class j."""
    pairs, counts = np.unique(labels.astype(np.int64) * classes + predicted, return_counts=True)
    return list(zip((pairs // classes).tolist(), (pairs % classes).tolist(), counts.tolist(), strict=True))


def macro_f1(labels: Ints, predicted: Ints, classes: int) -> float:
    """Mean F1 over the classes that have images; a class never found counts 0. In [0, 1]."""
    support, named, found = _totals(labels, predicted, classes)
    some = support > 0
    return float((2 * found[some] / (support[some] + named[some])).mean()) if some.any() else 0.0


def _totals(labels: Ints, predicted: Ints, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Images of each class, images called so, and those of both (C,)."""
    of, called, right = (np.bincount(some, minlength=classes) for some in (labels, predicted, labels[labels == predicted]))
    return of, called, right


def cross_entropy(labels: Ints, probabilities: Floats) -> float:
    """Mean negative log-likelihood in nats of the true class of each image."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(true, np.finfo(np.float64).tiny)).mean())


def scores(labels: Ints, probabilities: Floats, classes: Sequence[str], majority: int) -> Scores:
    """Every figure of `probabilities` (N, C) against `labels` (N,), N at least 1.

    The prediction is the class of the highest probability, the first of equals. `majority` is the class most frequent in
    training; always naming it is the baseline that any model should beat.
    """
    predicted = probabilities.argmax(axis=1)
    totals = _totals(labels, predicted, len(classes))
    return Scores(
        images=len(labels),
        loss=cross_entropy(labels, probabilities),
        accuracy=float((predicted == labels).mean()),
        macro_f1=macro_f1(labels, predicted, len(classes)),
        per_class=tuple(_class_score(*one) for one in zip(classes, *(some.tolist() for some in totals), strict=True)),
        confused=tuple(confused(labels, predicted, len(classes))),
        majority_accuracy=float((labels == majority).mean()),
    )


def _class_score(name: str, support: int, predicted: int, found: int) -> ClassScore:
    return ClassScore(
        name=name,
        support=support,
        found=found,
        predicted=predicted,
        precision=found / predicted if predicted else None,
        recall=found / support if support else None,
        f1=2 * found / (support + predicted) if support else None,
    )
