"""Tiny backbones for tests of everything around a network, of torchvision's own classes, but shorter or slimmer.

A run of them takes a fifth of a second, where the smallest published network takes a whole one. What must hold for real
networks is tested on those.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
from torch import Tensor, nn
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.vision_transformer import VisionTransformer

from core import backbones
from core.backbones.facts import Card

CARD = Card(
    name="tiny",
    source="tests",
    family="tiny",
    title="Tiny",
    parameters=16_000,
    gflops=0.001,
    weights_bytes=0,
    top1=None,
    image_size=32,
    min_size=32,
    licence="Apache-2.0",
    weights=("random",),
)


def mobile(classes: int, image_size: int) -> nn.Module:
    """All that makes training hard to repeat: statistics of batches, dropout, shortcuts, squeezed channels."""
    block = partial(InvertedResidualConfig, dilation=1, width_mult=1.0)
    blocks = [
        block(16, 3, 16, 16, use_se=True, activation="RE", stride=2),
        block(16, 3, 32, 24, use_se=False, activation="RE", stride=2),
        block(24, 3, 48, 24, use_se=True, activation="HS", stride=1),
    ]
    return MobileNetV3(blocks, last_channel=32, num_classes=classes)


def residual(classes: int, image_size: int) -> nn.Module:
    """ResNet-10, an eighth as wide."""
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=classes)
    model.inplanes = 8
    model.conv1, model.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
    for number, stride in enumerate((1, 2, 2, 2)):
        setattr(model, f"layer{number + 1}", model._make_layer(BasicBlock, 8 << number, 1, stride))
    model.fc = nn.Linear(64, classes)
    return model


def transformer(classes: int, image_size: int) -> nn.Module:
    """Two blocks of two attention heads."""
    return VisionTransformer(image_size, 16, 2, 2, 32, 64, num_classes=classes)


NETWORKS = {"tiny": mobile, "tiny-residual": residual, "tiny-transformer": transformer}


class Source:
    """See `core.backbones.Source`."""

    def cards(self) -> tuple[Card, ...]:
        return tuple(replace(CARD, name=name) for name in NETWORKS)

    def make(self, name: str, classes: int, image_size: int) -> nn.Module:
        return NETWORKS[name](classes, image_size)

    def adapt(self, name: str, tensors: Mapping[str, Tensor], image_size: int) -> "OrderedDict[str, Tensor]":
        return OrderedDict(tensors)


@contextmanager
def known() -> Iterator[None]:
    """Inside, this process knows them as it knows every other backbone."""
    source, published, find = Source(), backbones._published, backbones._source
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "_published", lambda cache: (*published(cache), *source.cards()))
        patch.setattr(backbones, "_source", lambda name: source if name == CARD.source else find(name))
        yield
