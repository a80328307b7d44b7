"""Average: of the weights over the last steps (Tarvainen and Valpola 2017). It follows fast at first."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor


class Average:
    """Empty, and false, where `keep`, the share of the average that stays at each step, is 0."""

    def __init__(self, keep: float, start: Mapping[str, Tensor]) -> None:
        self.weights = {name: tensor.clone() for name, tensor in start.items()} if keep else {}
        """By name, on the device of `start`."""
        self.steps = 0
        """Averaged over."""
        self._keep = keep

    def __bool__(self) -> bool:
        return bool(self.weights)

    def stand_still(self, changing: Collection[str], now: Mapping[str, Tensor]) -> None:
        """What is not `changing` is its own average: as it is `now`, here and in its file."""
        for name in self.weights.keys() - set(changing):
            self.weights[name].copy_(now[name])

    def take(self, changing: Collection[str], now: Mapping[str, Tensor], sound: Tensor | None) -> None:
        """Follow what is `changing`. With `sound`, one number on the device, only where that is not 0.

        Where the device decides, a step that did not count still counts for how fast.
        """
        self.steps += 1
        keep = min(self._keep, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name in changing:
                kept = self.weights[name]
                if kept.is_floating_point():
                    kept.lerp_(now[name], 1 - keep if sound is None else (1 - keep) * sound)
                else:
                    kept.copy_(now[name])

    def load(self, saved: Mapping[str, Tensor], steps: int, start: Mapping[str, Tensor]) -> None:
        """Go on from what was `saved` after so many `steps`; what is not in it is as at the `start`."""
        for name, tensor in self.weights.items():
            tensor.copy_(saved.get(name, start[name]))
        self.steps = steps
