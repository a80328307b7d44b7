"""Source of backbones that come with Thaw: small networks whose weights lie in its own files, so that no network is needed.

An architecture is here as soon as it is useful; its weights are where a file `<name>.safetensors` lies among the assets.
"""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.backbones.facts import Card
from core.heavy import load_torch

if TYPE_CHECKING:
    from torch import Tensor, nn

ASSETS = Path(__file__).resolve().parent.parent.parent / "assets"

_STAGES = {"thaw-small": (1, 1, 1, 1)}
"""Blocks in each stage of torchvision's ResNet. One in each is known as ResNet-10."""


def names() -> tuple[str, ...]:
    """All backbones of this source."""
    return tuple(_STAGES)


def cards() -> tuple[Card, ...]:
    """A card each. Parameters and multiply-adds are those of the architecture with 1,000 classes at 224 pixels."""
    file = weights_file("thaw-small")
    here = file.is_file()
    return (
        Card(
            name="thaw-small",
            source="bundled",
            family="thaw",
            title="Thaw Small",
            parameters=5_418_792,
            gflops=0.889,
            weights_bytes=file.stat().st_size if here else 0,
            top1=None,
            image_size=96,
            min_size=32,
            licence="Apache-2.0",
            weights=("bundled", "random") if here else ("random",),
            local=here,
        ),
    )


def weights_file(name: str) -> Path:
    """Where the weights of `name` lie, if this version has them."""
    return ASSETS / f"{name}.safetensors"


def make(name: str, classes: int, image_size: int) -> "nn.Module":
    """The network with fresh weights from torch's global generator: (B, 3, S, S) to logits (B, classes)."""
    load_torch()
    from core.eager import torchvision

    resnet = torchvision.models.resnet
    model: nn.Module = resnet.ResNet(resnet.BasicBlock, list(_STAGES[name]), num_classes=classes)
    return model


def adapt(name: str, tensors: "Mapping[str, Tensor]", image_size: int) -> "OrderedDict[str, Tensor]":
    """`tensors` of a weights file as they are."""
    return OrderedDict(tensors)
