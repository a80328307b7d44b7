"""Sweep: many heads learn at once, each at its own rate and decay, from the same batches: one product serves them all.

The weights of the K heads stand side by side as the columns of one matrix (D, C * K), class by class: so the softmax over
classes runs along whole rows of K numbers, which a processor does seventeen times faster than along ten. A column never
meets another one, so a head that diverges disturbs nobody.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.heads.head import Cancelled, Head, Progress, check_features, check_labels, go_on
from core.seeding import stream

ORDER = 1
"""The purpose of the numbers that order images: that of a training, so that both see the same batches."""
BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Of AdamW, as in torch."""
ROWS = 64
"""Of the weights updated at a time: all that an update touches then stays in a core's own cache."""
BLOCK = 2**18
"""Scores computed at a time in validation."""

Optimizer = Literal["sgd", "adamw"]
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Rate:
    """One configuration. Decay applies to weights, not to biases, as in every run."""

    lr: float
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """What K heads have come to. Losses are mean cross-entropies in nats, without decay."""

    rates: tuple[Rate, ...]
    train_loss: Tensor
    """(E, K) float64: mean over the images of an epoch, each before the step that it made."""
    val_loss: Tensor
    """(E, K) float64, after each epoch; NaN without validation images."""
    val_accuracy: Tensor
    """(E, K) float64 in [0, 1]; NaN without validation images."""
    diverged: Tensor
    """(K,) bool: a loss was not finite."""
    best: int | None
    """Of those that did not diverge, by accuracy after the last epoch; of equals by loss, then the first. Without validation
    by training loss. None where all diverged."""
    weights: Tensor
    """(K, C, D) float32 after the last epoch; not finite where diverged."""
    biases: Tensor
    """(K, C) float32."""

    def head(self, at: int) -> Head:
        """What configuration `at` has learned."""
        return Head(self.weights[at].contiguous(), self.biases[at].contiguous())


