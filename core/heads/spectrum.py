"""Spectrum: the one decomposition of features from which ridge, transfer scores and the preconditioner all follow.

Knows no labels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from core.heads.head import Cancelled, check_features, go_on

EXACT = 10**9
"""Multiplications in the Gram matrix up to which it is made in double precision (some 40 ms on one core of 2.6 GHz)."""
CUT = {torch.float64: 1e-12, torch.float32: 1e-7}
"""Shares of the largest eigenvalue below which a direction is noise: that of float32 features, and of float32 arithmetic."""
ROWS = 1024
"""Summed in single precision at a time, and in double from there on: the sums of many rows stay as exact as those of few."""
PANEL = 256
"""Rows of the Gram matrix made at a time: narrow ones save work above its diagonal, wide ones keep the products fast."""
ROUNDING = 64
"""Sums of squares of so many rounding errors, squared, of the features as they are: what is left of equal ones is noise."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The centred features, features - mean = left @ diag(sqrt(values)) @ right.T, without directions of no variance."""

    mean: Tensor
    """(D,) float64."""
    left: Tensor
    """(N, r) orthonormal columns, each summing to zero; float64 where that is cheap, else float32."""
    values: Tensor
    """(r,) float64, descending: sums of squares along each direction. r may be 0: all images have the same features."""
    right: Tensor
    """(D, r) orthonormal columns, in the precision of `left`."""

    @property
    def images(self) -> int:
        """N."""
        return len(self.left)

    def project(self, labels: Tensor, classes: int) -> Tensor:
        """(r, C) float64: `left.T` times the one-hot labels, which is also its product with the centred ones."""
        return (self.left.T @ one_hot(labels, classes).to(self.left.dtype)).double()

    def weights(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Of a layer (r, C) on the centred features turned by `right`: weights (C, D) and their products with the mean (C,).

        Both float64.
        """
        weights = (self.right.double() @ coordinates).T
        return weights, weights @ self.mean


def decompose(features: Tensor, *, exact: bool | None = None, cancelled: Cancelled | None = None) -> Spectrum:
    """The spectrum of features (N, D), by eigendecomposition of the smaller of their two Gram matrices.

    `exact`: in double precision; None decides by the work. In single precision directions with less than 1e-7 of the largest
    sum of squares are lost, and the scores of the weakest ridges are good to three decimals. `cancelled` is asked between
    blocks of the Gram matrix, not within the eigendecomposition (1.5 s of one core at 2,048). Raises TrainingError
    (`head.*`) and ValueError as `check_features`.
    """
    check_features(features)
    images, width = features.shape
    if exact is None:
        exact = images * width * min(images, width) <= EXACT
    kind = torch.float64 if exact else torch.float32
    first = features.to(kind).mean(dim=0)
    centred = features.to(kind) - first
    rest = centred.mean(dim=0)  # what rounding has left: the second time it is a small number's rounding
    centred -= rest
    mean = first.double() + rest.double()
    wide = images < width
    rows = centred.T if wide else centred
    vectors = torch.linalg.eigh(_gram(rows, cancelled).to(kind)).eigenvectors.flip(1)
    go_on(cancelled)
    other = rows @ vectors
    values = other.square().sum(dim=0).double()
    least = torch.finfo(kind).eps ** 2 * ROUNDING * (values.sum() + images * mean.square().sum())
    keep = values > torch.maximum(CUT[kind] * values.max(), least)
    if not keep.all():
        values, vectors, other = values[keep], vectors[:, keep], other[:, keep]
    other /= values.sqrt().to(kind)
    left, right = (vectors, other) if wide else (other, vectors)
    return Spectrum(mean, left, values, right)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(N, C) float64: 1 for the class of the image, else 0."""
    return torch.eye(classes, dtype=torch.float64, device=labels.device)[labels]


def _gram(rows: Tensor, cancelled: Cancelled | None) -> Tensor:
    """(M, M) float64: `rows.T @ rows` for rows (R, M), summed in blocks; only the lower triangle, all that `eigh` reads."""
    size = rows.shape[1]
    total = torch.zeros(size, size, dtype=torch.float64, device=rows.device)
    for block in torch.split(rows, ROWS):
        go_on(cancelled)
        for begin in range(0, size, PANEL):
            end = min(begin + PANEL, size)
            total[begin:end, :end] += block[:, begin:end].T @ block[:, :end]
    return total
