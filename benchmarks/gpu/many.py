"""H6: a thousand heads at once, and the solvers. H7: thirty people who all want a head now, one network for all."""

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.gpu import material
from benchmarks.gpu.bench import Bench, Row
from benchmarks.gpu.decoding import BIG, WEB, bytes_of
from benchmarks.gpu.nets import frozen, halved, ready
from benchmarks.peers.material import CLASSES
from core.container import usable_cores
from core.heads import Rate, Spectrum, decompose, ridge, softmax, sweep
from core.heads.sweep import Optimizer, Sweep
from core.images import decode

EPOCHS, BATCH = 5, 256
CHUNK = 64
"""Images of one tenant that are decoded, and go through the network, together."""
AHEAD = 2
"""Chunks that a tenant may have waiting for a core: so all come by turns."""


def heads(bench: Bench) -> None:
    """H6."""
    sizes = bench.sizes
    features, labels = _planted(bench, sizes.head_images, sizes.head_width, CLASSES)
    rates = [Rate(float(lr)) for lr in np.geomspace(1e-4, 1e-1, sizes.heads)]
    title = f"{sizes.heads} heads, {sizes.head_images} x {sizes.head_width}, {EPOCHS} epochs"
    kinds: tuple[Optimizer, ...] = ("sgd", "adamw")
    for optimizer in kinds:

        def work(optimizer: Optimizer = optimizer) -> Row:
            return _swept(bench, features, labels, rates, optimizer)

        bench.attempt(f"{title}, {optimizer}", work)
    bench.attempt(f"{title}, sgd, TF32", lambda: _tf32(bench, features, labels, rates), gpu=True)
    bench.attempt("one head in a loop of its own", lambda: _alone(bench, features, labels))
    images, width, classes = sizes.solved
    wide, truth = _planted(bench, images, width, classes)
    size = f"{images} x {width}, {classes} classes"
    spectra: list[Spectrum] = []

    def decomposed() -> Row:
        took = _best(bench, lambda: spectra.append(decompose(wide)))
        return {"value": took, "unit": "s", "rank": len(spectra[-1].values), "kind": str(spectra[-1].left.dtype)}

    bench.attempt(f"decompose, {size}", decomposed)
    if spectra:
        last = spectra[-1]
        bench.attempt(f"ridge, {size}", lambda: {"value": _best(bench, lambda: ridge(last, truth, classes)), "unit": "s"})
        bench.attempt(
            f"softmax, {size}", lambda: {"value": _best(bench, lambda: softmax(last, truth, classes), 1), "unit": "s"}
        )


def _planted(bench: Bench, images: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """Clouds of features around a centre for each class."""
    random = torch.Generator(bench.device).manual_seed(0)
    centres = torch.randn(classes, width, device=bench.device, generator=random)
    labels = torch.arange(images, device=bench.device) % classes
    noise = torch.randn(images, width, device=bench.device, generator=random)
    return (0.15 * centres[labels] + noise), labels


def _best(bench: Bench, work: Callable[[], object], times: int = 3) -> float:
    """Seconds, the first time not counted where there are several."""
    took = [bench.seconds(work) for _ in range(times if bench.cuda else 1)]
    return statistics.median(took[1:] or took)


def _swept(bench: Bench, features: Tensor, labels: Tensor, rates: list[Rate], optimizer: Optimizer) -> Row:
    last: list[Sweep] = []

    def once() -> None:
        validation = (features[:1000], labels[:1000])
        last.append(
            sweep(
                features, labels, CLASSES, rates, validation=validation, epochs=EPOCHS, batch_size=BATCH, optimizer=optimizer
            )
        )

    took = _best(bench, once)
    accuracy = float(last[-1].val_accuracy[-1].nan_to_num().max())
    return {"value": took, "unit": "s", "best": accuracy, "diverged": int(last[-1].diverged.sum())}


def _tf32(bench: Bench, features: Tensor, labels: Tensor, rates: list[Rate]) -> Row:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        return _swept(bench, features, labels, rates, "sgd")
    finally:
        torch.set_float32_matmul_precision(before)


def _alone(bench: Bench, features: Tensor, labels: Tensor) -> Row:
    """One epoch of a usual loop, extrapolated to all epochs of all heads."""
    head = nn.Linear(features.shape[1], CLASSES).to(bench.device)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9)

    def epoch() -> None:
        for rows in torch.randperm(len(features)).split(BATCH):
            some = rows.to(bench.device)
            loss = F.cross_entropy(head(features[some]), labels[some])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    epoch()
    took = bench.seconds(epoch)
    return {"value": took, "unit": "s an epoch", "all of them, s": took * EPOCHS * bench.sizes.heads}


