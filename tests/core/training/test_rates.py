"""A sweep foretells what a training would reach, at a hundred rates at once, and leaves nothing behind but what helps it."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from core.dataset import Dataset
from core.errors import RecipeError, TrainingError
from core.events import EpochDone, Kept
from core.recipe import AUGMENT_PRESETS, BlockRule, Recipe
from core.training.features import Features
from core.training.rates import RateSweep, Try, _grid, _ranked, _tries, sweep_rates
from core.workspace import Workspace

HEAD = "fc"
HEAD_ALONE = (BlockRule(path="", trainable=False), BlockRule(path=HEAD, trainable=True))


@pytest.fixture
def head(recipe: Recipe, pictures: Callable[..., Dataset]) -> Recipe:
    """Three epochs of the head alone, on a network whose features tell something."""
    made = pictures((40, 36, 33))
    return recipe.changed(
        dataset=made.id, backbone="thaw-small", weights="bundled", rules=HEAD_ALONE, epochs=3, val_fraction=0.3
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "weight_decay": 0.05},
        {
            "optimizer": "sgd",
            "accumulate": 2,
            "rules": (*HEAD_ALONE[:1], BlockRule(path=HEAD, trainable=True, lr_scale=0.3)),
        },
        {"optimizer": "adamw", "augment": AUGMENT_PRESETS["light"], "views": 2, "metric": "loss"},
    ],
    ids=["adamw", "sgd-scaled", "views"],
)
def test_a_training_at_a_rate_of_the_sweep_reaches_what_the_sweep_said(
    changes: dict[str, Any], head: Recipe, workspace: Workspace, run: Callable[..., Any]
) -> None:
    recipe = head.changed(**changes)
    found = sweep_rates(recipe, workspace=workspace, rates=8, low=1e-5, high=0.3)
    assert found.apart == ()
    assert found.decays == (recipe.weight_decay,)
    assert found.views == (2 if "views" in changes else 1)
    assert len({one.accuracy for one in found.tries}) > 1, "or nothing is compared"
    best = found.winner
    assert best is not None
    for one in (best, found.tries[0]):
        story = run(recipe.changed(lr=one.rate), f"at-{one.rate}")
        epochs = story.of(EpochDone)
        assert epochs[-1].val_loss == pytest.approx(one.last_loss, rel=1e-3)
        assert epochs[-1].val_accuracy == pytest.approx(one.last_accuracy, abs=1.01 / found.val_images)
        assert epochs[-1].train_loss == pytest.approx(one.train_loss, rel=1e-3)
        kept = [epoch for epoch in epochs if epoch.best][-1]
        assert kept.val_accuracy == pytest.approx(one.accuracy, abs=1.01 / found.val_images)
        assert kept.val_loss == pytest.approx(one.loss, rel=1e-3)


def test_the_best_is_the_most_accurate_of_those_that_did_not_diverge(head: Recipe, workspace: Workspace) -> None:
    found = sweep_rates(head, workspace=workspace, rates=6, decays=[0.0, 0.1], low=1e-3, high=1.0)
    assert [(one.rate, one.decay) for one in found.tries] == [(rate, decay) for rate in found.rates for decay in (0.0, 0.1)]
    best = found.winner
    assert best is not None
    assert best.accuracy == max(one.accuracy for one in found.tries if one.accuracy is not None)
    equals = [one.loss for one in found.tries if one.accuracy == best.accuracy and one.loss is not None]
    assert best.loss == min(equals)
    assert 1 <= best.epoch <= 3
    assert (found.train_images, found.val_images) == (65, 33)
    assert found.majority == 12 / 33
    assert found.ridge is not None
    assert found.ridge_left_out is not None
    assert found.majority < found.ridge <= 1
    assert found.to_dict()["tries"][0]["rate"] == 0.001


def test_what_lies_between_the_cut_and_the_head_is_gone_through(
    recipe: Recipe, workspace: Workspace, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frozen layers of a larger classifier: its features are kept before them, where they are shorter."""
    monkeypatch.setattr("core.training.trunk.SPARE", 100.0)
    rules = (BlockRule(path="", trainable=False), BlockRule(path="classifier.3", trainable=True))
    recipe = recipe.changed(backbone="mobilenet_v3_small", rules=rules, val_fraction=0.3)
    found = sweep_rates(recipe, workspace=workspace, rates=3, low=1e-3, high=0.1)
    story = run(recipe.changed(lr=found.tries[1].rate))
    assert story.of(Kept)[0].block != "classifier.2"
    assert story.of(EpochDone)[-1].val_loss == pytest.approx(found.tries[1].last_loss, rel=1e-4)


