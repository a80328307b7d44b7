"""Trunk: the part of a network that stays as it is while a plan holds. It decides where to cut and what is worth keeping.

Knows a network, a plan and a recipe; no data set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from core.augment import normalised
from core.backbones import Network
from core.cut import Cuttable, Place, digest, folded
from core.estimate import BUDGET_BYTES, LEAST_GAIN, repeats, views_of
from core.layers import LayerTree
from core.optim import train_mode
from core.plan import Plan
from core.recipe import Recipe

SPARE = 0.05
"""A cut may lie below the boundary if that makes each step longer by at most so much, and the activations smaller."""
STEP_WORK = 3.0
"""Forward and backward pass in forward passes."""


@dataclass(frozen=True)
class Trunk:
    """One cut of one network; to be made anew when other blocks learn, or other weights lie below."""

    place: Place
    below: fx.GraphModule
    """Normalised images to activations; weights of its own, batch norm folded in."""
    above: fx.GraphModule
    """Activations to class scores; shares modules and weights with the network."""
    key: str
    """Of everything below: two trunks with one key give the same."""

    names: frozenset[str]
    """Of the weights and statistics above."""
    cuttable: Cuttable
    half: torch.dtype | None

    def onwards(self, lower: "Trunk") -> fx.GraphModule | None:
        """From the activations of `lower` to those here; None unless all below it is as it was, and it lies below."""
        if lower.half != self.half or not self.cuttable.leads(lower.place, self.place):
            return None
        if digest(folded(self.cuttable.below(lower.place), self.half)) != lower.key:
            return None
        return folded(self.cuttable.below(self.place, start=lower.place), self.half)

    def mine(self, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of `named` that lie above."""
        return {name: tensor for name, tensor in named.items() if name in self.names}


@dataclass(frozen=True)
class Outlook:
    """What a plan allows, whether or not it is made use of."""

    kept: bool
    """The activations are worth keeping: training images come in a few views that take turns."""
    views: int
    """Of each training image; 1 if nothing about it is changed by chance."""
    trunk: Trunk | None


def outlook(
    network: Network,
    tree: LayerTree,
    plan: Plan,
    recipe: Recipe,
    *,
    images: int,
    device: torch.device,
    half: torch.dtype | None,
) -> Outlook:
    """Where `network`, with `plan` applied, is cut for `images` (training and validation), computing in `half` or float32.

    The same for equal arguments, on every machine: what a run learns from must not depend on the room on a disk.
    """
    model = network.model
    train_mode(model, plan)
    moving = {name for group in plan.groups for name in group.parameters}
    moving |= {adapter.parameter for adapter in plan.adapters}
    cuttable = Cuttable(model, tree, frozenset(moving))
    pixels = torch.zeros(2, 3, recipe.image_size, recipe.image_size, dtype=torch.uint8, device=device)
    some = normalised(pixels, network.mean, network.std).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, dtype=half, enabled=half is not None):
        places = cuttable.places(some)
    views = views_of(recipe)
    place = worth_keeping(places, images * views) if repeats(recipe) else None
    if recipe.reference or not places:
        return Outlook(place is not None, views, None)
    return Outlook(place is not None, views, _cut(cuttable, place or places[-1], half))


def worth_keeping(places: Sequence[Place], images: int) -> Place | None:
    """Where the activations of so many images are kept best; None if that is not worth while, or they are too many.

    At the boundary, or below it where they are smaller and hardly more is left to do; if there is no room for these, where
    there is.
    """
    gainful = [
        place
        for place in places
        if place.below / (place.below + STEP_WORK * (1 - place.below)) >= LEAST_GAIN
        and place.size_bytes * images <= BUDGET_BYTES
    ]
    if not gainful:
        return None
    top = gainful[-1]
    most = SPARE * STEP_WORK * (1 - top.below)
    near = [place for place in gainful if top.below - place.below <= most]
    return min(reversed(near), key=lambda place: place.size_bytes)


def _cut(cuttable: Cuttable, place: Place, half: torch.dtype | None) -> Trunk:
    below = folded(cuttable.below(place), half)
    above = cuttable.above(place)
    return Trunk(place, below, above, digest(below), frozenset(above.state_dict()), cuttable, half)