# H7


def tenants(bench: Bench) -> None:
    """H7. In memory: JPEG bytes of every tenant. Then all click at once: decode, features, a head in closed form."""
    sizes = bench.sizes
    for name, size, each in ((WEB, material.WEB, sizes.tenant_images), (BIG, sizes.big_size, sizes.tenant_photos)):
        files = material.files(bench.scratch / name)
        count = min(len(files), sizes.tenants * each)

        def work(files: list[Path] = files, count: int = count, each: int = each) -> Row:
            return _simulated(bench, bytes_of(files[:count]), [material.label_of(one) for one in files[:count]], each)

        bench.attempt(f"{sizes.tenants} tenants with {each} images of {size[0]}x{size[1]}, 95 % wait", work, least=8.0)


def _simulated(bench: Bench, data: list[bytes], labels: list[int], each: int) -> Row:
    sizes, side, device = bench.sizes, bench.sizes.side, bench.device
    network, trunk = frozen(bench, sizes.backbone, side)
    below, turn = trunk.below.eval(), threading.Lock()
    together = threading.Barrier(sizes.tenants + 1)
    shares: list[float] = []

    def decoded(mine: list[int]) -> Tensor:
        pixels = np.stack([decode(data[at], side, "crop") for at in mine])
        return torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())

    def through(pixels: Tensor) -> Tensor:
        with turn, halved(bench):
            return below(ready(pixels.to(device), network)).float().flatten(1)

    def one(number: int, pool: ThreadPoolExecutor) -> float:
        mine = [(number * each + at) % len(data) for at in range(each)]
        chunks = deque(mine[at : at + CHUNK] for at in range(0, each, CHUNK))
        waiting: deque[Future[Tensor]] = deque()
        found: list[Tensor] = []
        together.wait()
        begin = time.perf_counter()
        while chunks or waiting:
            while chunks and len(waiting) < AHEAD:
                waiting.append(pool.submit(decoded, chunks.popleft()))
            found.append(through(waiting.popleft().result()))
        truth = torch.tensor([labels[at] for at in mine], device=device)
        with turn:
            solved = ridge(decompose(torch.cat(found)), truth, CLASSES)
            shares.append(solved.accuracy)  # reading it waits for the device
        return time.perf_counter() - begin

    through(decoded(list(range(min(CHUNK, len(data))))))
    warm = torch.randn(max(each, 2), trunk.place.shape[0], device=device)
    ridge(decompose(warm), torch.arange(len(warm), device=device) % CLASSES, CLASSES)
    bench.sync()
    with (
        ThreadPoolExecutor(usable_cores(), "decode") as pool,
        ThreadPoolExecutor(sizes.tenants, "tenant") as people,
    ):
        waits = [people.submit(one, number, pool) for number in range(sizes.tenants)]
        together.wait()
        took = sorted(wait.result() for wait in waits)
    p95 = took[min(len(took) - 1, round(0.95 * (len(took) - 1)))]
    return {
        "value": p95, "unit": "s", "least": took[0], "most": took[-1], "median": statistics.median(took),
        "images/s": sizes.tenants * each / took[-1], "distinct files": len(data), "accuracy": statistics.mean(shares),
    }  # fmt: skip
