"""The arithmetic of the estimate, number by number; what it measures, it measures once."""

import pytest

from core.backbones import layer_tree
from core.errors import TrainingError
from core.estimate import (
    BACKWARD,
    BUFFERS,
    FOLDED,
    MOVED_BACKWARD,
    MOVED_FORWARD,
    STEP_SECONDS,
    UPDATED,
    estimate,
    forecast,
    measure_speed,
    work,
)
from core.layers import Block, LayerTree, Parameter
from core.plan import plan
from core.recipe import AUGMENT_PRESETS, Augment, BlockRule, Recipe
from core.strategies import apply_strategy


def block(path: str, weights: int, flops: int, kept: int, shape: tuple[int, ...]) -> Block:
    return Block(path, "Conv2d", (Parameter(f"{path}.weight", weights, 4),), (), False, shape, flops, kept)


BLOCKS = (block("a", 10, 1000, 30, (2, 4, 4)), block("b", 20, 2000, 20, (5, 2)), block("head", 5, 100, 3, (5,)))
TREE = LayerTree("toy", Block("", "Net", (), BLOCKS, False, (5,), 3100, 53 + 7), "head")
"""The network itself keeps 7 numbers besides its blocks', and does no sums."""
ALL, HEAD = plan(TREE, ()), plan(TREE, [BlockRule(path="", trainable=False), BlockRule(path="head", trainable=True)])
MIDDLE = plan(TREE, [BlockRule(path="a", trainable=False), BlockRule(path="head", trainable=False)])
NOTHING = plan(TREE, [BlockRule(path="", trainable=False)])


def test_everything_learns_each_block_goes_back_twice_but_the_first_that_needs_no_gradient_of_its_input() -> None:
    flops = 3100 + BACKWARD * (1000 + 2 * 2000 + 2 * 100)
    moved = MOVED_FORWARD * 60 + MOVED_BACKWARD * 53
    assert work(TREE, ALL, batch_size=5) == pytest.approx(flops + moved + UPDATED * 35 / 5)


def test_the_head_alone_pays_the_forward_pass_and_its_own_weights() -> None:
    flops = 3100 + BACKWARD * 100
    moved = MOVED_FORWARD * 60 + MOVED_BACKWARD * 3
    assert work(TREE, HEAD, batch_size=5) == pytest.approx(flops + moved + UPDATED * 5 / 5)


def test_a_frozen_block_above_a_learning_one_passes_gradients_through() -> None:
    flops = 3100 + BACKWARD * (2000 + 100)
    moved = MOVED_FORWARD * 60 + MOVED_BACKWARD * 23
    assert work(TREE, MIDDLE, batch_size=5) == pytest.approx(flops + moved + UPDATED * 20 / 5)


def test_nothing_learns_only_the_forward_pass_is_paid() -> None:
    assert work(TREE, NOTHING, batch_size=5) == pytest.approx(3100 + MOVED_FORWARD * 60)


def test_seconds_are_images_times_work_over_speed() -> None:
    made = estimate(TREE, ALL, Recipe(batch_size=5), images=100, flops_per_second=2e6)
    assert made.seconds_per_epoch == pytest.approx(100 * work(TREE, ALL, batch_size=5) / 2e6 + 20 * STEP_SECONDS)
    assert (made.seconds_once, made.kept) == (0.0, False)
    assert made.seconds(3) == pytest.approx(3 * made.seconds_per_epoch)
    assert made.forward_flops == 3100


def test_a_batch_is_never_larger_than_the_data() -> None:
    made = estimate(TREE, ALL, Recipe(batch_size=64), images=4, flops_per_second=1.0)
    assert made.seconds_per_epoch == pytest.approx(4 * work(TREE, ALL, batch_size=4))


def test_without_a_speed_there_are_no_seconds() -> None:
    assert estimate(TREE, ALL, Recipe(), images=100, flops_per_second=None).seconds_per_epoch is None


