"""What a run will ask of this machine: memory, and seconds for an epoch. Arithmetic on a tree and its plan, no torch.

Both are for training alone; validation, decoding and the app itself come on top. What the whole network costs is measured
(`Costs`, by `core.training.costs`); how that falls to its blocks is reckoned, per image:

    work     = forward flops of all blocks
             + BACKWARD x flops of each block that learns                    (gradient of its weights)
             + BACKWARD x flops of each block after the first that learns    (gradient of its input)
             + MOVED_FORWARD x numbers kept in all blocks                    (norms, activations, sums: bound by memory)
             + MOVED_BACKWARD x numbers kept from the first block that learns on
    frozen   = the same of the blocks before the first that learns, forward alone
    seconds  = images x (changing one + asked x frozen / forward work of all + learning x (work - frozen) / work of all)
             + steps x (one with nothing to do + update x numbers that learn)
    memory   = 4 bytes x (2 x all weights + numbers that learn x (1 gradient + moments of the optimizer))
             + bytes of a number x batch size x (numbers kept from the first block that learns on
                                                 + BUFFERS x the largest output)
             + 2 bytes x all weights in half precision

Where what frozen blocks say is kept, changing images and asking these blocks fall out of each epoch and are done once for
every view; validation images are left out here.

All weights are there twice: as they are, and as they began, which is what distances are measured from.
"""

import math
import threading
from dataclasses import dataclass
from itertools import pairwise
from operator import mul

from core.layers import Block, LayerTree
from core.plan import Plan, plan, thawing
from core.recipe import AUGMENT_PRESETS, Recipe

BACKWARD = 1.5
MOVED_FORWARD, MOVED_BACKWARD = 75.0, 350.0
"""In flops of a convolution; fitted to 14 runs of 9 networks on one core of an AMD Zen 5 in fp32."""
BUFFERS = 4
"""Outputs of the largest block that live at one time besides what is kept: it, its gradient, and a copy of each."""
LEAST_GAIN = 0.25
"""Share of a step's work that must fall away: keeping what frozen blocks say and repeating views is not worth less."""
BUDGET_BYTES = 10 * 2**30
"""Of what one run may keep: what does not find room in memory is mapped from the disk."""
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2, "rmsprop": 2}
"""Numbers that an optimizer remembers for each one that learns."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds that one network costs on one machine at one image size."""

    learning: float
    """There and back of one image where everything learns."""
    asked: float
    """There of one image where nothing does, norms folded in, few images at a time."""
    changing: float
    """One image at random."""
    update: float
    """The optimizer, of one number that learns, in one step."""
    step: float
    """The rest of one step: what it takes with hardly anything to do."""


CostsKey = tuple[str, str, str, int, int, str, str]
_known: dict[CostsKey, Costs] = {}
_writing = threading.Lock()


def costs_key(recipe: Recipe) -> CostsKey:
    """All that costs depend on but the machine."""
    changes = recipe.augment.model_dump_json()
    precision = "fp32" if recipe.reference else recipe.precision
    return (
        recipe.device, precision, recipe.backbone, recipe.image_size, recipe.batch_size, recipe.optimizer, changes
    )  # fmt: skip


def known_costs(recipe: Recipe) -> Costs | None:
    """What the network of `recipe` costs, if this process has measured it."""
    return _known.get(costs_key(recipe))


