"""H0: machine and files. H1: JPEG decoding, on sixteen threads, on the GPU, and on both at once."""

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional as V

from benchmarks.gpu import material
from benchmarks.gpu.bench import Bench, Row
from benchmarks.gpu.nets import weights_file
from core.container import usable_cores
from core.dataset import import_dataset
from core.images import decode
from core.workspace import Workspace, open_workspace

WEB, BIG, SPACE = "web", "big", "workspace"
NAME = "dataset.txt"
SOME = 4096
"""Web files that are decoded for H1; of the large ones 256."""
PIECE = 16


def prepare(bench: Bench) -> None:
    """H0."""
    sizes = bench.sizes
    if bench.cuda:
        bench.attempt("GPU", lambda: _gpu(bench))
    if not bench.files:
        return
    for name, count, size in ((WEB, sizes.small, material.WEB), (BIG, sizes.big, sizes.big_size)):

        def make(name: str = name, count: int = count, size: tuple[int, int] = size) -> Row:
            return _files(bench, name, count, size)

        bench.attempt(f"{count} files of {size[0]}x{size[1]}", make, least=1.0)
    bench.attempt(
        "weights",
        lambda: {"value": weights_file(bench.scratch, sizes.backbone).stat().st_size / 2**20, "unit": "MiB"},
        least=1.0,
    )
    bench.attempt("import", lambda: _import(bench), least=1.0)


def _gpu(bench: Bench) -> Row:
    """What a product of large matrices reaches, as a sign of health."""
    about = torch.cuda.get_device_properties(bench.device)
    square = torch.randn(8192, 8192, device=bench.device, dtype=torch.bfloat16)
    took = bench.speed(lambda: square @ square, 1)
    stat = os.statvfs("/dev/shm") if Path("/dev/shm").is_dir() else None
    return {
        "value": 2 * 8192**3 * took["value"] / 1e12, "unit": "TFLOP/s (bf16)", "name": about.name,
        "memory_gib": round(about.total_memory / 2**30, 1), "capability": list(torch.cuda.get_device_capability()),
        "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "cores": usable_cores(),
        "shm_gib": round(stat.f_bavail * stat.f_frsize / 2**30, 1) if stat else None, "threads": torch.get_num_threads(),
    }  # fmt: skip


def _files(bench: Bench, name: str, count: int, size: tuple[int, int]) -> Row:
    begin = time.perf_counter()
    root = material.generated(bench.scratch / name, count=count, size=size)
    seconds = time.perf_counter() - begin
    total = sum(file.stat().st_size for file in material.files(root))
    return {"value": seconds, "unit": "s", "files": count, "size": list(size), "kib_each": round(total / count / 1024)}


def _import(bench: Bench) -> Row:
    """Into a workspace: each file is hashed, decoded at an eighth and copied."""
    begin = time.perf_counter()
    dataset = import_dataset(bench.scratch / WEB, open_workspace(bench.scratch / SPACE))
    (bench.scratch / NAME).write_text(dataset.id, "utf-8")
    return {
        "value": time.perf_counter() - begin,
        "unit": "s",
        "images": len(dataset.items),
        "kept out": len(dataset.skipped),
    }


def imported(bench: Bench) -> tuple[Workspace, str]:
    """The workspace and the data set's id. Raises OSError if H0 did not come so far."""
    return open_workspace(bench.scratch / SPACE), (bench.scratch / NAME).read_text("utf-8")