@pytest.mark.parametrize(("optimizer", "moments"), [("sgd", 1), ("adam", 2), ("adamw", 2)])
def test_memory_is_weights_gradients_moments_and_what_the_backward_pass_needs(optimizer: str, moments: int) -> None:
    made = estimate(TREE, ALL, Recipe(optimizer=optimizer, batch_size=8), images=100, flops_per_second=None)
    assert made.memory_bytes == 4 * (2 * 35 + 35 * (1 + moments)) + 4 * 8 * (53 + BUFFERS * 32)


def test_frozen_blocks_below_the_boundary_keep_no_activations_and_no_moments() -> None:
    made = estimate(TREE, HEAD, Recipe(batch_size=8), images=100, flops_per_second=None)
    assert made.memory_bytes == 4 * (2 * 35 + 5 * 3) + 4 * 8 * (3 + BUFFERS * 32)


def test_half_precision_halves_activations_and_adds_a_copy_of_the_weights() -> None:
    made = estimate(TREE, ALL, Recipe(batch_size=8, precision="bf16"), images=100, flops_per_second=None)
    assert made.memory_bytes == 4 * (2 * 35 + 35 * 3) + 2 * 35 + 2 * 8 * (53 + BUFFERS * 32)


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "densenet121"])
def test_what_learns_more_never_costs_less(name: str) -> None:
    tree = layer_tree(name, classes=5)
    order = ["head", "last-stage", "last-two-stages", "layerwise", "full"]
    made = []
    for strategy in order:
        recipe = apply_strategy(Recipe(weights="pretrained"), strategy, tree)
        made.append(estimate(tree, plan(tree, recipe.rules), recipe, images=100, flops_per_second=1e11))
    seconds = [one.seconds_per_epoch for one in made]
    memory = [one.memory_bytes for one in made]
    assert seconds == sorted(seconds)  # type: ignore[type-var]
    assert memory == sorted(memory)
    assert seconds[0] < seconds[-1] / 2  # type: ignore[operator]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_every_optimizer_has_its_memory(optimizer: str) -> None:
    made = estimate(TREE, ALL, Recipe(batch_size=8, optimizer=optimizer), images=100, flops_per_second=None)
    assert made.memory_bytes > 0


def test_adapters_cost_the_way_back_to_them_but_few_moments() -> None:
    tree = layer_tree("resnet18", classes=10)
    made = {}
    for strategy in ("head", "lora", "full"):
        recipe = apply_strategy(Recipe(weights="pretrained"), strategy, tree)
        made[strategy] = estimate(tree, plan(tree, recipe.rules), recipe, images=100, flops_per_second=1e11)
    assert made["lora"].seconds_per_epoch > 0.7 * made["full"].seconds_per_epoch > 2 * made["head"].seconds_per_epoch
    assert made["head"].memory_bytes < made["lora"].memory_bytes < made["full"].memory_bytes


def test_resnet18_takes_the_memory_that_was_measured() -> None:
    """Peak resident memory of AdamW steps on 32 images in fp32, less that of the process before, measured on a CPU:
    293 MB at 64 px, 566 MB at 128 px, 284 MB with the last stage alone, 159 MB with the head alone; and the copy of the
    45 MB of weights that the learner keeps, which those steps had not."""
    for size, strategy, measured in [(64, "full", 293), (128, "full", 566), (128, "last-stage", 284), (128, "head", 159)]:
        tree = layer_tree("resnet18", classes=10, image_size=size)
        recipe = apply_strategy(Recipe(image_size=size), strategy, tree)
        made = estimate(tree, plan(tree, recipe.rules), recipe, images=100, flops_per_second=None)
        assert made.memory_bytes / 1e6 == pytest.approx(measured + 45, rel=0.2)


def test_the_speed_is_measured_once_a_process() -> None:
    first = measure_speed("cpu", "fp32")
    assert first > 1e8
    assert measure_speed("cpu", "fp32") == first


def test_measuring_leaves_the_random_numbers_of_training_alone() -> None:
    import torch

    torch.manual_seed(5)
    before = torch.get_rng_state()
    measure_speed("auto", "fp32")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(TrainingError, match="cuda:99") as caught:
        measure_speed("cuda:99")
    assert caught.value.code == "training.no_device"


