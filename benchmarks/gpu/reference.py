"""The plain way: a DataLoader with sixteen spawned workers and a loop, as torchvision's reference recipe writes it.

Workers decode, crop and mirror; they hand over bytes, which are normalised on the device (as timm does), so that the loader
moves a quarter of what float images would be. 'plain' is single precision; 'tuned' bf16, channels_last, a fused optimizer
and cuDNN's search for the fastest kernels.
"""

import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import models
from torchvision import transforms as T

from benchmarks.gpu.bench import Bench, Row
from benchmarks.gpu.material import label_of
from benchmarks.peers.material import CLASSES

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Loader = DataLoader[Any]


class Files(Dataset[tuple[Tensor, int]]):
    """Bytes (3, side, side) and the class of each file."""

    def __init__(self, files: list[Path], side: int, *, random: bool) -> None:
        self.files = [str(file) for file in files]
        self.labels = [label_of(file) for file in files]
        still = [T.Resize(round(side * 256 / 224)), T.CenterCrop(side)]
        moving = [T.RandomResizedCrop(side), T.RandomHorizontalFlip()]
        self.change = T.Compose([*(moving if random else still), T.PILToTensor()])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, at: int) -> tuple[Tensor, int]:
        with Image.open(self.files[at], formats=("JPEG",)) as image:
            return self.change(image.convert("RGB")), self.labels[at]


def loader(bench: Bench, files: list[Path], *, random: bool) -> Loader:
    """Its workers stay between epochs."""
    sizes = bench.sizes
    return DataLoader(
        Files(files, sizes.side, random=random),
        batch_size=sizes.batch,
        shuffle=True,
        drop_last=len(files) > sizes.batch,
        num_workers=sizes.workers,
        multiprocessing_context="spawn",
        persistent_workers=True,
        pin_memory=bench.cuda,
    )


def started(batches: Loader) -> Row:
    """Until the first batch of a loader that has just been made: the start of its workers."""
    begin = time.perf_counter()
    next(iter(batches))
    return {"value": time.perf_counter() - begin, "unit": "s"}


def loading(bench: Bench, batches: Loader, seconds: float) -> Row:
    """What the loader gives when nobody learns: the ceiling of every loop over it."""
    begin, images = time.perf_counter(), 0
    for pixels, _ in batches:
        images += len(pixels)
        if time.perf_counter() - begin > seconds:
            break
    return {"value": images / (time.perf_counter() - begin), "unit": "images/s", "images": images}


def epoch(bench: Bench, batches: Loader, *, head_only: bool, tuned: bool, seconds: float) -> Row:
    """One epoch, or what of it was done in so many seconds. The first two steps warm up outside of the clock."""
    device, sizes = bench.device, bench.sizes
    torch.manual_seed(0)
    model = models.get_model(sizes.backbone, weights=None, num_classes=CLASSES).to(device)
    half = bench.half if tuned else None
    kind = torch.channels_last if tuned else torch.contiguous_format
    model.to(memory_format=kind)
    if head_only:
        model.requires_grad_(False).eval()
        model.fc.requires_grad_(True)
    else:
        model.train()
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True if tuned else None)
    mean, std = (torch.tensor(each, device=device).view(1, 3, 1, 1) * 255 for each in (MEAN, STD))

    def step(pixels: Tensor, labels: Tensor) -> Tensor:
        images = pixels.to(device, non_blocking=True).float().sub_(mean).div_(std).contiguous(memory_format=kind)
        with torch.autocast(device.type, dtype=half, enabled=half is not None):
            outputs = model(images)
        loss = F.cross_entropy(outputs.float(), labels.to(device, non_blocking=True))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = tuned
    try:
        some = torch.randint(0, 256, (min(sizes.batch, len(batches.dataset)), 3, sizes.side, sizes.side), dtype=torch.uint8)
        for _ in range(2):
            step(some, torch.zeros(len(some), dtype=torch.int64))
        bench.sync()
        begin, images, loss = time.perf_counter(), 0, torch.zeros(())
        for pixels, labels in batches:
            loss = step(pixels, labels)
            images += len(pixels)
            if time.perf_counter() - begin > seconds:
                break
        bench.sync()
        took = time.perf_counter() - begin
    finally:
        torch.backends.cudnn.benchmark = before
    return {"value": images / took, "unit": "images/s", "images": images, "seconds": took, "loss": float(loss)}
