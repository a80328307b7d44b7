"""A backbone with a new head, its weights in place: published ones, those of a file, or fresh ones from a seed."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from core.backbones import Network
from core.backbones.tree import find_head, hollow
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.backbones import Source

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's training images, RGB in [0, 1]: what torchvision's weights were trained with."""

_SEEDING = threading.Lock()


def make_network(
    source: "Source",
    name: str,
    *,
    classes: int,
    weights: str,
    workspace: Workspace | None,
    seed: int,
    image_size: int,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Network:
    """See `core.backbones.build`; the name and the image size are known to be right."""

    def make(classes: int, image_size: int) -> torch.nn.Module:
        return source.make(name, classes, image_size)

    head = find_head(hollow(make, classes, image_size), hollow(make, classes + 1, image_size))
    with _SEEDING, torch.random.fork_rng(devices=[]):  # torch's generator belongs to all threads
        torch.manual_seed(seed)
        model = make(classes, image_size)
    return Network(name, model, head, MEAN, STD)
