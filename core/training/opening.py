"""Opening a run: recipe to Job, fresh or from a checkpoint, telling meanwhile what it does and what has changed."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import torch

from core import checkpoint
from core.backbones import build, layer_tree
from core.device import choose_device, choose_precision, is_fault, out_of_memory
from core.errors import CheckpointError, TrainingError
from core.events import Event, Notice, Preparing
from core.plan import plan
from core.recipe import Recipe, parse
from core.tasks.classification import Classification
from core.training.job import Job
from core.training.learner import Learner
from core.training.material import Material, Watched, divide, load
from core.training.regularization import set_head_dropout, set_stochastic_depth
from core.workspace import Workspace

COMPUTING = ("thaw", "torch", "torchvision", "numpy", "pillow")
"""Packages on whose versions the numbers of a run depend."""
OUTSIDE = {"name", "device", "threads", "dataset", "max_hours"}
"""Fields of a recipe that may change without a word: other notices speak of them."""


def opened(
    recipe: Recipe, *, workspace: Workspace, folder: Path, resume: Path | None, told: Callable[[], bool]
) -> Generator[Event, None, Job]:
    """Data, network, plan, optimizer; then the checkpoint `resume`, if there is one. Gives up soon after `told` is true.

    Raises every ThawError that choices, data, weights, device or checkpoint can cause.
    """
    device = choose_device(recipe.device)
    state = checkpoint.load(resume) if resume else None
    dataset, splits = divide(recipe, workspace, state["fingerprint"] if state else None)
    tree = layer_tree(recipe.backbone, classes=len(dataset.classes), image_size=recipe.image_size, workspace=workspace)
    the_plan = plan(tree, recipe.rules, epoch=1)
    if not the_plan.groups:
        raise TrainingError("training.nothing_learns", backbone=recipe.backbone)

    images = len(splits.train) + len(splits.val) + len(splits.test)
    loading = Watched(
        Preparing(what="data", done=0, total=images),
        lambda progress, cancelled: load(recipe, dataset, splits, workspace, progress, cancelled),
        told,
    )
    yield from loading
    building = Watched(
        Preparing(what="model", done=0, total=1),
        lambda progress, cancelled: build(
            recipe.backbone,
            classes=len(dataset.classes),
            weights=recipe.weights,
            workspace=workspace,
            seed=recipe.seed,
            image_size=recipe.image_size,
            progress=progress,
            cancelled=cancelled,
        ),
        told,
    )
    yield from building
    material, network = loading.result, building.result
    network.model.to(device).to(memory_format=torch.channels_last)
    if recipe.stochastic_depth is not None and not set_stochastic_depth(network.model, recipe.stochastic_depth):
        yield Notice(code="training.no_stochastic_depth", values={"backbone": recipe.backbone})
    if recipe.dropout:
        set_head_dropout(network.model.get_submodule(network.head), recipe.dropout)
    task = _task(recipe, material, device)
    precision = choose_precision("fp32" if recipe.reference else recipe.precision, device, network.model)
    learner = Learner(
        network,
        the_plan,
        task,
        recipe,
        device=device,
        precision=precision,
        tree=tree,
        images=len(material.train) + len(material.val),
    )
    job = Job(recipe, folder, material, learner, task, tree, the_plan, workspace)
    yield Preparing(what="model", done=1, total=1)
    if not len(job.material.val):
        yield Notice(code="training.no_validation")
    if resume and state:
        try:
            job.go_on(state, resume.name)
        except (RuntimeError, TypeError, KeyError) as error:
            if is_fault(error) or out_of_memory(error):
                raise
            raise CheckpointError(
                "checkpoint.other_network", name=resume.name, backbone=recipe.backbone, n=len(dataset.classes)
            ) from error
        yield from _changes(state, job.state())
    return job


def _task(recipe: Recipe, material: Material, device: torch.device) -> Classification:
    weights = None
    if recipe.loss == "weighted":
        counts = torch.bincount(material.train.labels, minlength=len(material.dataset.classes))
        weights = Classification.evened(counts).to(device)
    gamma = recipe.focal_gamma if recipe.loss == "focal" else 0.0
    return Classification(label_smoothing=recipe.label_smoothing, weights=weights, gamma=gamma)


def _changes(before: dict[str, Any], now: dict[str, Any]) -> Iterator[Notice]:
    """Why a continuation cannot be exactly what the unbroken run would have been."""
    both = (("before", before), ("now", now))
    if before["fingerprint"] != now["fingerprint"]:
        yield Notice(code="training.other_data")
    if other := [name for name in COMPUTING if before["versions"].get(name) != now["versions"][name]]:
        told = {key: ", ".join(f"{name} {state['versions'].get(name, '?')}" for name in other) for key, state in both}
        yield Notice(code="training.other_versions", values=dict(told))
    if (before["device"], before["precision"]) != (now["device"], now["precision"]):
        places = {key: f"{state['device']} ({state['precision']})" for key, state in both}
        yield Notice(code="training.other_device", values=dict(places))
    elif before["device"] == "cpu" and before["threads"] != now["threads"]:
        yield Notice(code="training.other_threads", values={"before": before["threads"], "now": now["threads"]})
    old, new = (parse(state["recipe"]).model_dump(exclude=OUTSIDE) for state in (before, now))
    if fields := [name for name in old if old[name] != new[name]]:
        yield Notice(code="training.other_recipe", values={"fields": ", ".join(fields)})
