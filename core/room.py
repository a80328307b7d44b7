"""Room: whether disk and memory hold what a run needs, told before it begins. Knows sizes; allocates nothing.

On the disk: checkpoints (the last two, the best, and one being written), the model, and the images decoded once. In memory:
what training holds, where a CPU does it; a GPU that is full says so itself, and the run goes on in smaller parts.
"""

import shutil
from typing import NamedTuple

import psutil

from core.container import available_bytes
from core.errors import StoreError, ThawError
from core.estimate import MOMENTS, forecast
from core.recipe import Recipe
from core.slot import resolve
from core.workspace import Workspace

AT_ONCE = 4.3
"""Checkpoints on the disk while one more is written."""
RESERVE_BYTES = 96 * 2**20
"""What a run leaves free: 64 MiB for checkpoints to leave, and the growth of the database."""
MOST_MEMORY = 0.7
"""Share of the memory to be had that a run may ask for: a system without memory kills the whole server."""


class Needed(NamedTuple):
    """What a run will take, in bytes."""

    disk: int
    """At most."""
    memory: int
    """About, for training on a CPU."""


def check_room(recipe: Recipe, workspace: Workspace) -> None:
    """Raises StoreError (`run.no_space`, `run.no_memory`) if the run would fill disk or memory.

    What cannot be carried out is not judged.
    """
    try:
        need = needed(recipe, workspace)
    except ThawError:  # whoever carries it out says what is wrong
        return
    free = shutil.disk_usage(workspace.root).free
    if need.disk + RESERVE_BYTES > free:
        raise StoreError("run.no_space", need=_spoken(need.disk + RESERVE_BYTES), free=_spoken(free))
    free = _free_memory()
    if need.memory > MOST_MEMORY * free and resolve(recipe.device) == "cpu":
        raise StoreError("run.no_memory", need=_spoken(need.memory), free=_spoken(free), batch_size=recipe.batch_size)


def low_disk(workspace: Workspace, coming_bytes: int) -> int | None:
    """Bytes that are free, if after `coming_bytes` less than the reserve would be; else None."""
    free = shutil.disk_usage(workspace.root).free
    return free if free - coming_bytes < RESERVE_BYTES else None


def needed(recipe: Recipe, workspace: Workspace) -> Needed:
    """An estimate of what the run will take. Raises ThawError where data, backbone or rules do not exist."""
    from core.backbones import layer_tree
    from core.dataset import open_dataset
    from core.plan import plan

    dataset = open_dataset(workspace, recipe.dataset)
    tree = layer_tree(recipe.backbone, classes=len(dataset.classes), image_size=recipe.image_size, workspace=workspace)
    first = plan(tree, recipe.rules, epoch=1)
    weights = 4 * first.total
    checkpoint = weights * (2 if recipe.ema else 1) + 4 * first.trainable * MOMENTS[recipe.optimizer]
    images = len(dataset.items)
    pixels = 3 * recipe.image_size**2 * images
    kindest = "bf16" if recipe.precision == "auto" else recipe.precision  # nothing is refused that may fit
    batch = recipe.changed(batch_size=min(recipe.batch_size, max(images, 1)), precision=kindest)
    held = forecast(tree, batch, images=images, costs=None).memory_bytes
    return Needed(int(AT_ONCE * checkpoint) + weights + pixels, held)


def _free_memory() -> int:
    """Bytes that this process can come to have: what it has stays with it, for the allocator keeps what a run has freed."""
    return available_bytes() + int(psutil.Process().memory_info().rss)


def _spoken(size: int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 0.1 * 2**30 else f"{size / 2**20:.0f} MB"
