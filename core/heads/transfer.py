"""Transfer scores: how well features suit labels, by two published formulas. Both follow from the spectrum alone.

They rank backbones before any training; the leave-one-out accuracy of `ridge` does so in a unit that people know.
"""

import math

import torch
from torch import Tensor

from core.heads.head import check_labels
from core.heads.spectrum import Spectrum

ROUNDS, SETTLED, LEAST = 11, 1e-3, 1e-5
"""Of the fixed point: most rounds, change of alpha / beta at which it ends, and what keeps its divisors from zero. All three
are those of the authors' program, with which the published values were computed."""
SMALL = 1e-12
"""Precisions are above zero where rounding, or features that are all zero, would have them at it."""


def h_score(spectrum: Spectrum, labels: Tensor, classes: int) -> float:
    """tr(pinv(cov f) cov(E[f | y])): in [0, C - 1], more is better.

    Bao et al. 2019 (An Information-Theoretic Approach to Transferability in Task Transfer Learning), definition 2. In the
    basis of the spectrum it is the sum over classes of the squared length of their projection, over their images. Where N is
    not above D + 1 it says nothing: any features of full rank reach C - 1.
    """
    check_labels(labels, spectrum.images, classes)
    counts = torch.bincount(labels, minlength=classes)
    return float((spectrum.project(labels, classes).square().sum(dim=0) / counts.clamp(min=1)).sum())


def logme(spectrum: Spectrum, labels: Tensor, classes: int) -> float:
    """Logarithm of the maximum evidence, per image, mean over the classes that have images. More is better.

    You et al. 2021 (LogME: Practical Assessment of Pre-trained Models for Transfer Learning), algorithm 1: a Bayesian linear
    model of the features as they are (not centred, without intercept) for each class's one-hot labels, its precisions alpha
    (of the prior) and beta (of the noise) found by the fixed point of You et al. 2022. Their program leaves out the
    logarithms of alpha of directions without variance where N <= D; here all D of the formula count.

    The Gram matrix is that of the spectrum and a part of rank one, the mean's: with Sherman and Morrison's formula every
    round costs O(r C), and nothing is decomposed again.
    """
    check_labels(labels, spectrum.images, classes)
    counts = torch.bincount(labels, minlength=classes).double()
    there = counts > 0
    counts, images = counts[there], spectrum.images
    mean = spectrum.right.double().T @ spectrum.mean
    beside = (spectrum.mean.square().sum() - mean.square().sum()).clamp(min=0).sqrt()
    mean = torch.cat([mean, beside[None]])[:, None]  # (r + 1, 1): and what no direction of the spectrum holds of it
    values = torch.cat([spectrum.values, torch.zeros_like(beside)[None]])[:, None]
    products = spectrum.values.sqrt()[:, None] * spectrum.project(labels, classes)[:, there]
    products = torch.cat([products, torch.zeros_like(counts)[None]]) + mean * counts  # (r + 1, C): features.T @ labels
    ratio, moving = torch.ones_like(counts), torch.ones_like(counts, dtype=torch.bool)  # alpha / beta of each class
    evidence = torch.zeros_like(counts)
    for _ in range(ROUNDS):
        inverse = 1 / (values + ratio)
        along = 1 + images * (inverse * mean.square()).sum(dim=0)
        weights = inverse * products
        weights = weights - inverse * mean * (images * (weights * mean).sum(dim=0) / along)
        trace = inverse.sum(dim=0) - images * (inverse * mean).square().sum(dim=0) / along
        effective = len(values) - ratio * trace  # gamma of the paper
        length = weights.square().sum(dim=0)
        error = (counts - (products * weights).sum(dim=0) - ratio * length).clamp(min=0)
        alpha = (effective / (length + LEAST)).clamp(min=SMALL)
        beta = ((images - effective) / (error + LEAST)).clamp(min=SMALL)
        now = alpha / beta
        volume = (1 + values / now).log().sum(dim=0) + (images * (mean.square() / (values + now)).sum(dim=0)).log1p()
        found = images * (beta / (2 * math.pi)).log() - volume - beta * error - alpha * length
        evidence = torch.where(moving, found / (2 * images), evidence)
        moving = moving & ((now - ratio).abs() > SETTLED * ratio)
        ratio = torch.where(moving, now, ratio)
    return float(evidence.mean())
