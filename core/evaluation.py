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


def confusion(labels: Ints, predicted: Ints, classes: int) -> NDArray[np.int64]:
    """(C, C) counts; row i, column j: images of class i called class j."""
    flat = np.bincount(labels.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def macro_f1(table: NDArray[np.int64]) -> float:
    """Mean F1 over the classes that have images in the confusion `table`; a class never found counts 0. In [0, 1]."""
    support, predicted, found = table.sum(axis=1), table.sum(axis=0), np.diag(table)
    some = support > 0
    return float((2 * found[some] / (support[some] + predicted[some])).mean()) if some.any() else 0.0


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
    table = confusion(labels, predicted, len(classes))
    return Scores(
        images=len(labels),
        loss=cross_entropy(labels, probabilities),
        accuracy=float((predicted == labels).mean()),
        macro_f1=macro_f1(table),
        per_class=tuple(_class_score(name, table, at) for at, name in enumerate(classes)),
        confusion=tuple(tuple(row) for row in table.tolist()),
        majority_accuracy=float((labels == majority).mean()),
    )


def _class_score(name: str, table: NDArray[np.int64], at: int) -> ClassScore:
    support, predicted, found = int(table[at].sum()), int(table[:, at].sum()), int(table[at, at])
    return ClassScore(
        name=name,
        support=support,
        found=found,
        predicted=predicted,
        precision=found / predicted if predicted else None,
        recall=found / support if support else None,
        f1=2 * found / (support + predicted) if support else None,
    )