def test_frozen_blocks_are_paid_once_for_each_view_where_they_are_kept() -> None:
    recipe = Recipe(batch_size=5, epochs=10, views=4, augment=AUGMENT_PRESETS["light"])
    made = estimate(TREE, HEAD, recipe, images=100, flops_per_second=2e6)
    frozen = 3000 + MOVED_FORWARD * 57
    assert made.kept
    assert made.seconds_once == pytest.approx(4 * 100 * FOLDED * frozen / 2e6)
    assert made.seconds_per_epoch == pytest.approx(100 * (work(TREE, HEAD, batch_size=5) - frozen) / 2e6 + 20 * STEP_SECONDS)
    assert made.seconds(10) == pytest.approx(made.seconds_once + 10 * made.seconds_per_epoch)


@pytest.mark.parametrize("changes", [{"cache": False}, {"mixup": 0.2}, {"cutmix": 1.0}, {"augment": Augment(noise=0.1)}])
def test_what_is_not_kept_is_paid_in_every_epoch(changes: dict[str, object]) -> None:
    made = estimate(TREE, HEAD, Recipe(batch_size=5).changed(**changes), images=100, flops_per_second=2e6)
    assert (made.kept, made.seconds_once) == (False, 0.0)
    assert made.seconds_per_epoch == pytest.approx(100 * work(TREE, HEAD, batch_size=5) / 2e6 + 20 * STEP_SECONDS)


def test_a_reference_run_keeps_nothing() -> None:
    made = estimate(TREE, HEAD, Recipe(batch_size=5, reference=True), images=100, flops_per_second=2e6)
    assert (made.kept, made.seconds_once) == (False, 0.0)


def test_a_forecast_adds_up_what_learns_in_each_stretch_of_the_run() -> None:
    tree = layer_tree("thaw-small", classes=5, image_size=64)
    recipe = Recipe(backbone="thaw-small", image_size=64, epochs=10)
    told = {}
    for strategy in ("head", "gradual", "full"):
        chosen = apply_strategy(recipe, strategy, tree)
        told[strategy] = forecast(tree, chosen, images=500, flops_per_second=1e11).seconds(10) or 0.0
    assert told["head"] < 0.5 * told["gradual"] < 0.5 * 0.95 * told["full"]
    later = (
        recipe.with_rule("", trainable=False).with_rule("fc", trainable=True).with_rule("layer4", trainable=True, since=7)
    )
    spans = [(1, 6), (7, 4)]
    parts = [
        estimate(tree, plan(tree, later.rules, epoch), later.changed(epochs=n), images=500, flops_per_second=1e11).seconds(n)
        for epoch, n in spans
    ]
    assert forecast(tree, later, images=500, flops_per_second=1e11).seconds(10) == pytest.approx(sum(parts))
    beyond = later.changed(epochs=6)
    alone = estimate(tree, plan(tree, beyond.rules, 1), beyond, images=500, flops_per_second=1e11).seconds(6)
    assert forecast(tree, beyond, images=500, flops_per_second=1e11).seconds(6) == pytest.approx(alone)


def test_the_planner_and_the_engine_agree_about_what_is_kept() -> None:
    """The tree alone, without torch, foretells what the graph of the network decides."""
    import torch

    from core.backbones import build
    from core.optim import apply_plan
    from core.training.trunk import outlook

    for name in ("resnet18", "thaw-small", "mobilenet_v3_small"):
        network = build(name, classes=5, image_size=64)
        tree = layer_tree(name, classes=5, image_size=64)
        for strategy in ("head", "last-stage", "full", "bias"):
            recipe = apply_strategy(Recipe(backbone=name, image_size=64), strategy, tree)
            made = plan(tree, recipe.rules)
            apply_plan(network.model, made)
            seen = outlook(network, tree, made, recipe, images=500, device=torch.device("cpu"), half=None)
            assert estimate(tree, made, recipe, images=500, flops_per_second=None).kept == seen.kept, (name, strategy)
