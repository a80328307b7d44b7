"""Softmax regression to its optimum: the head that training looks for, found by L-BFGS in the basis of the spectrum."""

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from core.heads.head import Cancelled, Head, Progress, check_labels, go_on
from core.heads.spectrum import Spectrum

MEMORY = 10
"""Pairs of step and change of gradient that shape the next step."""
ENOUGH = 1e-4
"""Share of the fall that the slope foretells which a step must bring (Armijo; Nocedal & Wright 2006, algorithm 3.1)."""
HALVINGS = 30
NOISE = 4
"""Rounding errors of a loss. Near the optimum steps change it by less, and only its slope still tells a good one: the
approximate condition of Hager and Zhang 2005, equation 4.1. Without it single precision stalls, 20 trials a round."""


@dataclass(frozen=True, slots=True)
class Softmax:
    """Where the search ended."""

    head: Head
    loss: float
    """Mean cross-entropy in nats, plus the penalty."""
    gradient: float
    """Largest entry of the gradient, in the units of the search (see `softmax`)."""
    iterations: int
    converged: bool
    """The gradient is within the tolerance. Else the rounds were used up, or rounding errors hid every further fall."""
    losses: tuple[float, ...]
    """Before the first iteration and after each; near the end they may rise by a rounding error."""


def softmax(
    spectrum: Spectrum,
    labels: Tensor,
    classes: int,
    *,
    decay: float = 1e-4,
    tolerance: float = 1e-5,
    iterations: int = 200,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Softmax:
    """The head of least mean cross-entropy plus `decay` / 2 times its squared weights; the bias is free.

    In scikit-learn's `LogisticRegression`, C is 1 / (N decay). Limited-memory BFGS (Liu and Nocedal 1989; Nocedal & Wright
    2006, algorithm 7.4) with halved steps. The units of the search: each direction of the spectrum is divided by the root of
    Böhning's bound on its curvature (1992), values / (2 N) + decay, which makes features of any scale equally easy and the
    first step safe. `progress` hears iterations done and their limit. Raises TrainingError (`head.cancelled`), and
    ValueError for labels that do not fit or a negative decay. With decay 0 and separable images there is no optimum:
    the search then ends where the loss is nearly zero, or with its rounds.
    """
    check_labels(labels, spectrum.images, classes)
    if not 0 <= decay < float("inf"):
        raise ValueError(f"decay is a number from 0 up, not {decay}")
    problem = _Problem(spectrum, labels, classes, decay)
    at = torch.zeros(classes, problem.inputs.shape[1], dtype=problem.inputs.dtype, device=labels.device)
    loss, gradient = problem(at)
    noise = NOISE * torch.finfo(at.dtype).eps
    losses, pairs = [loss], deque[tuple[Tensor, Tensor]](maxlen=MEMORY)
    while (steepest := float(gradient.abs().max())) > tolerance and len(losses) <= iterations:
        direction = _direction(gradient, pairs)
        slope = float((direction * gradient).sum())
        length = 1.0
        for _ in range(HALVINGS):
            go_on(cancelled)
            there = at + length * direction
            lower, new = problem(there)
            equal = lower <= loss + noise * abs(loss) and float((direction * new).sum()) <= (2 * ENOUGH - 1) * slope
            if equal or lower <= loss + ENOUGH * length * slope:
                break
            length /= 2
        else:
            break
        step, change = there - at, new - gradient
        if float((step * change).sum()) > 0:
            pairs.append((step, change))
        at, loss, gradient = there, lower, new
        losses.append(loss)
        if progress:
            progress(len(losses) - 1, iterations)
    weights, offset = spectrum.weights((at[:, :-1].double() * problem.scale).T)
    head = Head(weights.float(), (at[:, -1].double() * problem.free - offset).float())
    return Softmax(head, loss, steepest, len(losses) - 1, steepest <= tolerance, tuple(losses))


class _Problem:
    """Loss and gradient at weights (C, r + 1) in the units of the search, the last column being the bias."""

    def __init__(self, spectrum: Spectrum, labels: Tensor, classes: int, decay: float) -> None:
        images, kind = spectrum.images, spectrum.left.dtype
        self.decay, self.labels = decay, labels[None]
        self.scale = (spectrum.values / (2 * images) + decay).rsqrt()  # (r,) float64
        self.free = 2**0.5
        self.inputs = torch.empty(images, len(self.scale) + 1, dtype=kind, device=labels.device)
        torch.mul(spectrum.left, (spectrum.values.sqrt() * self.scale).to(kind), out=self.inputs[:, :-1])
        self.inputs[:, -1] = self.free
        self.pull = torch.cat([decay * self.scale.square(), self.scale.new_zeros(1)]).to(kind)

    def __call__(self, at: Tensor) -> tuple[float, Tensor]:
        logs = (at @ self.inputs.T).log_softmax(dim=0)  # (C, N): sums over the first axis are the fast ones
        own = logs.gather(0, self.labels)
        wrong = logs.exp_().scatter_add_(0, self.labels, torch.full_like(own, -1.0))
        pulled = at * self.pull
        loss = -own.double().mean() + (at * pulled).sum(dtype=torch.float64) / 2
        return float(loss), torch.addmm(pulled, wrong, self.inputs, alpha=1 / self.inputs.shape[0])


def _direction(gradient: Tensor, pairs: deque[tuple[Tensor, Tensor]]) -> Tensor:
    """Minus the inverse Hessian that `pairs` tell of, times the gradient. Without pairs: minus the gradient."""
    direction, shares = -gradient, []
    for step, change in reversed(pairs):
        share = (step * direction).sum() / (step * change).sum()
        shares.append(share)
        direction = direction - share * change
    if pairs:
        step, change = pairs[-1]
        direction = direction * ((step * change).sum() / change.square().sum())
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        direction = direction + (share - (change * direction).sum() / (step * change).sum()) * step
    return direction
