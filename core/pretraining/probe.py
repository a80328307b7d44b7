"""Probe: of what use are the features? A ridge classifier on a frozen network, on images that were never drawn here.

Legend: N images, D features, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from core.backbones.network import MEAN, STD
from core.images import decode

RIDGE = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Strengths to choose from, in shares of the mean variance of the features."""


@dataclass(frozen=True, slots=True)
class Task:
    """Images to tell apart. `pixels` (N, 3, S, S) uint8, `labels` (N,) int."""

    name: str
    pixels: Tensor
    labels: np.ndarray


def stacked(name: str, files: Iterator[tuple[bytes, int]], side: int) -> Task:
    """A task of encoded images and their labels."""
    both = [(decode(data, side, "crop"), label) for data, label in files]
    pixels = torch.from_numpy(np.stack([image for image, _ in both])).permute(0, 3, 1, 2).contiguous()
    return Task(name, pixels, np.array([label for _, label in both]))


@torch.inference_mode()
def features(model: nn.Module, pixels: Tensor) -> np.ndarray:
    """(N, D) float32 before the last layer, of a network without one or with one that passes everything on."""
    model.eval()
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    ready = partial(torch.Tensor.contiguous, memory_format=torch.channels_last)
    return torch.cat([model(ready((part / 255 - mean) / std)) for part in torch.split(pixels, 64)]).numpy()


def accuracy(found: np.ndarray, labels: np.ndarray, *, each: int, seeds: range) -> np.ndarray:
    """Share of right answers for each seed: learned from `each` images of every class, asked about all others.

    The strength of the ridge is the best on a third of the images to learn from.
    """
    return np.array([_once(found, labels, each, seed) for seed in seeds])


def _once(found: np.ndarray, labels: np.ndarray, each: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    classes = np.unique(labels)
    picked = np.stack([rng.permutation(np.flatnonzero(labels == one))[:each] for one in classes])
    rest = np.setdiff1d(np.arange(len(labels)), picked)
    third = max(1, each // 3)
    few, held = picked[:, third:].ravel(), picked[:, :third].ravel()
    best = max(RIDGE, key=lambda ridge: _right(found, labels, few, held, ridge))
    return _right(found, labels, picked.ravel(), rest, best)


def _right(found: np.ndarray, labels: np.ndarray, learn: np.ndarray, ask: np.ndarray, ridge: float) -> float:
    """Balanced over the classes: the mean of the shares found of each."""
    middle, spread = found[learn].mean(0), found[learn].std(0) + 1e-3 * found[learn].std() + 1e-6
    x, q = (found[learn] - middle) / spread, (found[ask] - middle) / spread
    classes, index = np.unique(labels[learn], return_inverse=True)
    target = np.eye(len(classes), dtype=np.float32)[index] - 1 / len(classes)
    gram = x @ x.T
    weights = np.linalg.solve(gram + ridge * x.shape[1] * np.eye(len(x), dtype=np.float32), target)
    said = classes[((q @ x.T) @ weights).argmax(1)]
    truth = labels[ask]
    return float(np.mean([np.mean(said[truth == one] == one) for one in classes]))
