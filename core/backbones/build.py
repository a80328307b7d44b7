"""A backbone with a new head, its weights in place: published ones, those of a file, or fresh ones from a seed."""

import threading
from collections.abc import Callable
from functools import partial

import torch

from core.backbones import Network, Source
from core.backbones.card import Card
from core.backbones.tree import find_head, hollow
from core.backbones.weights import load_into, read_weights
from core.workspace import Workspace

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's training images, RGB in [0, 1]: what torchvision's weights were trained with."""

_SEEDING = threading.Lock()


def make_network(
    card: Card,
    source: Source,
    *,
    classes: int,
    weights: str,
    workspace: Workspace | None,
    seed: int,
    image_size: int,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Network:
    """See `core.backbones.build`; the image size is known to be right."""
    make = partial(source.make, card.name)
    tensors = read_weights(card, weights, workspace, progress=progress, cancelled=cancelled)
    head = find_head(hollow(make, classes, image_size), hollow(make, classes + 1, image_size))
    with _SEEDING, torch.random.fork_rng(devices=[]):  # torch's generator belongs to all threads
        torch.manual_seed(seed)
        model = make(classes, image_size)
    network = Network(card.name, model, head, MEAN, STD)
    if tensors is not None:
        adapted = source.adapt(card.name, tensors, image_size)
        network.loaded, network.ignored = load_into(model, adapted, head=head, backbone=card.name)
    return network