def test_the_epoch_is_the_one_that_a_training_would_keep() -> None:
    accuracy = torch.tensor([[0.93], [0.92], [0.90], [0.70]])
    found = SimpleNamespace(
        val_accuracy=accuracy, val_loss=torch.tensor([[0.5], [0.3], [0.4], [0.2]]), train_loss=accuracy,
        diverged=torch.tensor([False]),
    )  # fmt: skip
    for images, by_loss, epoch in ((100, False, 2), (10**6, False, 1), (100, True, 4)):
        (one,) = _tries(found, [(0.1, 0.0)], by_loss=by_loss, images=images)
        assert (one.epoch, one.accuracy) == (epoch, pytest.approx(float(accuracy[epoch - 1, 0])))


def test_a_lucky_rate_among_worse_ones_is_not_the_best() -> None:
    accuracies = [0.5, 0.8, 0.9, 0.9, 0.9, 0.8, 0.7, 0.95, 0.6, None, 0.99]
    tries = [Try(1.1**at, 0.0, 1, one, one, one, one, one, one is None) for at, one in enumerate(accuracies)]
    assert _ranked(tries, by_loss=False)[0] == 3
    assert 9 not in _ranked(tries, by_loss=False), "it diverged"
    apart = [replace(one, rate=2.0**at) for at, one in enumerate(tries)]
    assert _ranked(apart, by_loss=False)[:2] == (10, 7), "rates that are far apart say nothing of each other"
    other_decay = [*apart, replace(tries[2], decay=0.1, accuracy=1.0)]
    assert _ranked(other_decay, by_loss=False)[0] == 11


