"""The arithmetic of the estimate, number by number."""

import dataclasses

import pytest

from core.backbones import layer_tree
from core.estimate import BACKWARD, BUFFERS, MOVED_BACKWARD, MOVED_FORWARD, Costs, estimate, forecast, work
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
COSTS = Costs(learning=0.01, asked=0.002, changing=0.0005, update=1e-9, step=0.003)
FORWARD = 3100 + MOVED_FORWARD * 60


def test_everything_learns_each_block_goes_back_twice_but_the_first_that_needs_no_gradient_of_its_input() -> None:
    flops = 3100 + BACKWARD * (1000 + 2 * 2000 + 2 * 100)
    moved = MOVED_FORWARD * 60 + MOVED_BACKWARD * 53
    assert work(TREE, ALL) == pytest.approx(flops + moved)


def test_the_head_alone_pays_the_forward_pass_and_its_own_weights() -> None:
    flops = 3100 + BACKWARD * 100
    moved = MOVED_FORWARD * 60 + MOVED_BACKWARD * 3
    assert work(TREE, HEAD) == pytest.approx(flops + moved)


def test_a_frozen_block_above_a_learning_one_passes_gradients_through() -> None:
    flops = 3100 + BACKWARD * (2000 + 100)
    moved = MOVED_FORWARD * 60 + MOVED_BACKWARD * 23
    assert work(TREE, MIDDLE) == pytest.approx(flops + moved)


def test_nothing_learns_only_the_forward_pass_is_paid() -> None:
    assert work(TREE, NOTHING) == pytest.approx(3100 + MOVED_FORWARD * 60)


def test_seconds_are_what_was_measured_where_everything_learns() -> None:
    made = estimate(TREE, ALL, Recipe(batch_size=5), images=100, costs=dataclasses.replace(COSTS, update=1e-5))
    own = 7 * MOVED_FORWARD  # of the network itself, before the first block
    asked, learned = 0.002 * own / FORWARD, 0.01 * (1 - own / work(TREE, ALL))
    assert made.seconds_per_epoch == pytest.approx(100 * (0.0005 + asked + learned) + 20 * (0.003 + 35e-5))
    assert (made.seconds_once, made.kept) == (0.0, False)
    assert made.seconds(3) == pytest.approx(3 * made.seconds_per_epoch)
    assert made.forward_flops == 3100


def test_what_learns_costs_its_share_and_what_is_frozen_is_asked() -> None:
    made = estimate(TREE, HEAD, Recipe(batch_size=5, cache=False), images=100, costs=COSTS)
    frozen = 3000 + MOVED_FORWARD * 57
    asked, learned = 0.002 * frozen / FORWARD, 0.01 * (work(TREE, HEAD) - frozen) / work(TREE, ALL)
    assert made.seconds_per_epoch == pytest.approx(100 * (0.0005 + asked + learned) + 20 * (0.003 + 5e-9))


def test_a_step_of_several_batches_is_one() -> None:
    recipe = Recipe(batch_size=5, accumulate=4)
    made = estimate(TREE, ALL, recipe, images=100, costs=Costs(0, 0, 0, 0, step=1.0))
    assert made.seconds_per_epoch == 5


def test_without_costs_there_are_no_seconds() -> None:
    assert estimate(TREE, ALL, Recipe(), images=100, costs=None).seconds_per_epoch is None


@pytest.mark.parametrize(("optimizer", "moments"), [("sgd", 1), ("adam", 2), ("adamw", 2)])
def test_memory_is_weights_gradients_moments_and_what_the_backward_pass_needs(optimizer: str, moments: int) -> None:
    made = estimate(TREE, ALL, Recipe(optimizer=optimizer, batch_size=8), images=100, costs=None)
    assert made.memory_bytes == 4 * (2 * 35 + 35 * (1 + moments)) + 4 * 8 * (53 + BUFFERS * 32)


def test_frozen_blocks_below_the_boundary_keep_no_activations_and_no_moments() -> None:
    made = estimate(TREE, HEAD, Recipe(batch_size=8), images=100, costs=None)
    assert made.memory_bytes == 4 * (2 * 35 + 5 * 3) + 4 * 8 * (3 + BUFFERS * 32)


def test_half_precision_halves_activations_and_adds_a_copy_of_the_weights() -> None:
    made = estimate(TREE, ALL, Recipe(batch_size=8, precision="bf16"), images=100, costs=None)
    assert made.memory_bytes == 4 * (2 * 35 + 35 * 3) + 2 * 35 + 2 * 8 * (53 + BUFFERS * 32)


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "densenet121"])
def test_what_learns_more_never_costs_less(name: str) -> None:
    tree = layer_tree(name, classes=5)
    order = ["head", "last-stage", "last-two-stages", "layerwise", "full"]
    made = []
    for strategy in order:
        recipe = apply_strategy(Recipe(weights="pretrained"), strategy, tree)
        made.append(estimate(tree, plan(tree, recipe.rules), recipe, images=100, costs=COSTS))
    seconds = [one.seconds_per_epoch for one in made]
    memory = [one.memory_bytes for one in made]
    assert seconds == sorted(seconds)  # type: ignore[type-var]
    assert memory == sorted(memory)
    assert seconds[0] < seconds[-1] / 2  # type: ignore[operator]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_every_optimizer_has_its_memory(optimizer: str) -> None:
    made = estimate(TREE, ALL, Recipe(batch_size=8, optimizer=optimizer), images=100, costs=None)
    assert made.memory_bytes > 0