def remember_costs(recipe: Recipe, costs: Costs) -> None:
    """For `known_costs` in this process."""
    with _writing:
        _known[costs_key(recipe)] = costs


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one run."""

    memory_bytes: int
    seconds_per_epoch: float | None
    """None if the costs are not known."""
    seconds_once: float | None
    """For what frozen blocks say about all images in all views; 0 where it is not kept."""
    kept: bool
    """What frozen blocks say is worked out once and kept."""
    forward_flops: int
    """Of one image."""

    def seconds(self, epochs: int) -> float | None:
        """Of training for so many epochs."""
        if self.seconds_per_epoch is None or self.seconds_once is None:
            return None
        return self.seconds_once + epochs * self.seconds_per_epoch


def estimate(tree: LayerTree, plan: Plan, recipe: Recipe, *, images: int, costs: Costs | None) -> Estimate:
    """For an epoch over `images` on a machine where the network has such `costs`; see the head of this file."""
    frozen, whole = _frozen_work(tree, plan), work(tree, plan)
    views = min(views_of(recipe), recipe.epochs)
    gain = frozen / whole if whole else 0.0
    fits = images * views * _kept_bytes(tree, plan) <= BUDGET_BYTES
    kept = gain >= LEAST_GAIN and repeats(recipe) and fits and not recipe.reference
    memory = _memory(tree, plan, recipe)
    if costs is None:
        return Estimate(memory, None, None, kept, tree.root.flops)
    asking = costs.changing + costs.asked * frozen / _forward_work(tree)
    learning = costs.learning * (whole - frozen) / _learning_work(tree)
    steps = math.ceil(images / (recipe.batch_size * recipe.accumulate))
    each = images * (learning if kept else asking + learning) + steps * (costs.step + costs.update * plan.trainable)
    once = images * views * asking if kept else 0.0
    return Estimate(memory, each, once, kept, tree.root.flops)


def forecast(tree: LayerTree, recipe: Recipe, *, images: int, costs: Costs | None) -> Estimate:
    """As `estimate`, of a whole run whose blocks may begin to learn on the way; seconds of an epoch are the mean.

    Wherever other rules begin to hold, what the blocks that are frozen then say is worked out anew. Raises RecipeError as
    `plan` does.
    """
    begins = [1, *(epoch for epoch in thawing(recipe.rules) if epoch <= recipe.epochs)]
    spans = [after - before for before, after in pairwise([*begins, recipe.epochs + 1])]
    parts = [
        estimate(
            tree, plan(tree, recipe.rules, epoch), recipe.model_copy(update={"epochs": span}), images=images,
            costs=costs,
        )
        for epoch, span in zip(begins, spans, strict=True)
    ]  # fmt: skip
    each = [part.seconds_per_epoch for part in parts if part.seconds_per_epoch is not None]
    once = [part.seconds_once for part in parts if part.seconds_once is not None]
    return Estimate(
        memory_bytes=max(part.memory_bytes for part in parts),
        seconds_per_epoch=sum(map(mul, spans, each)) / recipe.epochs if each else None,
        seconds_once=sum(once) if once else None,
        kept=any(part.kept for part in parts),
        forward_flops=tree.root.flops,
    )


def repeats(recipe: Recipe) -> bool:
    """What frozen blocks say may be kept: what training changes about an image is the same when its view comes round."""
    return recipe.cache and recipe.augment.noise == 0 and recipe.mixup == 0 and recipe.cutmix == 0


def views_of(recipe: Recipe) -> int:
    """Changes of each training image that take turns where they are kept; 1 if nothing about it is changed by chance."""
    return 1 if recipe.augment == AUGMENT_PRESETS["none"] else recipe.views


def work(tree: LayerTree, plan: Plan) -> float:
    """Of training with one image, in flops; see the head of this file."""
    total, reached = 0.0, False
    for block, learns in _in_order(tree, plan):
        flops, kept = _own(block)
        total += flops * (1 + BACKWARD * (learns + reached)) + kept * MOVED_FORWARD
        reached |= learns
        total += kept * MOVED_BACKWARD if reached else 0.0
    return total


def _learning_work(tree: LayerTree) -> float:
    """As `work` where everything learns."""
    return work(tree, plan(tree, ()))


def _forward_work(tree: LayerTree) -> float:
    """Of one image through all blocks, in flops."""
    return sum(flops + kept * MOVED_FORWARD for flops, kept in map(_own, tree.blocks()))


def _frozen_work(tree: LayerTree, plan: Plan) -> float:
    """Of one image up to the first block that learns, in flops."""
    total = 0.0
    for block, learns in _in_order(tree, plan):
        if learns:
            return total
        flops, kept = _own(block)
        total += flops + kept * MOVED_FORWARD
    return total


def _kept_bytes(tree: LayerTree, plan: Plan) -> int:
    """Of what the last block before the first that learns gives for one image, at four bytes a number."""
    last = 0
    for block, learns in _in_order(tree, plan):
        if learns:
            return last
        last = 4 * _size(block) if not block.children and block.output_shape else last
    return last


def _memory(tree: LayerTree, plan: Plan, recipe: Recipe) -> int:
    kept, reached = 0, False
    for block, learns in _in_order(tree, plan):
        reached |= learns
        kept += _own(block)[1] if reached else 0
    half = recipe.precision in {"bf16", "fp16"}
    largest = max((_size(block) for block in tree.blocks()), default=0)
    weights = 4 * (2 * plan.total + plan.trainable * (1 + MOMENTS[recipe.optimizer])) + (2 * plan.total if half else 0)
    return weights + (2 if half else 4) * recipe.batch_size * (kept + BUFFERS * largest)


def _in_order(tree: LayerTree, plan: Plan) -> list[tuple[Block, bool]]:
    """Blocks from input to output, each with whether something of its own learns."""
    still = plan.frozen - {adapter.parameter for adapter in plan.adapters}
    return [(block, any(p.name not in still for p in block.parameters)) for block in tree.blocks()]


def _own(block: Block) -> tuple[int, int]:
    """Flops and kept numbers of a block without its children's."""
    children = block.children
    return block.flops - sum(c.flops for c in children), block.activations - sum(c.activations for c in children)


def _size(block: Block) -> int:
    count = 1
    for side in block.output_shape or (0,):
        count *= side
    return count
