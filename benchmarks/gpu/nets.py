"""Networks as the engine makes them, and the plain steps to compare with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from benchmarks.gpu.bench import Bench
from benchmarks.peers.material import CLASSES
from core.augment import normalised
from core.backbones import Network, build, layer_tree
from core.optim import apply_plan
from core.plan import plan
from core.recipe import Recipe
from core.strategies import apply_strategy
from core.training.trunk import Trunk, outlook


def weights_file(folder: Path, backbone: str) -> Path:
    """Random weights whose batch norms have seen noise, so that activations have a sane scale; made once."""
    file = folder / f"{backbone}.safetensors"
    if not file.is_file():
        torch.manual_seed(0)
        model = models.get_model(backbone, weights=None)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        model.train()
        with torch.no_grad():
            for _ in range(2):
                model(F.interpolate(torch.randn(8, 3, 28, 28), size=112, mode="bilinear"))
        tensors = {name: one.contiguous() for name, one in model.state_dict().items() if "num_batches" not in name}
        save_file(tensors, file)
    return file


def ruled(recipe: Recipe, strategy: str, classes: int = CLASSES) -> Recipe:
    """`recipe` with the rules of `strategy`."""
    return apply_strategy(recipe, strategy, layer_tree(recipe.backbone, classes=classes, image_size=recipe.image_size))


def frozen(bench: Bench, backbone: str, side: int) -> tuple[Network, Trunk]:
    """A network whose head alone learns, and its trunk: folded and in half precision, exactly as the engine has it."""
    tree = layer_tree(backbone, classes=CLASSES, image_size=side)
    recipe = ruled(Recipe(backbone=backbone, image_size=side), "head")
    the_plan = plan(tree, recipe.rules, epoch=1)
    network = build(backbone, classes=CLASSES, weights="random", image_size=side)
    network.model.to(bench.device).to(memory_format=torch.channels_last)
    apply_plan(network.model, the_plan)
    found = outlook(network, tree, the_plan, recipe, images=1000, device=bench.device, half=bench.half).trunk
    if found is None:
        raise ValueError(f"{backbone} cannot be cut")
    return network, found


@contextmanager
def halved(bench: Bench, *, grad: bool = False) -> Iterator[None]:
    """As the engine computes. Casts are not remembered: what is remembered inside a CUDA graph is lost outside."""
    on = bench.half is not None
    with torch.set_grad_enabled(grad), torch.autocast(bench.device.type, dtype=bench.half, enabled=on, cache_enabled=False):
        yield


def ready(pixels: Tensor, network: Network) -> Tensor:
    """uint8 pixels as a network wants them."""
    return normalised(pixels, network.mean, network.std).contiguous(memory_format=torch.channels_last)


def learning(bench: Bench, model: nn.Module, inputs: Tensor, labels: Tensor) -> Callable[[], Tensor]:
    """One step of a plain loop on what lies in `inputs` and `labels`: forward, backward, fused SGD. No waiting in it."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, weight_decay=1e-4, fused=True)

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with halved(bench, grad=True):
            outputs = model(inputs)
        loss = F.cross_entropy(outputs.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
