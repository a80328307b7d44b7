"""A backbone with a new head, its weights in place: published ones, those of a file, or fresh ones from a seed."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from core.backbones import Network, Source
from core.backbones.facts import Card
from core.backbones.tree import find_head, hollow
from core.backbones.weights import load_into, read_weights
from core.workspace import Workspace

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's training images, RGB in [0, 1]: what torchvision's weights were trained with."""


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
    head = _head(source, card.name, image_size)
    with _Drawing(seed):
        model = make(classes, image_size)
    network = Network(card.name, model, head, MEAN, STD)
    if tensors is not None:
        adapted = source.adapt(card.name, tensors, image_size)
        network.loaded, network.ignored = load_into(model, adapted, head=head, backbone=card.name)
    return network


@lru_cache(maxsize=128)
def _head(source: Source, name: str, image_size: int) -> str:
    """Path of the head: the same whatever the number of classes, and asked for by every run."""
    make = partial(source.make, name)
    return find_head(hollow(make, 2, image_size), hollow(make, 3, image_size))


class _Drawing(TorchFunctionMode):
    """Inside, fresh weights are drawn from a generator of their own, the numbers that `torch.manual_seed(seed)` would give.

    torch's own generator belongs to all threads: while one trains, another may build a network to try it or to export it.
    """

    DRAWS = frozenset(
        {
            *(init.uniform_, init.normal_, init.trunc_normal_, init.xavier_uniform_, init.xavier_normal_),
            *(init.kaiming_uniform_, init.kaiming_normal_, init.orthogonal_, init.sparse_),
            *(Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.bernoulli_, Tensor.exponential_),
            *(torch.rand, torch.randn, torch.normal, torch.randperm, torch.bernoulli),
        }
    )

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in self.DRAWS and kwargs.get("generator") is None:
            kwargs = {**kwargs, "generator": self._generator}
        return func(*args, **kwargs)
