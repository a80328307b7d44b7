"""Many rates at once: where only the head learns, each epoch of a hundred heads is one product. Knows no page and no chart.

The frozen blocks say once what they see in each image, as they do for a training; everything after that is `core.heads`. A
training with a rate that is found here begins at the same weights, meets the same images in the same order, and comes out
with the same head but for rounding, unless the recipe asks for something that only a training does: `RateSweep.apart`.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.backbones import layer_tree
from core.errors import RecipeError, TrainingError
from core.events import Preparing
from core.heads import Head, Rate, Sweep, decompose, ridge, sweep
from core.plan import head_alone, thawing
from core.recipe import AUGMENT_PRESETS, Recipe
from core.training.finder import borrowed
from core.training.frozen import Frozen
from core.training.glance import possible
from core.training.job import Job
from core.training.learner import Learner
from core.training.material import divide
from core.training.place import Place
from core.workspace import Workspace

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]

PARTS, READY = 100, 80
"""What `progress` counts in all, and how much of it is done when the frozen blocks have spoken."""
TOGETHER_NUMBERS = 2**25
"""Weights, or scores of one batch, that are held at once (128 MiB, of AdamW four times): more heads learn in groups."""
BESIDE = 1.25
"""Rates are neighbours up to this factor: two on either side among a hundred on four decades, none among twenty."""
ROWS = 1024
"""Activations that go through what is frozen between the cut and the head at a time."""


@dataclass(frozen=True)
class Try:
    """One rate with one decay, and what came of it. Figures are None where they were no numbers."""

    rate: float
    decay: float
    epoch: int
    """The best one, 1-based: the one that a training would keep."""
    accuracy: float | None
    """On the validation images after that epoch, in [0, 1]; so is the loss, in nats."""
    loss: float | None
    last_accuracy: float | None
    """After the last epoch."""
    last_loss: float | None
    train_loss: float | None
    """Mean over the last epoch."""
    diverged: bool
    """A loss was no number: a training would have failed."""


@dataclass(frozen=True)
class RateSweep:
    """What a sweep has shown."""

    rates: tuple[float, ...]
    """Base rates of the recipe, ascending."""
    decays: tuple[float, ...]
    tries: tuple[Try, ...]
    """Rate by rate, each with every decay."""
    ranked: tuple[int, ...]
    """Places in `tries` of those that did not diverge, the best first: each counts as the least accurate of those `BESIDE`
    it, of equals by loss. At high rates the accuracy jumps from one to the next, and rounding decides which is lucky."""
    epochs: int
    views: int
    """Of each training image; they take turns over the epochs."""
    train_images: int
    val_images: int
    majority: float
    """Share of the most frequent class of the validation images: what is right without having learned."""
    ridge_left_out: float | None
    """Accuracy without any rate: of ridge regression on the training images, each judged without itself."""
    ridge: float | None
    """Of the same on the validation images. Both are None where the features are too many or too long for it."""
    seconds: float
    """For all heads together."""
    ready_seconds: float
    """Before: reading the images, and what the frozen blocks say about them."""
    apart: tuple[str, ...]
    """Fields of the recipe that a training would follow and a sweep does not."""

    @property
    def winner(self) -> Try | None:
        """The best; None where all diverged."""
        return self.tries[self.ranked[0]] if self.ranked else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return asdict(self)


def sweep_rates(
    recipe: Recipe,
    *,
    workspace: Workspace,
    rates: int = 100,
    decays: Sequence[float] | None = None,
    low: float = 1e-4,
    high: float = 1.0,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> RateSweep:
    """Train the head of `recipe` at `rates` rates from `low` to `high`, each with every one of `decays`, all at once.

    Rates lie evenly on a logarithmic scale, as short numbers; decays of None are the recipe's own. Epochs, batches, their
    order, views, start, warm-up and the best epoch are those of a training of this recipe, the rate falls along half a
    cosine, and the optimizer is SGD or AdamW. Nothing stays behind but kept activations, which make the training that
    follows start at once. `progress` hears of hundredths. Raises every ThawError that a training can end with, RecipeError
    (`sweep.needs_head`, `sweep.no_validation`), TrainingError (`sweep.not_kept`, `finder.cancelled`), and ValueError for an
    empty range.
    """
    if rates < 2 or not 0 < low < high <= 10 or (decays is not None and not decays):
        raise ValueError(f"no sweep of {rates} rates from {low} to {high} with decays {decays}")
    begin, told = time.perf_counter(), cancelled or (lambda: False)
    tell = progress or (lambda done, total: None)
    _check(recipe, workspace)
    still = {"augment": recipe.augment.model_copy(update={"noise": 0.0}), "mixup": 0.0, "cutmix": 0.0}
    plain = recipe.model_copy(update={**still, "cache": True, "reference": False, "instruments": False})
    with borrowed(plain, workspace, told, lambda: tell(0, PARTS)) as job:
        views, val = _features(job, workspace, lambda share: tell(round(READY * share), PARTS), told)
        head = job.learner.network.model.get_submodule(job.learner.network.head)
        scale = next(iter(job.plan.rates().values()))
        grid, weight_decays = _grid(rates, low, high), tuple(decays if decays is not None else [recipe.weight_decay])
        labels, truth = (part.labels.to(val.device) for part in (job.material.train, job.material.val))
        classes, ready = len(job.material.dataset.classes), time.perf_counter()
        pairs = [(rate, decay) for rate in grid for decay in weight_decays]
        tries: list[Try] = []
        size = max(val.shape[1] + 1, recipe.batch_size * recipe.accumulate) * classes
        most = max(1, TOGETHER_NUMBERS // size)
        for some in (pairs[start : start + most] for start in range(0, len(pairs), most)):
            found = sweep(
                views[0], labels, classes, [Rate(rate * scale, decay) for rate, decay in some],
                validation=(val, truth), views=views[1:], epochs=recipe.epochs,
                batch_size=recipe.batch_size * recipe.accumulate, optimizer="sgd" if recipe.optimizer == "sgd" else "adamw",
                momentum=recipe.momentum, warmup_epochs=recipe.warmup_epochs, seed=recipe.seed, start=_start(head),
                progress=_part(tell, len(tries), len(some), len(pairs)), cancelled=told,
            )  # fmt: skip
            tries += _tries(found, some, by_loss=recipe.metric == "loss", images=len(truth))
        done = time.perf_counter()
        left_out, right = _without_rate(views[0], labels, val, truth, classes, told)
    return RateSweep(
        rates=grid,
        decays=weight_decays,
        tries=tuple(tries),
        ranked=_ranked(tries, by_loss=recipe.metric == "loss"),
        epochs=recipe.epochs,
        views=len(views),
        train_images=len(labels),
        val_images=len(truth),
        majority=float(truth.bincount().max()) / len(truth),
        ridge_left_out=left_out,
        ridge=right,
        seconds=done - ready,
        ready_seconds=ready - begin,
        apart=_apart(recipe),
    )


def _check(recipe: Recipe, workspace: Workspace) -> None:
    """Whether it can be done, before anything takes long."""
    dataset, splits = divide(recipe, workspace)
    tree = layer_tree(recipe.backbone, classes=len(dataset.classes), image_size=recipe.image_size, workspace=workspace)
    if not head_alone(tree, recipe.rules):
        raise RecipeError("sweep.needs_head", backbone=recipe.backbone, head=tree.head)
    if not splits.val:
        raise RecipeError("sweep.no_validation", dataset=dataset.name)


def _features(
    job: Job, workspace: Workspace, share: Callable[[float], None], told: Cancelled
) -> tuple[list[Tensor], Tensor]:
    """What the head is given, float32: (N, D) for each view of the training images, and for the validation images."""
    learner, every = job.learner, torch.arange(len(job.material.train))
    frozen, turns = Frozen(learner, job.material, workspace), min(learner.outlook.views, job.recipe.epochs)

    def needed(epoch: int) -> Iterator[Tensor | None]:
        for said in frozen.prepare(job.recipe, Place(epoch=epoch, step=1), told):
            if isinstance(said, Preparing):
                share((epoch - 1 + said.done / max(said.total, 1)) / turns)
        kept = frozen.current()
        yield None if kept is None else kept.train(epoch, every)
        if epoch == turns:
            yield None if kept is None else kept.val()

    given = []
    for one in (one for epoch in range(1, turns + 1) for one in needed(epoch)):
        if one is None:
            raise TrainingError("sweep.not_kept", backbone=job.recipe.backbone)
        given.append(_before_head(learner, one))
    return given[:-1], given[-1]


def _before_head(learner: Learner, kept: Tensor) -> Tensor:
    """Activations of the trunk to the inputs (N, D) of the head. The cut may lie below it, and what is between is frozen."""
    trunk, network = learner.outlook.trunk, learner.network
    if trunk is None:
        raise ValueError("nothing is set apart")
    network.model.eval()
    seen: list[Tensor] = []

    def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0].float())

    with network.model.get_submodule(network.head).register_forward_pre_hook(look):
        for some in torch.split(kept, ROWS):
            learner.through(trunk.above, some.to(learner.device))
    found = torch.cat(seen)
    return found if found.device.type in ("cpu", "cuda") else found.cpu()  # the others have no double precision


def _start(head: nn.Module) -> Head:
    """The weights that a training of this seed begins at."""
    if not isinstance(head, nn.Linear):
        raise ValueError(f"a head is a linear layer, not {type(head).__name__}")
    bias = torch.zeros(head.out_features, device=head.weight.device) if head.bias is None else head.bias
    return Head(head.weight.detach().float(), bias.detach().float())


def _without_rate(
    train: Tensor, labels: Tensor, val: Tensor, truth: Tensor, classes: int, told: Cancelled
) -> tuple[float | None, float | None]:
    """Accuracies of ridge regression: left out, and on the validation images."""
    if not possible(train):
        return None, None
    solved = ridge(decompose(train, cancelled=told), labels, classes, cancelled=told)
    return solved.accuracy, float((solved.head(val).argmax(dim=1) == truth).double().mean())


def _grid(count: int, low: float, high: float) -> tuple[float, ...]:
    """So many rates, evenly on a logarithmic scale, in as few digits (two or more) as keep them apart."""
    exact = [low * (high / low) ** (at / (count - 1)) for at in range(count)]
    digits = next((n for n in range(2, 17) if len({f"{rate:.{n - 1}e}" for rate in exact}) == count), 17)
    return tuple(float(f"{rate:.{digits - 1}e}") for rate in exact)


def _part(tell: Progress, before: int, some: int, total: int) -> Progress:
    """The progress of `some` heads after `before`, of `total`."""

    def progress(done: int, steps: int) -> None:
        tell(READY + int((PARTS - READY) * (before + some * done / steps) / total), PARTS)

    return progress


def _tries(found: Sweep, pairs: Sequence[tuple[float, float]], *, by_loss: bool, images: int) -> Iterator[Try]:
    """Each with the epoch that a training would keep, which judges by `images` validation images."""
    for at, (rate, decay) in enumerate(pairs):
        accuracy, loss = found.val_accuracy[:, at].tolist(), found.val_loss[:, at].tolist()
        gone = bool(found.diverged[at])
        place = Place()
        for place.epoch, both in enumerate(zip(accuracy, loss, strict=True), 1):
            place.judge(-both[1] if by_loss else both[0], both[1], 0 if by_loss else images)
        best = (place.best_epoch or 1) - 1
        yield Try(
            rate=rate,
            decay=decay,
            epoch=best + 1,
            accuracy=None if gone else accuracy[best],
            loss=None if gone else loss[best],
            last_accuracy=None if gone else accuracy[-1],
            last_loss=None if gone else loss[-1],
            train_loss=None if gone else float(found.train_loss[-1, at]),
            diverged=gone,
        )


def _worth(accuracy: float, loss: float, *, by_loss: bool) -> tuple[float, float]:
    """Less is better; what is no number is worst."""
    lost = loss if math.isfinite(loss) else math.inf
    return (lost, 0.0) if by_loss else (-accuracy, lost)


def _ranked(tries: Sequence[Try], *, by_loss: bool) -> tuple[int, ...]:
    """A neighbour that diverged was right never."""
    worths = []
    for at, one in enumerate(tries):
        beside = [
            other for other in tries if other.decay == one.decay and 1 / BESIDE <= other.rate / one.rate <= BESIDE
        ]  # itself, too
        accuracy = min(other.accuracy or 0.0 for other in beside)
        loss = max(math.inf if other.loss is None else other.loss for other in beside)
        if not one.diverged:
            worths.append((_worth(accuracy, loss, by_loss=by_loss), at))
    return tuple(at for _, at in sorted(worths))


def _apart(recipe: Recipe) -> tuple[str, ...]:
    """Names of what the recipe asks for and no sweep does."""
    changed = recipe.augment != AUGMENT_PRESETS["none"]
    asked = {
        "optimizer": recipe.optimizer not in ("sgd", "adamw"),
        "nesterov": recipe.optimizer == "sgd" and recipe.nesterov,
        "schedule": recipe.schedule != "cosine",
        "clip_norm": recipe.clip_norm > 0,
        "loss": recipe.loss != "cross-entropy",
        "balanced": recipe.balanced,
        "label_smoothing": recipe.label_smoothing > 0,
        "mixup": recipe.mixup > 0,
        "cutmix": recipe.cutmix > 0,
        "augment.noise": recipe.augment.noise > 0,
        "dropout": recipe.dropout > 0,
        "ema": recipe.ema > 0,
        "metric": recipe.metric == "macro_f1",
        "patience": 0 < recipe.patience < recipe.epochs,
        "rules": any(rule.pull for rule in recipe.rules) or bool(thawing(recipe.rules)),
        "cache": changed and (recipe.reference or not recipe.cache),
    }
    return tuple(name for name, apart in asked.items() if apart)
