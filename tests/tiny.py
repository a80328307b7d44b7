"""Tiny: a backbone of 16,000 parameters for tests of everything around a network. Torchvision's own MobileNetV3, but shorter.

It has all that makes training hard to repeat: statistics of batches, dropout, shortcuts, squeezed channels. A run of it
takes a fifth of a second, where the smallest published network takes a whole one. What must hold for real networks is tested
on those.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import pytest
from torch import Tensor, nn
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

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


class Source:
    """See `core.backbones.Source`."""

    def cards(self) -> tuple[Card, ...]:
        return (CARD,)

    def make(self, name: str, classes: int, image_size: int) -> nn.Module:
        block = partial(InvertedResidualConfig, dilation=1, width_mult=1.0)
        blocks = [
            block(16, 3, 16, 16, use_se=True, activation="RE", stride=2),
            block(16, 3, 32, 24, use_se=False, activation="RE", stride=2),
            block(24, 3, 48, 24, use_se=True, activation="HS", stride=1),
        ]
        return MobileNetV3(blocks, last_channel=32, num_classes=classes)

    def adapt(self, name: str, tensors: Mapping[str, Tensor], image_size: int) -> "OrderedDict[str, Tensor]":
        return OrderedDict(tensors)


@contextmanager
def known() -> Iterator[None]:
    """Inside, this process knows `tiny` as it knows every other backbone."""
    source, published, find = Source(), backbones._published, backbones._source
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "_published", lambda cache: (*published(cache), *source.cards()))
        patch.setattr(backbones, "_source", lambda name: source if name == CARD.source else find(name))
        yield
