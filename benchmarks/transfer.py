"""Of what use are the bundled weights? The same network from them and from scratch, with equal steps and augmentation.

    python benchmarks/transfer.py --data shared/data [--sets signs cells] [--each 10 20 50] [--seeds 5] [--json OUT]

Sets: the hands of sign-digits.zip, the cells cut out of bccd.zip along their boxes (one red cell in eight), scikit-learn's
digits, and the leaves of Thaw's demo set, which other code draws than what the weights were made from. Two more where
Debian's packages dataset-fashion-mnist and openarena-081-textures are installed, or unpacked in --root: 200 of each kind of
clothing, grey, and the grey tiles of 64 pixels of twenty surfaces (`SURFACES` says which), told apart one from another. For
each seed `each` images of every class are learned from; up to 100 others of each class are asked about. Three figures, each
the mean over the classes of the share found: a ridge classifier on the frozen network, fine-tuning everything, and training
from scratch. Intervals are 95 % of Student's t over the seeds.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import gzip
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import islice
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from PIL import Image
from scipy import stats
from torch import nn
from torch.nn import functional as F

from core.augment import augment, draws, normalised
from core.backbones import build
from core.dataset.demos import DEMOS
from core.pretraining import probe
from core.recipe import AUGMENT_PRESETS, Augment
from core.schedule import lr_factor

SIDE, BATCH, STEPS = 64, 32, 320
AUGMENT: dict[str, Augment] = {
    "signs": AUGMENT_PRESETS["upright"],
    "digits": AUGMENT_PRESETS["upright"],
    "cells": AUGMENT_PRESETS["any-direction"],
    "leaves": AUGMENT_PRESETS["any-direction"],
    "clothes": AUGMENT_PRESETS["upright"],
    "surfaces": AUGMENT_PRESETS["any-direction"],
}
SURFACES = ("base_wall", "base_floor", "gothic_block", "gothic_floor", "gothic_wall", "acc_dm3", "acc_dm5")
"""Folders of textures, of which the first photographs of at least 512 x 512 pixels are taken, three from each, 20 in all."""


def signs(folder: Path) -> Iterator[tuple[bytes, int]]:
    with ZipFile(folder / "sign-digits.zip") as archive:
        for name in sorted(archive.namelist()):
            if name.lower().endswith(".jpg"):
                yield archive.read(name), int(name.split("/")[-2])


def cells(folder: Path) -> Iterator[tuple[bytes, int]]:
    kinds = {"RBC": 0, "WBC": 1, "Platelets": 2}
    with ZipFile(folder / "bccd.zip") as archive:
        photos = {Path(name).stem: name for name in archive.namelist() if name.endswith(".jpg")}
        for name in sorted(name for name in archive.namelist() if name.endswith(".xml")):
            photo = Image.open(io.BytesIO(archive.read(photos[Path(name).stem]))).convert("RGB")
            for number, thing in enumerate(ElementTree.fromstring(archive.read(name)).iter("object")):
                label = kinds[str(thing.findtext("name"))]
                if label == 0 and number % 8:
                    continue
                left, top, right, bottom = (
                    int(str(thing.findtext(f"bndbox/{side}"))) for side in ("xmin", "ymin", "xmax", "ymax")
                )
                half = 0.55 * max(right - left, bottom - top, 8)
                x, y = (left + right) / 2, (top + bottom) / 2
                yield _png(photo.crop((int(x - half), int(y - half), int(x + half), int(y + half)))), label


def clothes(folder: Path) -> Iterator[tuple[bytes, int]]:
    where = folder / "usr/share/datasets/fashion-mnist"
    with gzip.open(where / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(where / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    for label in range(10):
        for image in images[labels == label][:200]:
            yield _png(Image.fromarray(image)), label


def surfaces(folder: Path) -> Iterator[tuple[bytes, int]]:
    with ZipFile(folder / "usr/share/games/openarena/baseoa/pak4-textures.pk3") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        chosen = []
        for part in SURFACES:
            inside = (name for name in names if name.startswith(f"textures/{part}/"))
            chosen += list(islice((n for n in inside if min(Image.open(archive.open(n)).size) >= 512), 3))
        for label, name in enumerate(chosen[:20]):
            photo = Image.open(archive.open(name)).convert("L")
            for top in range(0, 512, 64):
                for left in range(0, 512, 64):
                    yield _png(photo.crop((left, top, left + 64, top + 64))), label


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def demo(key: str, _: Path) -> Iterator[tuple[bytes, int]]:
    names = DEMOS[key].classes
    for file in DEMOS[key].files():
        yield file.read(), names.index(file.label)


SETS = {"signs": signs, "digits": partial(demo, "digits"), "cells": cells, "leaves": partial(demo, "leaves")}
PACKAGED = {"clothes": clothes, "surfaces": surfaces}


@cache
def task(name: str, folder: Path) -> probe.Task:
    return probe.stacked(name, (SETS | PACKAGED)[name](folder), SIDE)


def divided(labels: np.ndarray, each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to learn from and to ask about."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(np.flatnonzero(labels == one)) for one in np.unique(labels)]
    return np.concatenate([o[:each] for o in orders]), np.concatenate([o[each : each + 100] for o in orders])


def balanced(said: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([np.mean(said[truth == one] == one) for one in np.unique(truth)]))


def trained(name: str, folder: Path, weights: str, each: int, seed: int, lr: float) -> float:
    """Every weight learned for STEPS steps of AdamW with a cosine; the accuracy at the end."""
    torch.set_num_threads(1)
    one = task(name, folder)
    learn, ask = divided(one.labels, each, seed)
    classes = len(np.unique(one.labels))
    network = build("thaw-small", classes=classes, weights=weights, workspace=None, seed=seed, image_size=SIDE)
    model = network.model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01, fused=True)
    pixels, labels = one.pixels[learn], torch.from_numpy(one.labels[learn])
    rng = torch.Generator().manual_seed(seed)
    model.train()
    order: list[int] = []
    for step in range(STEPS):
        while len(order) < BATCH:
            order += torch.randperm(len(labels), generator=rng).tolist()
        rows, order = order[:BATCH], order[BATCH:]
        table = draws(seed, step + 1, BATCH)
        images = augment(pixels[rows], table, AUGMENT[name], SIDE, mean=network.mean, std=network.std)
        factor = lr_factor(step, steps_per_epoch=1, epochs=STEPS, schedule="cosine", warmup_epochs=16)
        for group in optimizer.param_groups:
            group["lr"] = lr * factor
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(images.contiguous(memory_format=torch.channels_last))
        F.cross_entropy(logits.float(), labels[rows]).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()
    with torch.inference_mode():
        ready = (normalised(part, network.mean, network.std) for part in one.pixels[ask].split(64))
        said = torch.cat([model(part.contiguous(memory_format=torch.channels_last)) for part in ready]).argmax(1)
    return balanced(said.numpy(), one.labels[ask])


def probed(name: str, folder: Path, weights: str, each: int, seeds: int) -> list[float]:
    torch.set_num_threads(1)
    one = task(name, folder)
    network = build("thaw-small", classes=2, weights=weights, workspace=None, seed=0, image_size=SIDE)
    network.model.fc = nn.Identity()
    found = probe.features(network.model, one.pixels)
    return [float(value) for value in probe.accuracy(found, one.labels, each=each, seeds=range(seeds))]


def figure(values: list[float]) -> str:
    """Mean and half the width of its 95 % interval, in percent."""
    mean, many = np.mean(values), len(values)
    half = stats.t.ppf(0.975, many - 1) * np.std(values, ddof=1) / many**0.5 if many > 1 else float("nan")
    return f"{100 * mean:5.1f} ± {100 * half:3.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sign-digits.zip and bccd.zip")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where Debian's packages are unpacked")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=[*SETS, *PACKAGED])
    parser.add_argument("--each", nargs="+", type=int, default=[10, 20, 50])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--weights", default="bundled", help="'bundled' or a .safetensors file")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print(f"{'set':8}{'each':>5}   probe random   probe pretr.   scratch        fine-tuned     errors: ratio", flush=True)
    with ProcessPoolExecutor(options.workers) as pool:
        for name in options.sets:
            folder = options.root if name in PACKAGED else options.data
            for each in options.each:
                probes = [
                    pool.submit(probed, name, folder, weights, each, options.seeds)
                    for weights in ("random", options.weights)
                ]
                runs = {
                    weights: [
                        pool.submit(trained, name, folder, weights, each, seed, options.lr) for seed in range(options.seeds)
                    ]
                    for weights in ("random", options.weights)
                }
                random, pretrained = (job.result() for job in probes)
                scratch, tuned = ([job.result() for job in runs[w]] for w in ("random", options.weights))
                ratio = (1 - np.mean(tuned)) / max(1e-9, 1 - np.mean(scratch))
                values = {"probe_random": random, "probe": pretrained, "scratch": scratch, "tuned": tuned}
                rows.append({"set": name, "each": each, **values})
                told = "   ".join(figure(part) for part in values.values())
                print(f"{name:8}{each:5}   {told}   {ratio:.2f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), "utf-8")


if __name__ == "__main__":
    main()