def test_groups_of_heads_give_what_all_together_give(
    head: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timeless(found: RateSweep) -> list[Try]:
        return list(found.tries)

    whole = timeless(sweep_rates(head, workspace=workspace, rates=5))
    monkeypatch.setattr("core.training.rates.TOGETHER_NUMBERS", 1)
    parts = timeless(sweep_rates(head, workspace=workspace, rates=5))
    for one, other in zip(whole, parts, strict=True):
        assert (one.rate, one.epoch) == (other.rate, other.epoch)
        assert one.loss == pytest.approx(other.loss, rel=1e-4)


def test_rates_are_short_numbers_that_differ() -> None:
    hundred = _grid(100, 1e-4, 1.0)
    assert (hundred[0], hundred[-1]) == (1e-4, 1.0)
    assert list(hundred) == sorted(set(hundred))
    assert all(rate == float(f"{rate:.1e}") for rate in hundred)
    assert len(set(_grid(1000, 1e-4, 1.0))) == 1000


def test_what_only_a_training_does_is_named(head: Recipe, workspace: Workspace) -> None:
    apart = {
        "optimizer": "adam", "schedule": "constant", "clip_norm": 1.0, "loss": "focal", "balanced": True,
        "label_smoothing": 0.1, "mixup": 0.2, "cutmix": 1.0, "dropout": 0.2, "ema": 0.9, "metric": "macro_f1", "patience": 1,
    }  # fmt: skip
    noise = AUGMENT_PRESETS["light"].model_copy(update={"noise": 0.1})
    later = (HEAD_ALONE[0], BlockRule(path=HEAD, trainable=True, pull=0.1))
    recipe = head.changed(**apart, augment=noise, cache=False, epochs=2, rules=later, views=2)
    found = sweep_rates(recipe, workspace=workspace, rates=2)
    assert set(found.apart) == {*apart, "augment.noise", "cache", "rules"}
    assert found.views == 2
    assert sweep_rates(head.changed(optimizer="sgd", nesterov=True), workspace=workspace, rates=2).apart == ("nesterov",)


# no trace


def test_it_leaves_chance_threads_and_folders_alone_but_the_training_after_it_begins_at_once(
    head: Recipe, workspace: Workspace, run: Callable[..., Any]
) -> None:
    recipe = head.changed(seed=77, image_size=48)  # nothing is kept for it yet
    chance, threads = torch.get_rng_state(), torch.get_num_threads()
    before = {path for path in workspace.root.rglob("*") if not path.is_relative_to(workspace.cache)}
    told: list[tuple[int, int]] = []
    sweep_rates(recipe.changed(threads=threads + 1), workspace=workspace, rates=3, progress=lambda *at: told.append(at))
    assert {path for path in workspace.root.rglob("*") if not path.is_relative_to(workspace.cache)} == before
    assert torch.equal(torch.get_rng_state(), chance)
    assert torch.get_num_threads() == threads
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((0, 100), (100, 100))
    story = run(recipe)
    assert [event.seconds_per_image for event in story.of(Kept)] == [None], "they were there from before"


# what can go wrong


@pytest.mark.parametrize(
    "rules",
    [
        (),
        (*HEAD_ALONE, BlockRule(path="layer4", trainable=True)),
        (*HEAD_ALONE, BlockRule(path="layer4", trainable=True, since=2)),
        (BlockRule(path="", trainable=False, adapter=4), HEAD_ALONE[1]),
        (BlockRule(path="", trainable=False), BlockRule(path=f"{HEAD}.bias", trainable=True)),
    ],
    ids=["everything", "another-block", "later", "adapters", "half-a-head"],
)
def test_where_more_or_less_than_the_head_learns_it_is_refused(
    rules: tuple[BlockRule, ...], head: Recipe, workspace: Workspace
) -> None:
    with pytest.raises(RecipeError, match="Freeze everything but the head") as caught:
        sweep_rates(head.changed(rules=rules), workspace=workspace)
    assert (caught.value.code, caught.value.values) == (
        "sweep.needs_head",
        {"backbone": "thaw-small", "head": HEAD},
    )


def test_a_head_that_is_no_linear_layer_is_refused(head: Recipe, workspace: Workspace) -> None:
    rules = (BlockRule(path="", trainable=False), BlockRule(path="classifier.1", trainable=True))
    with pytest.raises(RecipeError) as caught:
        sweep_rates(head.changed(backbone="squeezenet1_1", rules=rules), workspace=workspace)
    assert caught.value.code == "sweep.needs_head"


def test_without_validation_images_the_way_out_is_said(head: Recipe, workspace: Workspace) -> None:
    with pytest.raises(RecipeError, match="Set the validation share above zero") as caught:
        sweep_rates(head.changed(val_fraction=0.0), workspace=workspace)
    assert caught.value.code == "sweep.no_validation"


def test_without_room_this_is_said(head: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Features, "has_room", lambda self, epoch: False)
    with pytest.raises(TrainingError) as caught:
        sweep_rates(head.changed(split_seed=9), workspace=workspace)
    assert caught.value.code == "sweep.not_kept"


@pytest.mark.parametrize("patience", [0, 3, 30])
def test_it_can_be_called_off_at_any_time(patience: int, head: Recipe, workspace: Workspace) -> None:
    asked = iter([False] * patience)
    with pytest.raises(TrainingError) as caught:
        sweep_rates(head.changed(split_seed=patience + 20), workspace=workspace, cancelled=lambda: next(asked, True))
    assert caught.value.code == "finder.cancelled"


@pytest.mark.parametrize("wrong", [{"rates": 1}, {"low": 0.0}, {"low": 0.5, "high": 0.1}, {"high": 11.0}, {"decays": []}])
def test_an_empty_range_is_refused(wrong: dict[str, Any], head: Recipe, workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="no sweep of"):
        sweep_rates(head, workspace=workspace, **wrong)
