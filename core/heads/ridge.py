"""Ridge: a head in closed form at many strengths, each judged by exact leave-one-out. One decomposition serves them all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.heads.head import Cancelled, Head, check_labels, go_on
from core.heads.spectrum import Spectrum, one_hot

STRENGTHS = tuple(10 ** (step / 3) for step in range(-12, 13))
"""Of the ridge, in shares of the mean sum of squares along a direction: from 1e-4 to 1e4, three a decade."""
TOGETHER = 256
"""Columns of one product: strengths times classes."""
SHARPEST = 100.0
"""Ridge scores lie about 1 apart: so sharpened, the best class has a probability of one already."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """What a path of strengths has shown, and the head of the best."""

    strengths: Tensor
    """(L,) float64, ascending: what multiplies the squared weights beside a sum of squared errors over the images."""
    accuracies: Tensor
    """(L,) float64: share of images that the head learned from all the others answers rightly."""
    chosen: int
    """Place of the best accuracy; of equals the strongest."""
    head: Head
    """Learned from all images at the chosen strength. Scores approach 1 for the class of an image and 0 for the others."""
    scores: Tensor
    """(N, C) float64: for each image those of the head that was learned from all others, at the chosen strength."""

    @property
    def strength(self) -> float:
        """The chosen one."""
        return float(self.strengths[self.chosen])

    @property
    def accuracy(self) -> float:
        """Leave-one-out, at the chosen strength, in [0, 1]."""
        return float(self.accuracies[self.chosen])


def ridge(
    spectrum: Spectrum,
    labels: Tensor,
    classes: int,
    *,
    strengths: Sequence[float] | None = None,
    cancelled: Cancelled | None = None,
) -> Ridge:
    """Least squares to one-hot labels (N,) int64 at every one of `strengths`, the intercept free of penalty.

    Leaving image i out changes its own error from e to e / (1 - h), h being its leverage at that strength (Allen 1974;
    Golub, Heath and Wahba 1979), so that no head is learned twice. An image alone in its class is always missed: nothing
    else shows that class. None: `STRENGTHS`. Raises TrainingError (`head.cancelled`); ValueError for labels that do not fit
    and for strengths that are none, or not above zero.
    """
    check_labels(labels, spectrum.images, classes)
    path = _strengths(spectrum, strengths)
    left, values, kind = spectrum.left, spectrum.values, spectrum.left.dtype
    truth = one_hot(labels, classes)
    share = truth.mean(dim=0)
    target, centred = truth.to(kind)[:, None], (truth - share).to(kind)[:, None]
    found = spectrum.project(labels, classes)
    shrunk = values / (values + path[:, None])  # (L, r): how much of each direction is left
    kept = 1 - 1 / spectrum.images - left.square() @ shrunk.T.to(kind)  # (N, L): 1 - h
    kept = kept.clamp(min=torch.finfo(kind).eps)

    def left_out(some: slice) -> Tensor:
        """(N, S, C) scores of each image by the heads without it, at S of the strengths."""
        layers = (shrunk[some, :, None] * found).to(kind).transpose(0, 1).flatten(1)  # (r, S * C): one product serves them
        errors = centred - (left @ layers).view(len(left), -1, classes)
        return target - errors / kept[:, some, None]

    accuracies, some = torch.empty_like(path), max(1, TOGETHER // classes)
    for at in range(0, len(path), some):
        go_on(cancelled)
        part = slice(at, at + some)
        accuracies[part] = (left_out(part).argmax(dim=2) == labels[:, None]).double().mean(dim=0)
    chosen = int((accuracies == accuracies.max()).nonzero()[-1])
    weights, offset = spectrum.weights((shrunk[chosen] / values.sqrt())[:, None] * found)
    head = Head(weights.float(), (share - offset).float())
    return Ridge(path, accuracies, chosen, head, left_out(slice(chosen, chosen + 1))[:, 0].double())


def sharpness(scores: Tensor, labels: Tensor) -> float:
    """The factor that makes scores (N, C) the best logits: least cross-entropy against labels (N,), in [0.01, 100].

    Guo et al. 2017 (temperature scaling), the factor being the inverse of their temperature. The loss is convex in it, so
    the zero of its slope is found by halving, to 1 %. With leave-one-out scores of `ridge`, `head.times(factor)` starts a
    training by cross-entropy where its probabilities mean something.
    """
    by_class = scores.double().T.contiguous()
    own = by_class.gather(0, labels[None]).mean()
    low, high = 1 / SHARPEST, SHARPEST
    while high > 1.01 * low:
        middle = math.sqrt(low * high)
        expected = ((middle * by_class).softmax(dim=0) * by_class).sum(dim=0).mean()
        low, high = (middle, high) if expected < own else (low, middle)
    return math.sqrt(low * high)


def _strengths(spectrum: Spectrum, given: Sequence[float] | None) -> Tensor:
    """(L,) float64, ascending."""
    typical = float(spectrum.values.mean()) if len(spectrum.values) else 1.0
    path = torch.tensor(
        sorted(given if given is not None else [typical * share for share in STRENGTHS]), dtype=torch.float64
    )
    if not len(path) or not 0 < float(path[0]) <= float(path[-1]) < float("inf"):
        raise ValueError(f"a ridge has strengths above 0, not {given}")
    return path.to(spectrum.values.device)
