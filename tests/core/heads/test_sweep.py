"""Gate E7: a sweep is what so many separate runs would have been."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import TrainingError
from core.heads import Head, Rate, sweep
from core.schedule import lr_factor
from core.training.batches import batches, shuffled
from tests.core.heads.conftest import clouds

CLASSES, EPOCHS, BATCH, SEED = 4, 3, 25, 11
RATES = [Rate(0.01), Rate(0.3, 1e-3), Rate(0.1, 0.05), Rate(1e-4, 1.0), Rate(0.5)]
Pair = tuple[Tensor, Tensor]


def plain_run(
    data: Pair, validation: Pair, rate: Rate, kind: str, warmup: float, start: Head | None, views: Sequence[Tensor] = ()
) -> dict[str, Any]:
    """One head, one torch optimizer, one loop."""
    features, labels = data
    layer = nn.Linear(features.shape[1], CLASSES)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    if start is not None:
        layer.load_state_dict({"weight": start.weight, "bias": start.bias})
    groups = [{"params": [layer.weight], "weight_decay": rate.weight_decay}, {"params": [layer.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=rate.lr, momentum=0.9) if kind == "sgd" else torch.optim.AdamW(groups, lr=rate.lr)
    train, val, accuracy, step = [], [], [], 0
    for epoch in range(1, EPOCHS + 1):
        parts = batches(shuffled(SEED, epoch, len(features)), BATCH)
        seen = [features, *views][(epoch - 1) % (1 + len(views))]
        lost = 0.0
        for rows in parts:
            factor = lr_factor(
                step, steps_per_epoch=len(parts), epochs=EPOCHS, schedule="cosine", warmup_epochs=warmup
            )  # fmt: skip
            for group in optimizer.param_groups:
                group["lr"] = rate.lr * factor
            loss = F.cross_entropy(layer(seen[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            lost += loss.item() * len(rows)
            step += 1
        train.append(lost / len(features))
        with torch.no_grad():
            logits = layer(validation[0])
            val.append(F.cross_entropy(logits, validation[1]).item())
            accuracy.append((logits.argmax(dim=1) == validation[1]).double().mean().item())
    return {"train": train, "val": val, "accuracy": accuracy, "weight": layer.weight.detach(), "bias": layer.bias.detach()}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(("images", "warmup", "started"), [(201, 0.0, False), (190, 0.5, True), (22, 0.0, False)])
def test_a_sweep_is_so_many_separate_runs(optimizer: Any, images: int, warmup: float, started: bool) -> None:
    # no split of equal classes begins at zero: its bias would have a gradient of zero, whose rounding AdamW scales up to one
    features, labels = clouds(images + 57, 16, CLASSES)
    data, validation = (features[:images], labels[:images]), (features[images:], labels[images:])
    start = (
        Head(torch.randn(CLASSES, 16, generator=torch.Generator().manual_seed(5)), torch.arange(4.0)) if started else None
    )
    found = sweep(
        *data, CLASSES, RATES, validation=validation, epochs=EPOCHS, batch_size=BATCH, optimizer=optimizer,
        warmup_epochs=warmup, seed=SEED, start=start,
    )  # fmt: skip
    for at, rate in enumerate(RATES):
        run = plain_run(data, validation, rate, optimizer, warmup, start)
        assert found.train_loss[:, at].tolist() == pytest.approx(run["train"], abs=1e-5)
        assert found.val_loss[:, at].tolist() == pytest.approx(run["val"], abs=1e-5)
        assert found.val_accuracy[:, at].tolist() == pytest.approx(run["accuracy"], abs=1e-12)
        assert torch.allclose(found.head(at).weight, run["weight"], rtol=1e-5, atol=1e-5)
        assert torch.allclose(found.head(at).bias, run["bias"], rtol=1e-5, atol=1e-5)
    assert not found.diverged.any()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_best_is_the_most_accurate_and_of_equals_the_one_of_least_loss(optimizer: Any) -> None:
    features, labels = clouds(260, 16, CLASSES, apart=1.5)
    found = sweep(
        features[:200], labels[:200], CLASSES, RATES, validation=(features[200:], labels[200:]), optimizer=optimizer
    )
    last, loss = found.val_accuracy[-1], found.val_loss[-1]
    assert last.unique().numel() > 1
    equals = [at for at in range(len(RATES)) if last[at] == last.max()]
    assert found.best == min(equals, key=lambda at: float(loss[at]))
    head = found.head(found.best)
    assert (head(features[200:]).argmax(dim=1) == labels[200:]).double().mean() == last.max()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_head_that_diverges_is_marked_and_disturbs_nobody(optimizer: Any) -> None:
    features, labels = clouds(260, 16, CLASSES)
    data = (features[:200], labels[:200], CLASSES)
    validation = (features[200:], labels[200:])
    wild = [RATES[0], Rate(1e20, 1e20), *RATES[1:]]
    tame = [RATES[0], Rate(0.05), *RATES[1:]]
    with_it, without = (sweep(*data, rates, validation=validation, optimizer=optimizer) for rates in (wild, tame))
    assert with_it.diverged.tolist() == [False, True, False, False, False, False]
    others = [0, 2, 3, 4, 5]
    assert torch.equal(with_it.weights[others], without.weights[others])
    assert torch.equal(with_it.val_loss[:, others], without.val_loss[:, others])
    assert with_it.best in others
    assert sweep(*data, [wild[1]], validation=validation, optimizer=optimizer).best is None


def test_without_validation_the_least_training_loss_is_the_best() -> None:
    features, labels = clouds(200, 16, CLASSES)
    empty = (features[:0], labels[:0])
    for validation in (None, empty):
        found = sweep(features, labels, CLASSES, RATES, validation=validation)
        assert found.val_loss.isnan().all()
        assert found.val_accuracy.isnan().all()
        assert not found.diverged.any()
        assert found.best == int(found.train_loss[-1].argmin())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_views_take_turns_over_the_epochs(optimizer: Any) -> None:
    features, labels = clouds(160, 16, CLASSES)
    data, validation = (features[:120], labels[:120]), (features[120:], labels[120:])
    other = data[0] + 0.3 * torch.randn(data[0].shape, generator=torch.Generator().manual_seed(3))
    start = Head(torch.randn(CLASSES, 16, generator=torch.Generator().manual_seed(5)), torch.arange(4.0))
    found = sweep(
        *data, CLASSES, RATES, validation=validation, epochs=EPOCHS, batch_size=BATCH, optimizer=optimizer, seed=SEED,
        start=start, views=[other],
    )  # fmt: skip
    for at, rate in enumerate(RATES):
        run = plain_run(data, validation, rate, optimizer, 0.0, start, [other])
        assert found.train_loss[:, at].tolist() == pytest.approx(run["train"], abs=1e-5)
        assert torch.allclose(found.head(at).weight, run["weight"], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="a view is"):
        sweep(*data, CLASSES, RATES, views=[other[:-1]])


def test_equal_seeds_give_equal_numbers_and_others_do_not() -> None:
    features, labels = clouds(200, 16, CLASSES)
    one, two, other = (sweep(features, labels, CLASSES, RATES, batch_size=32, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.weights, two.weights)
    assert torch.equal(one.train_loss, two.train_loss)
    assert not torch.equal(one.weights, other.weights)


def test_it_tells_every_step_and_can_be_called_off() -> None:
    features, labels = clouds(100, 6, CLASSES)
    heard: list[tuple[int, int]] = []
    sweep(features, labels, CLASSES, RATES, epochs=2, batch_size=50, progress=lambda *both: heard.append(both))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    asked = iter([False, False, True])
    heard.clear()
    with pytest.raises(TrainingError, match="called off"):
        sweep(
            features, labels, CLASSES, RATES, epochs=2, batch_size=50,
            progress=lambda *both: heard.append(both), cancelled=lambda: next(asked),
        )  # fmt: skip
    assert heard == [(1, 4), (2, 4)]


def test_what_does_not_fit_is_refused() -> None:
    features, labels = clouds(20, 6, CLASSES)
    for wrong in ({"rates": []}, {"epochs": 0}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="no sweep of"):
            sweep(features, labels, CLASSES, **{"rates": RATES, **wrong})
    with pytest.raises(TrainingError, match="not numbers"):
        sweep(features * torch.nan, labels, CLASSES, RATES)
    with pytest.raises(ValueError, match="do not fit"):
        sweep(features, labels, CLASSES, RATES, validation=(features, labels + 2))
