"""Labels: images that are probably filed under the wrong class. Knows features and labels; no pixels.

Confident learning (Northcutt, Jiang and Chuang 2021) on scores that each image gets from a linear model that was learned
from all the others, which ridge regression gives in closed form.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.heads import decompose, ridge, sharpness

MARGIN = 0.7
"""By so much the other class has to be more probable than the one an image is filed under: of 400 hands with twenty labels
changed, in eight tries, 91 % of the doubts are right then and 76 % of the wrong labels found; with 0.5, 88 % and 78 %."""
MARGIN_OF_HARD = 0.8
"""In a set whose classes look much alike, where most doubts are wrong."""
LEAST = 10
"""Images without which nothing can be said."""


def suspects(
    features: Tensor, labels: Tensor, classes: int, first: Tensor, cancelled: Callable[[], bool]
) -> tuple[NDArray[np.float64], float]:
    """Probabilities (N, classes) of each image's class as the others tell it, and the share that they tell rightly.

    `first` (N,) int64 names for each image the one that stands for it: copies would tell the answer to each other, so one
    of them learns and speaks for all. The model is learned twice, the second time without those that the first suspected:
    wrong labels teach it mistakes. Raises TrainingError (`head.cancelled`).
    """
    sole, place = torch.unique(first, return_inverse=True)
    own, given = features[sole], labels[sole]
    if len(sole) < LEAST or len(torch.unique(given)) < 2:
        return np.eye(classes)[labels.numpy()], 1.0
    learned = ridge(decompose(own, cancelled=cancelled), given, classes, cancelled=cancelled)
    doubted = doubtful(_probabilities(learned.scores, given), given.numpy(), 0.0)
    scores, keep = learned.scores, torch.from_numpy(~doubted)
    if doubted.any() and len(torch.unique(given[keep])) > 1:
        again = ridge(decompose(own[keep], cancelled=cancelled), given[keep], classes, cancelled=cancelled)
        scores = torch.empty_like(scores)
        scores[keep], scores[~keep] = again.scores, again.head(own[~keep]).double()
    return _probabilities(scores, given)[place.numpy()], learned.accuracy


def doubtful(probabilities: NDArray[np.float64], labels: NDArray[np.int64], margin: float) -> NDArray[np.bool_]:
    """(N,): another class is as probable as it is on average for its own images, and beats the given one by `margin`."""
    images, classes = probabilities.shape
    usual = np.full(classes, np.inf)
    for label in np.unique(labels):
        usual[label] = probabilities[labels == label, label].mean()
    confident = probabilities >= usual
    likeliest = np.where(confident, probabilities, -1.0).argmax(axis=1)
    best = probabilities.argmax(axis=1)
    ahead = probabilities.max(axis=1) - probabilities[np.arange(images), labels]
    found: NDArray[np.bool_] = confident.any(axis=1) & (likeliest != labels) & (best != labels) & (ahead > margin)
    return found


def _probabilities(scores: Tensor, labels: Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (sharpness(scores, labels) * scores).softmax(dim=1).numpy()
    return found