def sweep(
    features: Tensor,
    labels: Tensor,
    classes: int,
    rates: Sequence[Rate],
    *,
    validation: Pair | None = None,
    epochs: int = 5,
    batch_size: int = 256,
    optimizer: Optimizer = "sgd",
    momentum: float = 0.9,
    warmup_epochs: float = 0.0,
    seed: int = 0,
    start: Head | None = None,
    views: Sequence[Tensor] = (),
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Sweep:
    """Train a head on features (N, D) and labels (N,) at every one of `rates`, by stochastic gradients of cross-entropy.

    Order and batches are those of a run with this seed; the rate warms up and then falls along half a cosine, as
    `schedule.lr_factor` has it. `validation`: features and labels. All begin at `start`, or at zero. `momentum` is that of
    SGD. `views`: features of the same images under other changes, which take turns over the epochs, `features` first, as the
    views of a run do. `progress` hears steps done and of all; `cancelled` is asked before each. Equal arguments give equal
    numbers on one device with the same threads. Raises TrainingError (`head.*`) and ValueError for what does not fit.
    """
    turns = [features, *views]
    for view in turns:
        check_features(view)
        if view.shape != features.shape:
            raise ValueError(f"a view is {tuple(view.shape)} and the features are {tuple(features.shape)}")
    check_labels(labels, len(features), classes)
    if not rates or epochs < 1 or batch_size < 1:
        raise ValueError(f"no sweep of {len(rates)} rates, {epochs} epochs and batches of {batch_size}")
    if validation is not None:
        check_labels(validation[1], len(validation[0]), classes)
        validation = validation if len(validation[1]) else None
    heads = _Heads(features.shape[1], classes, len(rates), features.device, start)
    learner = _LEARNERS[optimizer](heads, rates, momentum)
    steps = len(_batches(np.arange(len(features)), batch_size))
    total, warmup, done = epochs * steps, min(round(warmup_epochs * steps), epochs * steps), 0
    curves: list[tuple[Tensor, Tensor, Tensor]] = []
    for epoch in range(1, epochs + 1):
        lost = torch.zeros(len(rates), dtype=torch.float64, device=features.device)
        for places in _batches(stream(seed, epoch, ORDER).permutation(len(features)), batch_size):
            go_on(cancelled)
            rows = torch.from_numpy(places).to(features.device)
            batch = turns[(epoch - 1) % len(turns)][rows].float()
            losses, wrong = _judge(heads.scores(batch), labels[rows])
            learner.step(batch, wrong, _factor(done, warmup, total))
            lost += losses
            done += 1
            if progress:
                progress(done, total)
        curves.append((lost / len(features), *heads.validate(validation, cancelled)))
    train, loss, accuracy = (torch.stack(curve) for curve in zip(*curves, strict=True))
    seen = train if validation is None else torch.cat([train, loss])
    diverged = ~seen.isfinite().all(dim=0)
    return Sweep(
        rates=tuple(rates),
        train_loss=train,
        val_loss=loss,
        val_accuracy=accuracy,
        diverged=diverged,
        best=_best(diverged, None if validation is None else accuracy[-1], seen[-1]),
        weights=heads.weights.view(-1, classes, len(rates)).permute(2, 1, 0),
        biases=heads.bias.view(classes, len(rates)).T,
    )


class _Heads:
    """K heads side by side: `all` (D + 1, C * K), whose last row are the biases."""

    def __init__(self, width: int, classes: int, heads: int, device: torch.device, start: Head | None) -> None:
        self.classes = classes
        self.all = torch.zeros(width + 1, classes * heads, device=device)
        self.weights, self.bias = self.all[:-1], self.all[-1]
        if start is not None:
            self.weights.copy_(start.weight.T.repeat_interleave(heads, dim=1))
            self.bias.copy_(start.bias.repeat_interleave(heads))

    def validate(self, validation: Pair | None, cancelled: Cancelled | None) -> Pair:
        """Mean losses and accuracies (K,) float64 on the images of `validation`; NaN without any."""
        nobody = torch.full((self.all.shape[1] // self.classes,), math.nan, dtype=torch.float64, device=self.all.device)
        if validation is None:
            return nobody, nobody
        lost, right = torch.zeros_like(nobody), torch.zeros_like(nobody)
        rows = max(1, BLOCK // self.all.shape[1])
        for features, labels in zip(*(torch.split(each, rows) for each in validation), strict=True):
            go_on(cancelled)
            scores = self.scores(features.float())
            right += (scores.argmax(dim=1) == labels[:, None]).sum(dim=0)
            lost += _judge(scores, labels)[0]
        return lost / len(validation[1]), right / len(validation[1])

    def scores(self, features: Tensor) -> Tensor:
        """(B, C, K)."""
        return torch.addmm(self.bias, features, self.weights).view(len(features), self.classes, -1)


def _judge(scores: Tensor, labels: Tensor) -> Pair:
    """Sums over the batch of the losses (K,), and B times the gradient of their means by `scores`, in place."""
    rows = torch.arange(len(labels), device=labels.device)
    scores -= scores.amax(dim=1, keepdim=True)
    own = scores[rows, labels]
    total = scores.exp_().sum(dim=1)
    scores /= total[:, None]
    scores[rows, labels] -= 1
    return (total.log_() - own).sum(dim=0), scores.flatten(1)


class _Momentum:
    """Stochastic gradient descent with momentum, as torch's SGD: decay is part of the gradient."""

    def __init__(self, heads: _Heads, rates: Sequence[Rate], momentum: float) -> None:
        self.heads, self.momentum = heads, momentum
        self.speed = torch.zeros_like(heads.all)
        self.lr, self.decay = _row(heads, [rate.lr for rate in rates]), _row(heads, [rate.weight_decay for rate in rates])
        self.decays = any(rate.weight_decay for rate in rates)

    def step(self, batch: Tensor, wrong: Tensor, factor: float) -> None:
        share = 1 / len(batch)
        self.speed[:-1].addmm_(batch.T, wrong, beta=self.momentum, alpha=share)
        self.speed[-1].mul_(self.momentum).add_(wrong.sum(dim=0), alpha=share)
        if self.decays:
            self.speed[:-1].addcmul_(self.heads.weights, self.decay)
        self.heads.all.addcmul_(self.speed, self.lr, value=-factor)


class _Adam:
    """AdamW (Loshchilov and Hutter 2019), as torch's: decay is apart from the gradient."""

    def __init__(self, heads: _Heads, rates: Sequence[Rate], momentum: float) -> None:
        self.heads, self.done = heads, 0
        self.gradient, self.first, self.second = (torch.zeros_like(heads.all) for _ in range(3))
        self.lr = _row(heads, [rate.lr for rate in rates])
        self.fall = _row(heads, [rate.lr * rate.weight_decay for rate in rates])
        self.decays = any(rate.weight_decay for rate in rates)

    def step(self, batch: Tensor, wrong: Tensor, factor: float) -> None:
        self.done += 1
        torch.mm(batch.T, wrong, out=self.gradient[:-1])
        torch.sum(wrong, dim=0, out=self.gradient[-1])
        share = 1 / len(batch)
        scale, root = -factor / (1 - BETAS[0] ** self.done), (1 - BETAS[1] ** self.done) ** 0.5
        if self.decays:
            self.heads.weights.mul_(1 - factor * self.fall)
        rows = ROWS if self.heads.all.device.type == "cpu" else len(self.heads.all)
        parts = (torch.split(each, rows) for each in (self.heads.all, self.gradient, self.first, self.second))
        for weights, gradient, first, second in zip(*parts, strict=True):
            gradient *= share
            first.lerp_(gradient, 1 - BETAS[0])
            second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            torch.sqrt(second, out=gradient).div_(root).add_(EPSILON)
            weights.addcmul_(torch.div(first, gradient, out=gradient), self.lr, value=scale)


_LEARNERS: dict[Optimizer, type[_Momentum] | type[_Adam]] = {"sgd": _Momentum, "adamw": _Adam}


def _row(heads: _Heads, values: list[float]) -> Tensor:
    """(C * K,): one number of each head, for the columns of `heads.all`."""
    return torch.tensor(values, device=heads.all.device).repeat(heads.classes)


def _batches(order: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """`order` in batches; a single image left over joins the batch before it, as in a run."""
    parts = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if len(parts) > 1 and len(parts[-1]) == 1 and batch_size > 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts


def _factor(step: int, warmup: int, total: int) -> float:
    """Multiplier of the rates at `step` (0-based): linear warm-up, then half a cosine, as `schedule.lr_factor`."""
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1))) / 2


def _best(diverged: Tensor, accuracy: Tensor | None, loss: Tensor) -> int | None:
    """Place of the highest accuracy, of equals the lowest loss, among those that did not diverge."""
    right = torch.zeros_like(loss) if accuracy is None else accuracy
    worth = list(zip((-right).tolist(), loss.tolist(), range(len(loss)), strict=True))
    return min((each for each, gone in zip(worth, diverged.tolist(), strict=True) if not gone), default=(0, 0, None))[-1]
