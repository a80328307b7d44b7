"""Source of backbones that come with Thaw: small networks whose weights need no download."""

from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

VERSION = "1"


def names() -> tuple[str, ...]:
    """All backbones of this source."""
    return tuple(_ARCHITECTURES)


def make(name: str, classes: int, image_size: int) -> nn.Module:
    """The network with fresh weights from torch's global generator: (B, 3, S, S) to logits (B, classes)."""
    model: nn.Module = ResNet(BasicBlock, list(_ARCHITECTURES[name]), num_classes=classes)
    return model


_ARCHITECTURES = {"thaw-small": (1, 1, 1, 1)}
"""Blocks in each stage of torchvision's ResNet; one in each is known as ResNet-10, 4.9 million parameters."""
