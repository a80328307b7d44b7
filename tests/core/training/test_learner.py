"""A step whose loss or gradients are no numbers leaves no trace, whether the device is asked or decides for itself."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from core.augment import draws, normalised
from core.backbones import build, layer_tree
from core.plan import plan
from core.recipe import BlockRule, Recipe
from core.strategies import apply_strategy
from core.tasks.classification import Classification
from core.training.learner import Learner, Stepped

NAME, SIDE, BATCH = "mobilenet_v3_small", 32, 4
CHOICES: dict[str, dict[str, Any]] = {
    "plain": {},
    "averaged": {"ema": 0.9},
    "clipped": {"clip_norm": 1.0},
    "pulled": {"rules": (BlockRule(path="", pull=0.1),)},
    "sgd": {"optimizer": "sgd"},
    "rmsprop": {"optimizer": "rmsprop"},
}


class Poisoned(Classification):
    """A loss that is NaN, or whose gradient is infinite, when it is told so."""

    poison = ""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        found = super().loss(outputs, targets)
        if Poisoned.poison == "gradient":
            outputs.register_hook(lambda gradient: gradient * float("inf"))
        return found * float("nan") if Poisoned.poison == "loss" else found


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Learner]]:
    monkeypatch.setattr(Poisoned, "poison", "")
    tree = layer_tree(NAME, classes=3, image_size=SIDE)

    def make(decides: bool = False, strategy: str = "", **choices: Any) -> Learner:
        recipe = Recipe(backbone=NAME, weights="random", image_size=SIDE, batch_size=BATCH, **choices)
        if strategy:
            recipe = apply_strategy(recipe, strategy, tree)
        network = build(NAME, classes=3, weights="random", image_size=SIDE, seed=1)
        made = Learner(network, plan(tree, recipe.rules), Poisoned(), recipe, device=torch.device("cpu"), precision="fp32")
        made._decides = decides
        return made

    return make


def step(learner: Learner, number: int, poison: str = "", *, measured: bool = False) -> Stepped:
    Poisoned.poison = poison
    random = torch.Generator().manual_seed(number)
    pixels = torch.randint(0, 255, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8, generator=random)
    done = learner.step(pixels, torch.arange(BATCH) % 3, draws(0, 1, BATCH), step=number, lr=1e-3, measured=measured)
    Poisoned.poison = ""
    return done


def flat(thing: Any, name: str = "") -> dict[str, Any]:
    if isinstance(thing, dict):
        return {key: value for part in thing for key, value in flat(thing[part], f"{name}/{part}").items()}
    return {name: thing}


def different(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    tensors = {key for key, value in one.items() if isinstance(value, torch.Tensor)}
    return {key for key in tensors if not torch.equal(one[key], other[key])} | {
        key for key in one.keys() - tensors if one[key] != other[key]
    }


@pytest.mark.parametrize("poison", ["loss", "gradient"])
@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("decides", [False, True], ids=["asked", "decides"])
def test_a_step_that_is_no_number_leaves_no_trace(learner, decides: bool, choices: dict[str, Any], poison: str) -> None:
    one = learner(decides, **choices)
    assert float(step(one, 0).broken) == 0.0
    before = copy.deepcopy(one.state())
    assert float(step(one, 1, poison).broken) == 1.0
    counted = {"/averaged_steps"} if decides and choices.get("ema") else set()  # only how fast the average follows
    assert different(one.state(), before) == counted
    assert float(step(one, 2).broken) == 0.0
    assert one.finite()
    moved = {key.split("/")[1] for key in different(one.state(), before)}
    assert moved >= {"model", "optimizer"} | ({"average"} if "ema" in choices else set())


@pytest.mark.parametrize("decides", [False, True], ids=["asked", "decides"])
def test_a_first_step_that_is_no_number_leaves_no_trace(learner, decides: bool) -> None:
    for choices in CHOICES.values():
        if decides and "ema" in choices:
            continue
        one, other = learner(decides, **choices), learner(decides, **choices)
        step(one, 0, "loss")
        for number in (1, 2):
            step(one, number)
            step(other, number)
        assert different(one.state(), other.state()) == set(), choices


def test_a_step_learns_the_same_whoever_decides(learner) -> None:
    one, other = learner(), learner(decides=True)
    for number in range(3):
        step(one, number)
        step(other, number)
    assert different(one.state(), other.state()) == set()


def test_a_block_frozen_on_the_way_answers_as_it_stands_both_when_judged_and_when_kept() -> None:
    tree = layer_tree(NAME, classes=3, image_size=SIDE)
    recipe = Recipe(backbone=NAME, weights="random", image_size=SIDE, batch_size=BATCH, ema=0.99, lr=0.01)
    network = build(NAME, classes=3, weights="random", image_size=SIDE, seed=1)
    one = Learner(
        network, plan(tree, ()), Classification(), recipe, device=torch.device("cpu"), precision="fp32", tree=tree, images=40
    )
    for number in range(6):
        step(one, number)
    head = (BlockRule(path="", trainable=False), BlockRule(path="classifier.3", trainable=True))
    one.replan(plan(tree, head))
    step(one, 6)
    assert one.outlook.trunk is not None
    frozen = network.model.features[0][0].weight
    assert torch.equal(one.answering()["features.0.0.weight"], frozen)
    kept = build(NAME, classes=3, weights="random", image_size=SIDE, seed=2)
    kept.model.load_state_dict(one.answering())
    kept.model.eval()
    pixels = torch.randint(0, 255, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        said = kept.model(normalised(pixels, kept.mean, kept.std))
    assert torch.allclose(one.outputs(pixels), said, atol=1e-5)


def test_adapters_and_a_step_in_parts_are_passed_over_as_a_whole(learner) -> None:
    one = learner(strategy="lora")
    one.micro = 2
    step(one, 0)
    before = copy.deepcopy(one.state())
    assert before["adapters"]
    step(one, 1, "gradient")
    assert different(one.state(), before) == set()


def test_the_instruments_say_of_a_broken_step_that_nothing_moved(learner) -> None:
    readings = step(learner(), 0, "gradient", measured=True).readings
    assert {reading.update for reading in readings.values()} == {0.0}
    assert any(reading.gradient is None for reading in readings.values())


def test_an_overflow_of_fp16_is_left_to_its_scaler_and_a_loss_is_not(learner) -> None:
    one = learner()
    one._scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    step(one, 0)
    before = copy.deepcopy(one.state())
    assert float(step(one, 1, "gradient").broken) == 0.0
    assert {key.split("/")[1] for key in different(one.state(), before)} == {"model", "scaler"}  # statistics moved
    assert one._scaler.get_scale() == 2.0
    before = copy.deepcopy(one.state())
    assert float(step(one, 2, "loss").broken) == 1.0
    assert different(one.state(), before) == {"/scaler/scale"}
    assert one.finite()