def bytes_of(files: list[Path]) -> list[bytes]:
    """All in memory: disks are nobody's handicap."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(Path.read_bytes, files))


# H1


def decoding(bench: Bench) -> None:
    """H1."""
    sizes = bench.sizes
    _kind(bench, material.WEB, material.files(bench.scratch / WEB)[:SOME], (128, 512))
    _kind(bench, sizes.big_size, material.files(bench.scratch / BIG)[: SOME // 16], (16, 64))


def _kind(bench: Bench, size: tuple[int, int], files: list[Path], batches: tuple[int, ...]) -> None:
    name, threads, side = f"{size[0]}x{size[1]}", usable_cores(), bench.sizes.side
    data = bytes_of(files)
    if not data:
        bench.tell(name, error="there are no files")
        return
    raw = [torch.frombuffer(bytearray(one), dtype=torch.uint8) for one in data]

    def ours(one: bytes) -> np.ndarray:
        return decode(one, side, "crop")

    some = data[: max(1, len(data) // 8)]
    bench.attempt(f"{name}, Pillow draft to {side} px, 1 thread", lambda: _spread(some, ours, 1))
    bench.attempt(f"{name}, Pillow draft to {side} px, {threads} threads", lambda: _spread(data, ours, threads))
    bench.attempt(f"{name}, torchvision, decode only, {threads} threads", lambda: _spread(raw, _torchvision, threads))
    bench.attempt(f"{name}, torchvision to {side} px, {threads} threads", lambda: _spread(raw, _resized(side), threads))
    for batch in batches:
        for whole in (False, True):

            def alone(batch: int = batch, whole: bool = whole) -> Row:
                return _nvjpeg(bench, raw, batch, whole=whole)

            bench.attempt(f"{name}, nvJPEG{f' to {side} px' if whole else ', decode only'}, batch {batch}", alone, gpu=True)
    bench.attempt(f"{name}, both, nvJPEG by {batches[0]}", lambda: _hybrid(bench, data, raw, batches[0]), gpu=True)


def _torchvision(one: Tensor) -> Tensor:
    return decode_jpeg(one, mode=ImageReadMode.RGB)


def _resized(side: int) -> Callable[[Tensor], Tensor]:
    return lambda one: V.center_crop(V.resize(_torchvision(one), [side], antialias=True), [side, side])


def _spread(data: list[Any], work: Callable[[Any], Any], threads: int) -> Row:
    """Each thread takes pieces; torch itself uses one thread in each."""
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]

    def some(piece: list[Any]) -> int:
        return len([work(one) for one in piece])

    with ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1)) as pool:
        list(pool.map(some, pieces[:threads]))
        begin = time.perf_counter()
        done = sum(pool.map(some, pieces))
        took = time.perf_counter() - begin
    return {"value": done / took, "unit": "images/s", "images": done}


def _small(images: list[Tensor], side: int) -> Tensor:
    """Largest centred squares, resized on the GPU: (B, 3, side, side) uint8. All of one size here."""
    whole = torch.stack(images)
    height, width = whole.shape[2:]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = whole[:, :, top : top + edge, left : left + edge].float()
    small = F.interpolate(square, (side, side), mode="bilinear", antialias=True)
    return small.round_().clamp_(0, 255).to(torch.uint8)


def _decoded(bench: Bench, some: list[Tensor], *, whole: bool) -> list[Tensor]:
    images = decode_jpeg(some, mode=ImageReadMode.RGB, device="cuda")
    if not whole:
        return images
    step = max(1, 2**26 // images[0].numel())  # in single precision a batch of large images fills gigabytes
    return [_small(images[at : at + step], bench.sizes.side) for at in range(0, len(images), step)]


def _nvjpeg(bench: Bench, raw: list[Tensor], batch: int, *, whole: bool) -> Row:
    batches = [raw[at : at + batch] for at in range(0, len(raw), batch)]
    _decoded(bench, batches[0], whole=whole)

    def every() -> None:
        for some in batches:
            _decoded(bench, some, whole=whole)

    took = bench.seconds(every)
    return {"value": len(raw) / took, "unit": "images/s", "images": len(raw)}


def _hybrid(bench: Bench, data: list[bytes], raw: list[Tensor], batch: int) -> Row:
    """One thread feeds nvJPEG from the front, all others Pillow from the back, until they meet; all ends on the GPU."""
    side, threads = bench.sizes.side, max(1, usable_cores() - 1)
    _decoded(bench, raw[: min(batch, len(raw))], whole=True)
    lock, waiting = threading.Lock(), deque(range(len(data)))
    by_gpu = by_cpu = 0
    kept: list[Tensor] = []

    def take(count: int, *, front: bool) -> list[int]:
        with lock:
            return [waiting.popleft() if front else waiting.pop() for _ in range(min(count, len(waiting)))]

    def gpu() -> None:
        nonlocal by_gpu
        while mine := take(batch, front=True):
            kept.extend(_decoded(bench, [raw[at] for at in mine], whole=True))
            by_gpu += len(mine)

    def cpu() -> None:
        nonlocal by_cpu
        while mine := take(PIECE, front=False):
            pixels = np.stack([decode(data[at], side, "crop") for at in mine])
            found = torch.from_numpy(pixels).pin_memory().to(bench.device, non_blocking=True).permute(0, 3, 1, 2)
            with lock:
                kept.append(found)
                by_cpu += len(mine)

    def all_of_it() -> None:
        with ThreadPoolExecutor(threads + 1) as pool:
            for future in [pool.submit(gpu), *(pool.submit(cpu) for _ in range(threads))]:
                future.result()

    took = bench.seconds(all_of_it)
    done = sum(len(one) for one in itertools.chain(kept))
    if done != len(data):
        raise ValueError(f"{done} of {len(data)} images")
    return {"value": done / took, "unit": "images/s", "by_gpu": by_gpu, "by_cpu": by_cpu}
