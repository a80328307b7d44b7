"""Under which conditions something was measured: machine, versions, commit, load, and what other programs took."""

import os
import platform
import resource
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "torchvision", "numpy", "pillow")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> tuple[str, set[str]]:
    """Name and features, as far as the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    told = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    table = {key.strip(): value.strip() for key, value in told.items()}
    return table.get("model name", platform.machine()), set(table.get("flags", "").split())


def found() -> dict[str, Any]:
    """All of it, once for a run."""
    name, features = processor()
    fast = sorted(features & {"amx_bf16", "avx512_bf16", "avx512f", "avx2"})
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": name,
        "features": fast,
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "commit": _git("rev-parse", "--short=10", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "load": round(os.getloadavg()[0], 2),
    }


def _git(*words: str) -> str:
    try:
        told = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip()


def clock() -> float:
    """Milliseconds of a fixed piece of arithmetic, the best of five: drifts with the clock and with what others do."""
    square = np.random.default_rng(0).random((512, 512), dtype=np.float32)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(4):
            square @ square
        best = min(best, time.perf_counter() - begin)
    return best * 1000


class Others:
    """The share of the processors that programs other than ours took since it was made."""

    def __init__(self) -> None:
        self._begin = self._now()

    def share(self) -> float:
        """Between 0 and 1. To be asked after the child has been waited for."""
        wall, busy, own = (now - before for now, before in zip(self._now(), self._begin, strict=True))
        return round(min(max((busy - own) / (wall * (psutil.cpu_count() or 1)), 0.0), 1.0), 3) if wall > 0 else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return time.monotonic(), busy, sum(one.ru_utime + one.ru_stime for one in used)