def test_adapters_cost_the_way_back_to_them_but_few_moments() -> None:
    tree = layer_tree("resnet18", classes=10)
    made = {}
    for strategy in ("head", "lora", "full"):
        recipe = apply_strategy(Recipe(weights="pretrained"), strategy, tree)
        made[strategy] = estimate(tree, plan(tree, recipe.rules), recipe, images=100, costs=COSTS)
    assert made["lora"].seconds_per_epoch > 0.7 * made["full"].seconds_per_epoch > 2 * made["head"].seconds_per_epoch
    assert made["head"].memory_bytes < made["lora"].memory_bytes < made["full"].memory_bytes


def test_resnet18_takes_the_memory_that_was_measured() -> None:
    """Peak resident memory of AdamW steps on 32 images in fp32, less that of the process before, measured on a CPU:
    293 MB at 64 px, 566 MB at 128 px, 284 MB with the last stage alone, 159 MB with the head alone; and the copy of the
    45 MB of weights that the learner keeps, which those steps had not."""
    for size, strategy, measured in [(64, "full", 293), (128, "full", 566), (128, "last-stage", 284), (128, "head", 159)]:
        tree = layer_tree("resnet18", classes=10, image_size=size)
        recipe = apply_strategy(Recipe(image_size=size), strategy, tree)
        made = estimate(tree, plan(tree, recipe.rules), recipe, images=100, costs=None)
        assert made.memory_bytes / 1e6 == pytest.approx(measured + 45, rel=0.2)


def test_frozen_blocks_are_paid_once_for_each_view_where_they_are_kept() -> None:
    recipe = Recipe(batch_size=5, epochs=10, views=4, augment=AUGMENT_PRESETS["light"])
    made = estimate(TREE, HEAD, recipe, images=100, costs=COSTS)
    frozen = 3000 + MOVED_FORWARD * 57
    assert made.kept
    assert made.seconds_once == pytest.approx(4 * 100 * (0.0005 + 0.002 * frozen / FORWARD))
    learned = 0.01 * (work(TREE, HEAD) - frozen) / work(TREE, ALL)
    assert made.seconds_per_epoch == pytest.approx(100 * learned + 20 * (0.003 + 5e-9))
    assert made.seconds(10) == pytest.approx(made.seconds_once + 10 * made.seconds_per_epoch)


@pytest.mark.parametrize("changes", [{"cache": False}, {"mixup": 0.2}, {"cutmix": 1.0}, {"augment": Augment(noise=0.1)}])
def test_what_is_not_kept_is_paid_in_every_epoch(changes: dict[str, object]) -> None:
    made = estimate(TREE, HEAD, Recipe(batch_size=5).changed(**changes), images=100, costs=COSTS)
    assert (made.kept, made.seconds_once) == (False, 0.0)
    kept = estimate(TREE, HEAD, Recipe(batch_size=5, views=1), images=100, costs=COSTS)
    assert made.seconds_per_epoch == pytest.approx((kept.seconds_once or 0.0) + (kept.seconds_per_epoch or 0.0))


def test_a_reference_run_keeps_nothing() -> None:
    made = estimate(TREE, HEAD, Recipe(batch_size=5, reference=True), images=100, costs=COSTS)
    assert (made.kept, made.seconds_once) == (False, 0.0)


def test_a_forecast_adds_up_what_learns_in_each_stretch_of_the_run() -> None:
    tree = layer_tree("thaw-small", classes=5, image_size=64)
    recipe = Recipe(backbone="thaw-small", image_size=64, epochs=10)
    told = {}
    for strategy in ("head", "gradual", "full"):
        chosen = apply_strategy(recipe, strategy, tree)
        told[strategy] = forecast(tree, chosen, images=500, costs=COSTS).seconds(10) or 0.0
    assert told["head"] < 0.5 * told["gradual"] < 0.5 * 0.95 * told["full"]
    later = (
        recipe.with_rule("", trainable=False).with_rule("fc", trainable=True).with_rule("layer4", trainable=True, since=7)
    )
    spans = [(1, 6), (7, 4)]
    parts = [
        estimate(tree, plan(tree, later.rules, epoch), later.changed(epochs=n), images=500, costs=COSTS).seconds(n)
        for epoch, n in spans
    ]
    assert forecast(tree, later, images=500, costs=COSTS).seconds(10) == pytest.approx(sum(parts))
    beyond = later.changed(epochs=6)
    alone = estimate(tree, plan(tree, beyond.rules, 1), beyond, images=500, costs=COSTS).seconds(6)
    assert forecast(tree, beyond, images=500, costs=COSTS).seconds(6) == pytest.approx(alone)


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
            assert estimate(tree, made, recipe, images=500, costs=None).kept == seen.kept, (name, strategy)
