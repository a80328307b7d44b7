"""Instruments: what moved in each block in one step. Tensors in, a few numbers a block out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import isfinite, sqrt

import torch
from torch import Tensor

from core.events import Reading


class Instruments:
    """Compares a network with itself before a step and at the very start."""

    def __init__(self, start: Mapping[str, Tensor]) -> None:
        self._start = start
        """Weights and statistics at the start of the run, by name; never changed."""
        self._before: dict[str, Tensor] = {}
        self._gradients: dict[str, Tensor] = {}

    def before(self, learning: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        """Take in weights and gradients just before a step of the optimizer. Both by the name of a weight of the network."""
        self._before = {name: tensor.detach().clone() for name, tensor in learning.items()}
        names = list(gradients)
        lengths = torch._foreach_norm([gradients[name].float() for name in names]) if names else ()
        self._gradients = dict(zip(names, lengths, strict=True))

    def after(self, now: Mapping[str, Tensor], parameters: Iterable[str]) -> dict[str, Reading]:
        """By path of each block that owns something: what the step did to it. `now`: weights and statistics after it."""
        parameters = set(parameters)
        names = [name for name, tensor in now.items() if tensor.is_floating_point() and name in self._start]
        moved = _norms([now[n] for n in names], [self._start[n] for n in names])
        weights = [n for n in names if n in parameters]
        size = dict(zip(weights, _stack([now[n] for n in weights]), strict=True))
        changed = [n for n in weights if n in self._before]
        update = dict(zip(changed, _norms([now[n] for n in changed], [self._before[n] for n in changed]), strict=True))
        keys = list(self._gradients)
        gradient = dict(zip(keys, torch.stack(list(self._gradients.values())).tolist() if keys else [], strict=True))
        self._before, self._gradients = {}, {}
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0] * 5)
        for name, distance in zip(names, moved, strict=True):
            row = sums[name.rpartition(".")[0]]
            if name in parameters:
                values = gradient.get(name, 0.0), update.get(name, 0.0), size[name], distance
                for at, value in enumerate(values):
                    row[at] += value * value
            else:
                row[4] += distance * distance
        return {path: Reading(*(_short(sqrt(value)) for value in row)) for path, row in sums.items()}


def _stack(tensors: list[Tensor]) -> list[float]:
    """Euclidean lengths."""
    if not tensors:
        return []
    lengths: list[float] = torch.stack(list(torch._foreach_norm([t.detach().float() for t in tensors]))).tolist()
    return lengths


def _norms(tensors: list[Tensor], others: list[Tensor]) -> list[float]:
    """Euclidean lengths of differences."""
    if not tensors:
        return []
    return _stack(list(torch._foreach_sub([t.detach().float() for t in tensors], [t.float() for t in others])))


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if isfinite(value) else None
