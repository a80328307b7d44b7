"""One section's notebook: rows as JSON lines at once, a clock, sizes, failures that are written down and do not spread."""

import json
import math
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

Row = dict[str, Any]
NEEDS_GPU = "needs a GPU"
LINES = 6
"""Of a traceback that a row keeps."""


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    small: int = 20_000
    """JPEG files of 500x375."""
    big: int = 500
    big_size: tuple[int, int] = (4000, 3000)
    side: int = 224
    networks: tuple[str, ...] = ("resnet18", "resnet50", "vit_b_16", "mobilenet_v3_small")
    batches: tuple[int, ...] = (256, 1024)
    backbone: str = "resnet50"
    batch: int = 256
    epochs: int = 10
    workers: int = 16
    cached: int = 4096
    """Activations of which H5 learns."""
    tail_batches: tuple[int, ...] = (32, 256)
    heads: int = 1000
    head_images: int = 10_000
    head_width: int = 512
    solved: tuple[int, int, int] = (50_000, 2048, 100)
    """Images, features and classes of the solvers."""
    tenants: int = 30
    tenant_images: int = 1000
    tenant_photos: int = 100
    sprint_side: int = 128
    sprint_backbone: str = "resnet18"
    sprint_batch: int = 512
    rounds: int = 3
    seconds: float = 0.4
    """Of one round."""


QUICK = Sizes(
    small=60, big=2, big_size=(800, 600), side=32, networks=("resnet18", "mobilenet_v3_small"), batches=(2,),
    backbone="resnet18", batch=16, epochs=2, workers=1, cached=16, tail_batches=(4,), heads=20, head_images=200,
    head_width=16, solved=(200, 16, 4), tenants=3, tenant_images=8, tenant_photos=2, sprint_side=32, sprint_batch=16,
    rounds=1, seconds=0.02,
)  # fmt: skip


class Bench:
    """What a section gets. `deadline`: time.time() at which it has to be over."""

    def __init__(
        self, section: str, rows: Path, *, device: str, quick: bool, scratch: Path, deadline: float, files: bool = True
    ) -> None:
        self.section, self.rows, self.scratch, self.deadline = section, rows, scratch, deadline
        self.files = files
        """Files are wanted."""
        self.device = torch.device(device)
        self.cuda = self.device.type == "cuda"
        self.sizes = QUICK if quick else Sizes()
        self.half = torch.bfloat16 if self.cuda else None
        """Precision of the engine's trunk here; in single precision the smoke test is faster."""

    def tell(self, what: str, **row: Any) -> Row:
        """Write a row; a loss of power after it loses nothing."""
        whole = {"section": self.section, "what": what, **row}
        with self.rows.open("a", encoding="utf-8") as out:
            out.write(json.dumps(whole, default=str) + "\n")
        return whole

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.time()

    def attempt(self, what: str, work: Callable[[], Row], *, gpu: bool = False, least: float = 3.0) -> Row | None:
        """The row that `work` gives, written; None, with a row that says why, if it fails or cannot be done.

        `gpu`: only there. `least`: with fewer seconds left it is not begun.
        """
        if gpu and not self.cuda:
            self.tell(what, skipped=NEEDS_GPU)
            return None
        if self.left() < least:
            self.tell(what, skipped="no time left")
            return None
        begin = time.perf_counter()
        try:
            row = work()
        except Exception as error:
            told = traceback.format_exc().strip().splitlines()
            self.tell(what, error=f"{type(error).__name__}: {error}"[:800], trace=told[-LINES:])
            if self.cuda:
                try:
                    torch.cuda.empty_cache()
                except RuntimeError as broken:  # after a fault on the device nothing works any more in this process
                    self.tell(what, error=f"afterwards: {broken}"[:300])
            return None
        memory = round(torch.cuda.max_memory_reserved() / 2**20) if self.cuda else None
        return self.tell(what, **row, took=round(time.perf_counter() - begin, 2), gpu_mib=memory)

    def sync(self) -> None:
        """Wait for the device."""
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], Any]) -> float:
        """Of one call, the device's work included."""
        self.sync()
        begin = time.perf_counter()
        work()
        self.sync()
        return time.perf_counter() - begin

    def speed(self, work: Callable[[], Any], images: int, *, warm: int = 3) -> Row:
        """Images a second: the median of rounds of many calls, after a few that do not count."""
        for _ in range(warm):
            work()
        once = self.seconds(work)
        calls = max(1, math.ceil(self.sizes.seconds / max(once, 1e-6)))

        def many() -> None:
            for _ in range(calls):
                work()

        took = [self.seconds(many) / calls for _ in range(self.sizes.rounds)]
        rates = sorted(images / one for one in took)
        return {
            "value": statistics.median(rates), "unit": "images/s", "least": rates[0], "most": rates[-1],
            "ms": 1000 * statistics.median(took), "calls": calls, "rounds": len(took),
        }  # fmt: skip


def captured(step: Callable[[], Any], *, warm: int = 3) -> Callable[[], None]:
    """`step` as one CUDA graph: it reads and writes the same tensors each time. Warmed on a stream of its own first.

    Nothing in it may wait for the device or copy from memory that is not pinned.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(warm):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = step()

    def replay() -> None:
        graph.replay()

    replay.kept = kept  # type: ignore[attr-defined]  # its results live in the graph's memory
    return replay
