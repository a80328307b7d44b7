"""Room: whether the disk holds what a run will write, told before it begins. Knows sizes; allocates nothing.

Checkpoints (the last two, the best, and one being written), the model, and the images decoded once.
"""

import shutil

from core.errors import StoreError, ThawError
from core.recipe import Recipe
from core.workspace import Workspace

AT_ONCE = 4.3
"""Checkpoints on the disk while one more is written."""
RESERVE_BYTES = 96 * 2**20
"""What a run leaves free: 64 MiB for checkpoints to leave, and the growth of the database."""
SLOTS = {"adamw": 2, "adam": 2, "sgd": 1, "rmsprop": 2}
"""Numbers that an optimizer remembers of each parameter that learns."""


def check_room(recipe: Recipe, workspace: Workspace) -> None:
    """Raises StoreError (`run.no_space`) if the run would fill the disk. What cannot be carried out is not judged."""
    try:
        needed = needed_bytes(recipe, workspace)
    except ThawError:  # whoever carries it out says what is wrong
        return
    free = shutil.disk_usage(workspace.root).free
    if needed + RESERVE_BYTES > free:
        raise StoreError("run.no_space", need=_spoken(needed + RESERVE_BYTES), free=_spoken(free))


def needed_bytes(recipe: Recipe, workspace: Workspace) -> int:
    """An upper estimate of what the run will write. Raises ThawError where data, backbone or rules do not exist."""
    from core.backbones import layer_tree
    from core.dataset import open_dataset
    from core.plan import plan

    dataset = open_dataset(workspace, recipe.dataset)
    tree = layer_tree(recipe.backbone, classes=len(dataset.classes), image_size=recipe.image_size, workspace=workspace)
    first = plan(tree, recipe.rules, epoch=1)
    weights = 4 * first.total
    checkpoint = weights * (2 if recipe.ema else 1) + 4 * first.trainable * SLOTS[recipe.optimizer]
    pixels = 3 * recipe.image_size**2 * len(dataset.items)
    return int(AT_ONCE * checkpoint) + weights + pixels


def _spoken(size: int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 0.1 * 2**30 else f"{size / 2**20:.0f} MB"
