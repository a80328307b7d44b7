"""Images per second of Thaw's engine and of a bare training loop that does the same arithmetic, side by side.

Both learn the same network from the same pixels in the same batches, precision and augmentation, in one process, in turns of
a few steps (A B A B ...), so that whatever else the machine does falls on both. Printed are the medians over the turns by
the clock on the wall and by processor time, which other programs do not disturb, and the medians of the ratios of
neighbouring turns; then whole epochs with validation, where the engine also reports, judges and saves checkpoints.

    python benchmarks/engine_vs_bare_loop.py --data shared/data/sign-digits.zip --image-size 64 --epochs 4
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from core.augment import augment, draws, normalised
from core.backbones import build
from core.dataset import import_dataset, open_dataset, split
from core.dataset.pixels import load_pixels
from core.events import Saved, StepDone
from core.recipe import AUGMENT_PRESETS, Recipe, augment_preset
from core.schedule import lr_factor
from core.training import train
from core.workspace import Workspace, open_workspace

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def engine(recipe: Recipe, workspace: Workspace, folder: Path) -> Iterator[tuple[str, int]]:
    """('step', images) after each step; ('epoch', 0) after validation and checkpoint."""
    for event in train(recipe, workspace=workspace, folder=folder):
        if isinstance(event, StepDone):
            yield "step", event.images
        elif isinstance(event, Saved):
            yield "epoch", 0


def bare(recipe: Recipe, workspace: Workspace, precision: str) -> Iterator[tuple[str, int]]:
    """The same from forty plain lines: what a careful person writes who needs no reports, no resume and no freezing."""
    dataset = open_dataset(workspace, recipe.dataset)
    parts = split(dataset, val_fraction=recipe.val_fraction, test_fraction=recipe.test_fraction, seed=recipe.split_seed)
    size = recipe.image_size if recipe.augment.crop == 0 else -(-recipe.image_size * 5 // 4)
    pixels = load_pixels(dataset, parts.train, size=size, fit=recipe.fit, workspace=workspace)
    labels = torch.tensor([dataset.items[index].label for index in parts.train])
    val_pixels = load_pixels(dataset, parts.val, size=recipe.image_size, fit=recipe.fit, workspace=workspace)
    val_labels = torch.tensor([dataset.items[index].label for index in parts.val])
    network = build(recipe.backbone, classes=len(dataset.classes), workspace=workspace, image_size=recipe.image_size)
    model = network.model.to(memory_format=torch.channels_last)
    decay = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    rest = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    groups = [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, fused=True)
    half = HALF.get(precision)
    plain = recipe.augment == AUGMENT_PRESETS["none"]
    steps = -(-len(labels) // recipe.batch_size)
    for epoch in range(recipe.epochs):
        model.train()
        table = draws(recipe.seed, epoch + 1, len(labels))
        for at, rows in enumerate(torch.randperm(len(labels)).split(recipe.batch_size)):
            if plain:
                images = normalised(pixels[rows], network.mean, network.std)
            else:
                images = augment(
                    pixels[rows], table[rows], recipe.augment, recipe.image_size, mean=network.mean, std=network.std
                )
            factor = lr_factor(
                epoch * steps + at,
                steps_per_epoch=steps,
                epochs=recipe.epochs,
                schedule=recipe.schedule,
                warmup_epochs=recipe.warmup_epochs,
            )
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr * factor
            with torch.autocast("cpu", dtype=half, enabled=half is not None):
                outputs = model(images.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(outputs.float(), labels[rows])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()
            yield "step", len(rows)
        model.eval()
        right = 0
        with torch.inference_mode(), torch.autocast("cpu", dtype=half, enabled=half is not None):
            for some, truth in zip(val_pixels.split(recipe.batch_size), val_labels.split(recipe.batch_size), strict=True):
                images = normalised(some, network.mean, network.std)
                outputs = model(images.contiguous(memory_format=torch.channels_last))
                right += int((outputs.argmax(1) == truth).sum())
        yield "epoch", 0


@dataclass
class Tally:
    """Seconds by the wall's clock and by the processors', and images."""

    wall: float = 0.0
    cpu: float = 0.0
    images: int = 0

    def add(self, wall: float, cpu: float, images: int) -> None:
        self.wall, self.cpu, self.images = self.wall + wall, self.cpu + cpu, self.images + images


def turn(contender: Iterator[tuple[str, int]], steps: int, whole: Tally) -> Tally | None:
    """The steps of one turn, all of it added to `whole`, too; a turn ends with its epoch. None when all is over."""
    tally = Tally()
    for _ in range(steps):
        wall, cpu = time.perf_counter(), time.process_time()
        kind, images = next(contender, ("over", 0))
        took = time.perf_counter() - wall, time.process_time() - cpu
        if kind == "over":
            return None
        whole.add(*took, images)
        if kind == "epoch":
            break
        tally.add(*took, images)
    return tally


def measure(options: argparse.Namespace, root: Path) -> dict[str, object]:
    """Both contenders in turns; the first step of each warms up and does not count."""
    torch.set_num_threads(options.threads)
    workspace = open_workspace(root / "workspace")
    name = options.data if options.data.startswith("demo:") else import_dataset(Path(options.data), workspace).id
    recipe = Recipe(
        dataset=name,
        backbone=options.backbone,
        image_size=options.image_size,
        batch_size=options.batch_size,
        epochs=options.epochs,
        augment=augment_preset(options.augment),
        precision=options.precision,
        device="cpu",
        threads=options.threads,
    )
    contenders = (engine(recipe, workspace, root / "run"), bare(recipe, workspace, options.precision))
    for contender in contenders:
        next(contender)
    whole = (Tally(), Tally())
    pairs: list[tuple[Tally, Tally]] = []
    while True:
        turns = [turn(contender, options.turn, total) for contender, total in zip(contenders, whole, strict=True)]
        if turns[0] is None or turns[1] is None:
            break
        if turns[0].images and turns[1].images:
            pairs.append((turns[0], turns[1]))
    found: dict[str, object] = {**vars(options), "torch": torch.__version__, "turns": len(pairs)}
    for clock in ("wall", "cpu"):
        speeds = [[tally.images / getattr(tally, clock) for tally in pair] for pair in pairs]
        engine_speed, bare_speed = (statistics.median(side) for side in zip(*speeds, strict=True))
        ratios = [ours / theirs for ours, theirs in speeds]
        epochs = [total.images / getattr(total, clock) for total in whole]
        found |= {
            f"{clock}: engine images/s": round(engine_speed, 1),
            f"{clock}: bare loop images/s": round(bare_speed, 1),
            f"{clock}: ratio": round(statistics.median(ratios), 3),
            f"{clock}: ratio, quartiles": [round(q, 3) for q in statistics.quantiles(ratios, n=4)[::2]],
            f"{clock}: ratio of whole epochs": round(epochs[0] / epochs[1], 3),
        }
    return found


def main() -> None:
    """Measure and print: a table for people, one line of JSON for programs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo:digits", help="a zip, a folder or demo:NAME")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--augment", default="none")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=int(os.environ["OMP_NUM_THREADS"]))
    parser.add_argument("--turn", type=int, default=6, help="steps before the other one's turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    for key, value in found.items():
        print(f"{key:30} {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
