"""What a network costs is measured once, leaves nothing behind, and is asked for again where it differs."""

import statistics
import time

import pytest
import torch

from core.backbones import layer_tree
from core.errors import TrainingError
from core.estimate import known_costs, remember_costs
from core.recipe import AUGMENT_PRESETS, Recipe
from core.training import costs
from core.training.costs import measure_costs

SMALL = Recipe(backbone="thaw-small", weights="random", image_size=32, batch_size=8, device="cpu", precision="fp32")
TREE = layer_tree("thaw-small", classes=3, image_size=32)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "SECONDS", 0.05)


def test_costs_are_measured_once_a_process_for_each_network_size_and_batch() -> None:
    first = measure_costs(SMALL, TREE, None)
    assert measure_costs(SMALL.changed(lr=1.0, epochs=3, strategy="head"), TREE, None) is first is known_costs(SMALL)
    assert known_costs(SMALL.changed(batch_size=4)) is None
    assert known_costs(SMALL.changed(image_size=64)) is None
    assert min(first.learning, first.asked, first.changing, first.update, first.step) > 0


def test_measuring_leaves_the_random_numbers_and_threads_of_training_alone() -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    measure_costs(SMALL.changed(batch_size=2), TREE, None)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("name", ["swin_t", "efficientnet_b0"])
def test_a_network_of_any_family_can_be_measured(name: str) -> None:
    recipe = SMALL.changed(backbone=name, batch_size=4)
    found = measure_costs(recipe, layer_tree(name, classes=3, image_size=recipe.image_size), None)
    assert min(found.learning, found.asked, found.step) > 0


@pytest.mark.parametrize("changes", [{"optimizer": "sgd"}, {"augment": AUGMENT_PRESETS["strong"]}, {"precision": "bf16"}])
def test_what_changes_the_costs_is_measured_anew(changes: dict[str, object]) -> None:
    assert known_costs(SMALL.changed(**changes)) is None
    assert measure_costs(SMALL.changed(**changes), TREE, None).learning > 0


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(TrainingError, match="cuda:99") as caught:
        measure_costs(SMALL.changed(device="cuda:99"), TREE, None)
    assert caught.value.code == "training.no_device"


def test_the_middle_of_several_tries_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 1.0, 11.0, 11.0, 13.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(costs, "SECONDS", 12.0)
    assert costs._seconds(lambda: 0.0) == statistics.median([1.0, 10.0, 2.0])


def test_what_another_part_has_measured_is_believed() -> None:
    told = costs.Costs(1.0, 1.0, 1.0, 1.0, 1.0)
    recipe = SMALL.changed(image_size=48)
    remember_costs(recipe, told)
    assert measure_costs(recipe, TREE, None) is told
