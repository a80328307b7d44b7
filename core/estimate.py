"""What a run will ask of this machine: memory, and seconds for an epoch. Arithmetic on a tree and its plan, no torch.

Both are for training alone; validation, decoding and the app itself come on top. Formulas, per image unless said otherwise:

    work     = forward flops of all blocks
             + BACKWARD x flops of each block that learns                    (gradient of its weights)
             + BACKWARD x flops of each block after the first that learns    (gradient of its input)
             + MOVED_FORWARD x numbers kept in all blocks                    (norms, activations, sums: bound by memory)
             + MOVED_BACKWARD x numbers kept from the first block that learns on
             + UPDATED x numbers that learn / batch size                     (the optimizer's step)
    seconds  = images x work / speed + steps x STEP_SECONDS
    memory   = 4 bytes x (2 x all weights + numbers that learn x (1 gradient + moments of the optimizer))
             + bytes of a number x batch size x (numbers kept from the first block that learns on
                                                 + BUFFERS x the largest output)
             + 2 bytes x all weights in half precision

Where what frozen blocks say is kept, their part of the work (forward alone) falls out of each epoch and is done once for
every view, FOLDED; validation images are left out here.

All weights are there twice: as they are, and as they began, which is what distances are measured from.
`speed` is that of the same kind of work, measured on a small network: so constants matter only between networks.
"""

import math
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from operator import mul
from typing import Literal

from core.layers import Block, LayerTree
from core.plan import Plan, plan, thawing
from core.recipe import AUGMENT_PRESETS, Recipe

BACKWARD = 1.5
MOVED_FORWARD, MOVED_BACKWARD = 75.0, 350.0
UPDATED = 600.0
"""In flops of a convolution; fitted to 14 runs of 9 networks on one core of an AMD Zen 5 in fp32."""
BUFFERS = 4
"""Outputs of the largest block that live at one time besides what is kept: it, its gradient, and a copy of each."""
PROBE, PROBE_SIDE = "thaw-small", 112
PROBE_IMAGES = {"cpu": 8}
"""Other devices take 256: a large one would only wait for launches."""
PROBE_SECONDS = 0.5
STEP_SECONDS = 0.0015
"""Of Python in one step: what a step with nothing to do takes, on one AMD Zen 5 core."""
FOLDED = 0.6
"""Of the work of frozen blocks when they are asked once: norms folded in, nothing kept, few images at a time."""
LEAST_GAIN = 0.25
"""Share of a step's work that must fall away: keeping what frozen blocks say and repeating views is not worth less."""
BUDGET_BYTES = 10 * 2**30
"""Of what one run may keep: what does not find room in memory is mapped from the disk."""
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2, "rmsprop": 2}
"""Numbers that an optimizer remembers for each one that learns."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one run."""

    memory_bytes: int
    seconds_per_epoch: float | None
    """None if the machine's speed is not known."""
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


def estimate(tree: LayerTree, plan: Plan, recipe: Recipe, *, images: int, flops_per_second: float | None) -> Estimate:
    """For an epoch over `images` on a machine that does `flops_per_second` of such work; see the head of this file."""
    frozen = _frozen_work(tree, plan)
    whole = work(tree, plan, batch_size=min(recipe.batch_size, max(images, 1)))
    views = min(views_of(recipe), recipe.epochs)
    gain = frozen / whole if whole else 0.0
    fits = images * views * _kept_bytes(tree, plan) <= BUDGET_BYTES
    kept = gain >= LEAST_GAIN and repeats(recipe) and fits and not recipe.reference
    memory = _memory(tree, plan, recipe)
    if flops_per_second is None:
        return Estimate(memory, None, None, kept, tree.root.flops)
    steps = math.ceil(images / (recipe.batch_size * recipe.accumulate))
    each = images * (whole - frozen if kept else whole) / flops_per_second + steps * STEP_SECONDS
    once = images * views * FOLDED * frozen / flops_per_second if kept else 0.0
    return Estimate(memory, each, once, kept, tree.root.flops)


def forecast(tree: LayerTree, recipe: Recipe, *, images: int, flops_per_second: float | None) -> Estimate:
    """As `estimate`, of a whole run whose blocks may begin to learn on the way; seconds of an epoch are the mean.

    Wherever other rules begin to hold, what the blocks that are frozen then say is worked out anew. Raises RecipeError as
    `plan` does.
    """
    begins = [1, *(epoch for epoch in thawing(recipe.rules) if epoch <= recipe.epochs)]
    spans = [after - before for before, after in pairwise([*begins, recipe.epochs + 1])]
    parts = [
        estimate(
            tree, plan(tree, recipe.rules, epoch), recipe.model_copy(update={"epochs": span}), images=images,
            flops_per_second=flops_per_second,
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


def work(tree: LayerTree, plan: Plan, *, batch_size: int) -> float:
    """Of training with one image, in flops; see the head of this file. A `batch_size` of 0: without the optimizer's step."""
    total = UPDATED * plan.trainable / batch_size if batch_size else 0.0
    reached = False
    for block, learns in _in_order(tree, plan):
        flops, kept = _own(block)
        total += flops * (1 + BACKWARD * (learns + reached)) + kept * MOVED_FORWARD
        reached |= learns
        total += kept * MOVED_BACKWARD if reached else 0.0
    return total


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


_speeds: dict[tuple[str, str], float] = {}
_measuring = threading.Lock()


def measure_speed(device: str = "auto", precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto") -> float:
    """Work of training that `device` does in a second now, in flops; measured once a process, in about a second.

    Loads torch. Raises TrainingError (`training.no_device`).
    """
    import torch

    from core.backbones import build, layer_tree
    from core.device import choose_device, choose_precision

    with _measuring:
        if (device, precision) not in _speeds:
            where = choose_device(device)
            network = build(PROBE, classes=10, image_size=PROBE_SIDE).model.to(where).to(memory_format=torch.channels_last)
            chosen = choose_precision(precision, where, network)
            count = PROBE_IMAGES.get(where.type, 256)
            images = torch.ones(count, 3, PROBE_SIDE, PROBE_SIDE, device=where).to(memory_format=torch.channels_last)
            half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(chosen)

            def step() -> None:
                with torch.autocast(where.type, dtype=half, enabled=half is not None):
                    outputs = network(images)
                torch.autograd.backward(outputs.float().sum())
                outputs.sum().item()  # waits for the device

            tree = layer_tree(PROBE, classes=10, image_size=PROBE_SIDE)
            asked = count * work(tree, plan(tree, ()), batch_size=0)
            _speeds[device, precision] = asked / _median_seconds(step)
        return _speeds[device, precision]


def known_speed(device: str) -> float | None:
    """As `measure_speed(device)`, if this process has measured it."""
    return _speeds.get((device, "auto"))


def _median_seconds(step: Callable[[], None]) -> float:
    step()
    step()
    taken: list[float] = []
    while sum(taken) < PROBE_SECONDS or len(taken) < 3:
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


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
