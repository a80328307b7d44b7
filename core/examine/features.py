"""Features: what the small network that comes with Thaw sees in each image, at three depths. Knows pixels, no labels.

Not only its last answer: what a network was made to tell apart elsewhere is not what matters here, and the places of coarse
shapes (the arrow on a sign) are gone from the last layer.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from core.arrays import Arrays
from core.backbones import build, card
from core.dataset.record import Item
from core.digest import tensors_digest
from core.errors import DataError
from core.images import DECODER
from core.workspace import Workspace

NETWORK = "thaw-small"
SIZE = 96
"""Side of the images it was trained on."""
BATCH = 16
WIDTH = 128 * 3 * 3 + 256 * 2 * 2 + 512
"""The second stage at nine places, the third at four, the fourth in one."""
LIMIT_BYTES = 2 * 2**30


def features(
    pixels: Tensor,
    items: Sequence[Item],
    workspace: Workspace,
    progress: Callable[[int], None],
    cancelled: Callable[[], bool],
) -> Tensor:
    """(N, WIDTH) float32 of pixels (N, 3, SIZE, SIZE) uint8, each column with mean 0 and spread 1 over the images.

    Kept in the workspace's cache. `progress` hears images done. Raises DataError (`examine.cancelled`).
    """
    network = build(NETWORK, classes=2, weights=card(NETWORK).weights[0], image_size=SIZE)
    model = network.model.eval()
    mean = torch.tensor(network.mean).view(1, 3, 1, 1) * 255
    std = torch.tensor(network.std).view(1, 3, 1, 1) * 255
    backbone = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(network.head)}
    key = hashlib.sha256(f"{DECODER} {SIZE} {torch.__version__} {tensors_digest(backbone)}\n".encode())
    key.update("\n".join(item.sha256 for item in items).encode())
    name, shape = key.hexdigest()[:40], (len(items), WIDTH)

    def fill(room: NDArray[Any]) -> None:
        for start in range(0, len(pixels), BATCH):
            if cancelled():
                raise DataError("examine.cancelled")
            some = pixels[start : start + BATCH]
            with torch.inference_mode():
                room[start : start + BATCH] = _depths(model, (some.float() - mean) / std).numpy()
            progress(start + len(some))

    arrays = Arrays(workspace.cache / "examine", LIMIT_BYTES)
    kept = arrays.load(name, shape, np.float32)
    found = torch.from_numpy(arrays.make(name, shape, np.float32, fill) if kept is None else kept)
    spread = found.std(dim=0)
    return (found - found.mean(dim=0)) / (spread + 1e-3 * spread.mean() + 1e-12)


def _depths(model: Any, images: Tensor) -> Tensor:
    """(B, WIDTH)."""
    x = images.contiguous(memory_format=torch.channels_last)
    x = model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(x)))))
    second = model.layer2(x)
    third = model.layer3(second)
    fourth = model.layer4(third)
    pooled = [adaptive_avg_pool2d(stage, side).flatten(1) for stage, side in ((second, 3), (third, 2), (fourth, 1))]
    return torch.cat(pooled, dim=1)
