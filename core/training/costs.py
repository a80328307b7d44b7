"""Costs: what one network takes on this machine, measured in about a second with the learner that trains it.

Its weights are random and the images are grey: neither changes what it takes. A large network is asked with fewer images
than a batch, so that the second holds.
"""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from core.augment import augment, draws, working_size
from core.backbones import build
from core.device import choose_device, choose_precision
from core.estimate import Costs, known_costs, remember_costs, work
from core.layers import LayerTree
from core.optim import make_optimizer
from core.plan import Plan, plan
from core.recipe import BlockRule, Recipe
from core.tasks.classification import Classification
from core.training.features import CHUNK
from core.training.learner import Learner
from core.workspace import Workspace

SECONDS = 0.25
"""For each figure, or three tries if these take longer."""
FLOPS = {"cpu": 6e10}
"""Of one step, at most; a GPU, which would only wait for launches, takes the whole batch."""
GREY = 128


def measure_costs(recipe: Recipe, tree: LayerTree, workspace: Workspace | None) -> Costs:
    """Of the network of `recipe`, whose `tree` this is; measured once a process. Loads torch.

    Raises TrainingError (`training.no_device`) and what `build` raises.
    """
    if (known := known_costs(recipe)) is None:
        known = _measured(recipe, tree, workspace)
        remember_costs(recipe, known)
    return known


def _measured(recipe: Recipe, tree: LayerTree, workspace: Workspace | None) -> Costs:
    device = choose_device(recipe.device)
    classes = tree.root.output_shape[0] if tree.root.output_shape else 2
    network = build(
        recipe.backbone, classes=classes, weights="random", workspace=workspace, seed=0, image_size=recipe.image_size
    )
    network.model.to(device).to(memory_format=torch.channels_last)
    everything = plan(tree, ())
    asked = Recipe(
        backbone=recipe.backbone, weights="random", image_size=recipe.image_size, batch_size=recipe.batch_size,
        optimizer=recipe.optimizer, augment=recipe.augment, device=recipe.device, precision=recipe.precision,
    )  # fmt: skip
    precision = choose_precision("fp32" if recipe.reference else recipe.precision, device, network.model)
    learner = Learner(network, everything, Classification(), asked, device=device, precision=precision, tree=tree, images=1)
    batch = recipe.batch_size
    if device.type in FLOPS:
        batch = max(2, min(batch, int(FLOPS[device.type] / max(1.0, work(tree, everything)))))
    side = working_size(recipe.augment, recipe.image_size)
    pixels = torch.full((batch, 3, side, side), GREY, dtype=torch.uint8, device=device)
    plain = pixels[:, :, : recipe.image_size, : recipe.image_size].contiguous()
    targets = torch.zeros(batch, dtype=torch.int64, device=device)
    table = draws(0, 1, batch).to(device)

    def change() -> Tensor:
        return augment(pixels, table, recipe.augment, recipe.image_size, mean=network.mean, std=network.std)

    changing = _seconds(lambda: change().sum()) / batch
    whole = _seconds(lambda: learner.step(pixels, targets, table, step=0, lr=0.0)[0])
    update = _updating(learner, everything, asked) / everything.trainable
    learner.replan(plan(tree, (BlockRule(path="", trainable=False), BlockRule(path=tree.head, trainable=True))))
    answers = _asking(learner, plain)
    least = 0.0
    if learner.outlook.trunk is not None:
        given = learner.activations(plain, None)
        least = _seconds(lambda: learner.step(given, targets, None, step=0, lr=0.0)[0])
    learning = (whole - least) / batch - changing - update * everything.trainable / batch
    return Costs(max(learning, 0.0), answers, changing, update, least)


def _updating(learner: Learner, everything: Plan, recipe: Recipe) -> float:
    """Seconds of the optimizer where everything learns."""
    model = learner.network.model
    optimizer = make_optimizer(
        model, everything, kind=recipe.optimizer, lr=0.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def step() -> Tensor:
        optimizer.step()
        return next(model.parameters()).detach().sum()

    taken = _seconds(step)
    model.zero_grad(set_to_none=True)
    return taken


def _asking(learner: Learner, pixels: Tensor) -> float:
    """Seconds of one image through all that a head stands on, as it is done where that is kept: each thread by itself."""
    if learner.outlook.trunk is None:
        return _seconds(lambda: learner.outputs(pixels).sum()) / len(pixels)
    if learner.device.type != "cpu":
        return _seconds(lambda: learner.activations(pixels, None).sum()) / len(pixels)
    threads, some = torch.get_num_threads(), pixels[: CHUNK["cpu"]]
    with ThreadPoolExecutor(threads, "costs", initializer=lambda: torch.set_num_threads(1)) as pool:
        try:
            taken = _seconds(lambda: sum(pool.map(lambda _: learner.activations(some, None).sum(), range(threads))))
        finally:
            torch.set_num_threads(threads)  # threads that begin later take over what was set last
    return taken / (threads * len(some))


def _seconds(act: Callable[[], "Tensor | float"]) -> float:
    """The median of a few; what `act` gives is waited for."""
    float(act())
    taken: list[float] = []
    while (sum(taken) < SECONDS and len(taken) < 100) or len(taken) < 2:
        start = time.perf_counter()
        float(act())
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
