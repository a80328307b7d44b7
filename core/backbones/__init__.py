"""Backbones: which there are, what each is made of, and one of them ready to learn.

Nothing here loads torch by itself: cards and trees come from the workspace's cache where they were asked for before.
"""

import difflib
import json
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from core.backbones import bundled, download
from core.backbones.facts import Card
from core.errors import RecipeError
from core.heavy import load_torch
from core.layers import LayerTree
from core.workspace import Workspace

if TYPE_CHECKING:
    from collections import OrderedDict

    from torch import Tensor, nn

__all__ = ["Card", "Network", "Source", "build", "card", "cards", "check_image_size", "fetch", "layer_tree"]

T = TypeVar("T")
FORMAT = 2
"""Of what is cached here; another number makes all of it be computed again."""


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
    loaded: int = 0
    """Tensors that came from a weights file."""
    ignored: int = 0
    """Tensors of that file that have no place here: the old head, auxiliary heads."""


class Source(Protocol):
    """Where backbones come from: one module, and one line in `_source`."""

    def __hash__(self) -> int:
        """As every module has one."""
        ...

    def cards(self) -> tuple[Card, ...]:
        """A card for each of its backbones; no name stands in two sources."""
        ...

    def make(self, name: str, classes: int, image_size: int) -> "nn.Module":
        """The network with fresh weights from torch's global generator."""
        ...

    def adapt(self, name: str, tensors: "Mapping[str, Tensor]", image_size: int) -> "OrderedDict[str, Tensor]":
        """The tensors of a weights file under the names of the network, for images of another side."""
        ...


def _source(name: str) -> Source:
    if name == "bundled":
        return bundled
    load_torch()
    from core.backbones import torchvision

    return torchvision


# --- cards ----------------------------------------------------------------------------------------------------------------


def cards(workspace: Workspace | None = None) -> tuple[Card, ...]:
    """All backbones, those that come with Thaw first. With a workspace, torch is loaded for the first call only."""
    published = _published(None if workspace is None else workspace.cache)
    return (*bundled.cards(), *(_seen(card, workspace) for card in published))


def card(name: str, workspace: Workspace | None = None) -> Card:
    """The card of `name`; without torch if it comes with Thaw. Raises RecipeError (`backbone.unknown`) with near names."""
    known = {card.name: card for card in bundled.cards()}
    if name not in known:
        known |= {card.name: card for card in _published(None if workspace is None else workspace.cache)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        raise RecipeError("backbone.unknown", name=name[:80], near=", ".join(near))
    return _seen(known[name], workspace)


def check_image_size(name: str, size: int, workspace: Workspace | None = None) -> None:
    """Raises RecipeError (`backbone.image_too_small`, `backbone.image_step`) if `name` cannot work with images of `size`."""
    card(name, workspace).check_image_size(size)


def _seen(card: Card, workspace: Workspace | None) -> Card:
    """`card` with what is on this machine now."""
    return card if card.local or workspace is None else replace(card, local=download.find(card, workspace) is not None)


@lru_cache(maxsize=8)
def _published(cache: Path | None) -> tuple[Card, ...]:
    def compute() -> list[dict[str, Any]]:
        load_torch()
        from core.backbones import torchvision

        return [asdict(card) for card in torchvision.cards()]

    def read(data: Any) -> tuple[Card, ...]:
        return tuple(Card(**{**card, "weights": tuple(card["weights"])}) for card in data)

    return _remember(cache, "cards", compute, read)


# --- trees ----------------------------------------------------------------------------------------------------------------


def layer_tree(name: str, *, classes: int, image_size: int = 224, workspace: Workspace | None = None) -> LayerTree:
    """What `name` is made of, with a head for `classes` and the costs of one image of side `image_size`.

    Where the network cannot work with that side, the costs are those of the nearest that it can; see the tree's own.
    Raises RecipeError (`backbone.unknown`).
    """
    chosen = card(name, workspace)
    folder = None if workspace is None else workspace.cache
    size = image_size if chosen.allows(image_size) else chosen.nearest_size(image_size)
    return _tree(chosen.name, chosen.source, classes, size, folder)


@lru_cache(maxsize=64)
def _tree(name: str, source: str, classes: int, image_size: int, cache: Path | None) -> LayerTree:
    def compute() -> dict[str, Any]:
        load_torch()
        from core.backbones.tree import read_tree

        origin = _source(source)
        return read_tree(name, partial(origin.make, name), classes=classes, image_size=image_size).to_dict()

    return _remember(cache, f"tree-{name}-{classes}-{image_size}", compute, LayerTree.from_dict)


def _remember(cache: Path | None, key: str, compute: Callable[[], Any], read: Callable[[Any], T]) -> T:
    """What `compute` gives (plain data), read by `read`: from the cache's file if there is a whole one, else into it."""
    if cache is None:
        return read(compute())
    file = cache / "backbones" / f"{key}-{version('torchvision')}-{FORMAT}.json"
    try:
        return read(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        data = compute()
    part = file.with_name(f"{file.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(data), "utf-8")
        part.replace(file)
    except OSError:  # a full or read-only disk: it is computed again next time
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return read(data)


# --- networks -------------------------------------------------------------------------------------------------------------


def fetch(
    name: str,
    workspace: Workspace,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """The verified file of the pretrained weights of `name`, downloaded if it is not on this machine.

    `progress` hears bytes done and total. Raises RecipeError (`backbone.unknown`) and WeightsError (`weights.*`).
    """
    return download.fetch(card(name, workspace), workspace, progress=progress, cancelled=cancelled)


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

    `weights`: 'pretrained', 'bundled', 'random' or the path of a .safetensors file. Fresh weights (all of them, or only the
    head's) are the same for the same `seed`; torch's own generator is never touched. `progress` hears bytes of a download.
    Raises RecipeError (`backbone.*`) and WeightsError (`weights.*`).
    """
    chosen = card(name, workspace)
    chosen.check_image_size(image_size)
    load_torch()
    from core.backbones.network import make_network

    return make_network(
        chosen,
        _source(chosen.source),
        classes=classes,
        weights=weights,
        workspace=workspace,
        seed=seed,
        image_size=image_size,
        progress=progress,
        cancelled=cancelled,
    )
