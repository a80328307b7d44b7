"""Backbones: which there are, what each is made of, and one of them ready to learn.

This file never loads torch by itself: cards and trees come from the workspace's cache where they were asked for before.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.errors import RecipeError
from core.layers import LayerTree
from core.workspace import Workspace

if TYPE_CHECKING:
    from torch import nn


@dataclass
class Network:
    """A backbone with its head for a task."""

    name: str
    model: "nn.Module"
    """(B, 3, S, S) float, normalised by `mean` and `std`, to logits (B, classes)."""
    head: str
    """Path of the block that is new for the task."""
    mean: tuple[float, float, float]
    """Of RGB values in [0, 1]."""
    std: tuple[float, float, float]


class Source(Protocol):
    """Where backbones come from: one module, one line in `_sources`."""

    def names(self) -> tuple[str, ...]:
        """All its backbones; no name stands in two sources."""
        ...

    def make(self, name: str, classes: int, image_size: int) -> "nn.Module":
        """The network with fresh weights from torch's global generator."""
        ...


def _sources() -> dict[str, Source]:
    from core.backbones import bundled, torchvision

    return {"bundled": bundled, "torchvision": torchvision}


def _source(name: str) -> Source:
    sources = _sources()
    known = [known for source in sources.values() for known in source.names()]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        raise RecipeError("backbone.unknown", name=name, near=", ".join(near))
    return next(source for source in sources.values() if name in source.names())


def build(
    name: str,
    *,
    classes: int,
    weights: str = "random",
    workspace: Workspace | None = None,
    seed: int = 0,
    image_size: int = 224,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Network:
    """The backbone `name` with a head for `classes` and its weights in place, on the CPU, in training mode.

    Fresh weights (all of them, or only the head's) are the same for the same `seed`; torch's own generator is
    left as it was.
    """
    from core.backbones.build import make_network

    return make_network(
        _source(name),
        name,
        classes=classes,
        weights=weights,
        workspace=workspace,
        seed=seed,
        image_size=image_size,
        progress=progress,
        cancelled=cancelled,
    )


_trees: dict[tuple[str, int, int], LayerTree] = {}


def layer_tree(name: str, *, classes: int, image_size: int = 224, workspace: Workspace | None = None) -> LayerTree:
    """What `name` is made of, with a head for `classes` and costs for one image of side `image_size`."""
    key = (name, classes, image_size)
    if key not in _trees:
        from core.backbones.tree import read_tree

        source = _source(name)
        _trees[key] = read_tree(
            name, lambda classes, size: source.make(name, classes, size), classes=classes, image_size=image_size
        )
    return _trees[key]
