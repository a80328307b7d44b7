"""Source of backbones: every classifier of the installed torchvision, read from its own tables.

Knows which names exist, how one is built and which published weights are its best; nothing of files or training.
"""

from functools import cache
from typing import Any

import torchvision
from torch import nn

VERSION: str = torchvision.__version__


@cache
def names() -> tuple[str, ...]:
    """All classifiers: no detection, segmentation, video, flow or quantised models."""
    return tuple(torchvision.models.list_models(module=torchvision.models))


def make(name: str, classes: int, image_size: int) -> nn.Module:
    """The network with fresh weights from torch's global generator: (B, 3, S, S) to logits (B, classes).

    Auxiliary heads are off, so that it gives one tensor while training too, and Inception's own re-normalisation is off.
    """
    model: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes, **_options(name, image_size))
    return model


def _options(name: str, image_size: int) -> dict[str, Any]:
    if name in {"googlenet", "inception_v3"}:
        return {"aux_logits": False, "transform_input": False, "init_weights": True}
    if name.startswith("vit_"):
        return {"image_size": image_size}
    if name.startswith("maxvit_"):
        return {"input_size": (image_size, image_size)}
    return {}
