"""Pack: the averaged weights of a training as the file that Thaw ships."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from core.pretraining.learn import Learning, Settings


def pack(learning: Learning, settings: Settings, out: Path) -> int:
    """Write the weights in half precision, without a head; the size of the file in bytes."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in learning.averaged.state_dict().items()
    }
    made = {"steps": learning.step, "views": learning.images, "seconds": round(learning.seconds), **asdict(settings)}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point()):
        raise ValueError("the weights are not finite: the training has failed")
    save_file(tensors, out, {"format": "pt", "made": json.dumps(made)})
    return out.stat().st_size
