"""Weights for the benchmark, in a process of its own: ResNet-18 with random weights, and the bundled backbone as it is.

    python weights.py '{"resnet18": {"npz": FILE, "safetensors": FILE}, "thaw-small": {...}}'

The batch norms of the random network have seen some noise, so that its features have a sane scale.
"""

import json
import sys
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from core.backbones.bundled import weights_file
from core.backbones.weights import read_safetensors


def random_resnet() -> dict[str, torch.Tensor]:
    """The same on every machine with the same torch."""
    torch.manual_seed(0)
    model = resnet18(weights=None)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    model.train()
    with torch.no_grad():
        for _ in range(4):
            model(torch.nn.functional.interpolate(torch.randn(8, 3, 28, 28), size=112, mode="bilinear"))
    return {name: tensor for name, tensor in model.state_dict().items() if "num_batches" not in name}


def main() -> None:
    files = json.loads(sys.argv[1])
    bundled = {name: tensor.clone() for name, tensor in read_safetensors(weights_file("thaw-small")).items()}
    for name, tensors in {"resnet18": random_resnet(), "thaw-small": bundled}.items():
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, files[name]["safetensors"])
        arrays: dict[str, Any] = {key: tensor.float().numpy() for key, tensor in tensors.items()}
        np.savez(files[name]["npz"], **arrays)


if __name__ == "__main__":
    main()
