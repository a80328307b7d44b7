"""What every contender's process shares: marks in time, the backbone with the common weights, plain loaders and scores.

Runs in the peers' environments: nothing of Thaw is imported here, and torch only inside functions, so that the time of the
imports is that of the contender.
"""

import json
import math
import resource
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STAGES = {"resnet18": [2, 2, 2, 2], "thaw-small": [1, 1, 1, 1]}
"""Blocks of torchvision's ResNet; the bundled backbone of Thaw is one, too."""
HEAD = "fc"
WARMUP = 0.5
"""Epochs, as in a recipe of Thaw."""


class Marks:
    """When the first loss was known, and when each epoch was over and validated."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self.first_loss: float | None = None
        self.epochs: list[float] = []
        self.accuracies: list[float] = []
        self.phases: dict[str, float] = {}
        """Seconds until each kind of event of ours, added up: where the time goes."""

    def loss(self) -> None:
        if self.first_loss is None:
            self.first_loss = time.perf_counter()

    def epoch(self, accuracy: float) -> None:
        self.loss()
        self.epochs.append(time.perf_counter())
        self.accuracies.append(float(accuracy))


def learning_rate(what: dict[str, Any], policy: dict[str, Any], default: float) -> float:
    """The tool's own rate where it is measured as it comes, else that of the task; times the factor of a second try."""
    return float((default if policy["own_recipe"] else what["lr"]) * what["factor"])


def factor(step: int, steps_per_epoch: int, epochs: int) -> float:
    """Half an epoch of warm-up, then half a cosine: what everyone gets who has no schedule of his own."""
    total, warmup = steps_per_epoch * epochs, round(WARMUP * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * min((step - warmup) / max(total - warmup, 1), 1.0))) / 2


def load_weights(model: Any, file: str) -> None:
    """The common weights; a head of another shape stays fresh."""
    import numpy as np
    import torch

    own = model.state_dict()
    with np.load(file, allow_pickle=False) as arrays:
        given = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    kept = {name: tensor for name, tensor in given.items() if name in own and own[name].shape == tensor.shape}
    left = [name for name in own if name not in kept and not name.startswith(HEAD) and "num_batches" not in name]
    if left:
        raise ValueError(f"no weights for {left[:3]}")
    model.load_state_dict(kept, strict=False)


def backbone(spec: dict[str, Any], classes: int | None = None) -> Any:
    """torchvision's network with the common weights and a fresh head."""
    from torchvision.models.resnet import BasicBlock, ResNet

    model = ResNet(BasicBlock, STAGES[spec["backbone"]], num_classes=classes or spec["classes"])
    load_weights(model, spec["weights"])
    return model


def frozen_modules(model: Any, trainable: list[str] | None) -> list[Any]:
    """The smallest set of modules that covers what does not learn; `trainable` None: everything learns."""
    if trainable is None:
        return []

    def walk(module: Any, path: str) -> list[Any]:
        found = []
        for name, child in module.named_children():
            here = f"{path}.{name}".lstrip(".")
            if here in trainable:
                continue
            inside = any(one.startswith(f"{here}.") for one in trainable)
            found += walk(child, here) if inside else [child]
        return found

    return walk(model, "")


def transforms(kind: str, size: int) -> Any:
    """'none': resize and centre crop. 'flip': and a mirror. 'resized-crop': RandomResizedCrop and a mirror."""
    from torchvision import transforms as t

    whole = {
        "none": [t.Resize(size), t.CenterCrop(size)],
        "flip": [t.Resize(size), t.CenterCrop(size), t.RandomHorizontalFlip()],
        "squeezed-flip": [t.Resize((size, size)), t.RandomHorizontalFlip()],
        "resized-crop": [t.RandomResizedCrop(size), t.RandomHorizontalFlip()],
        "margin": [t.Resize(round(size * 256 / 224)), t.CenterCrop(size)],
    }[kind]
    return t.Compose([*whole, t.ToTensor(), t.Normalize(MEAN, STD)])


def loader(folder: Path, kind: str, spec: dict[str, Any], workers: int, *, train: bool, persistent: bool = False) -> Any:
    """torch's DataLoader over torchvision's ImageFolder."""
    import torch
    from torchvision.datasets import ImageFolder

    return torch.utils.data.DataLoader(
        ImageFolder(folder, transforms(kind, spec["size"])),
        batch_size=spec["batch"],
        shuffle=train,
        num_workers=workers,
        persistent_workers=persistent and workers > 0,
    )


def share_right(model: Any, batches: Any, *, bf16: bool, channels_last: bool) -> float:
    """Top-1 accuracy in evaluation mode."""
    import torch

    right = total = 0
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for images, labels in batches:
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            right += int((model(images).argmax(1) == labels).sum())
            total += len(labels)
    return right / max(total, 1)


def unzipped(archive: str, split: str, into: Path) -> Path:
    """A folder train/CLASS/..., val/CLASS/... with the images of `archive` that the split file names."""
    parts = json.loads(Path(split).read_text("utf-8"))
    with zipfile.ZipFile(archive) as file:
        for part, names in parts.items():
            for name in names:
                place = into / part / name.split("/")[-2] / name.split("/")[-1]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.read(name))
    return into


def forget_peak() -> None:
    """Let the peak of resident memory begin anew; does nothing where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mib() -> float:
    """Most memory that this process held at once since `forget_peak`, in MiB; workers are not in it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        scale = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
