"""Container: the memory and the cores that are really to be had, where a control group holds fewer than the machine has.

Docker, Kubernetes and systemd (`MemoryMax`, `CPUQuota`) limit a process by control groups, of which psutil knows nothing: it
tells of the whole machine. Both versions of them are read, each with all the groups around it. Elsewhere nothing limits.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path("/")


class _Files(NamedTuple):
    """How one version of control groups calls things."""

    most: str
    used: str
    forgettable: str
    """Line of `memory.stat`: of what is used the files that were read once, which the kernel lets go first."""


V1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = _Files("memory.max", "memory.current", "inactive_file")


def available_bytes() -> int:
    """Memory that this process can have now without any other having to give some back."""
    free = int(psutil.virtual_memory().available)
    for folder, files in _groups("memory"):
        most = _number(folder / files.most)
        if most is not None:
            used = _number(folder / files.used) or 0
            free = min(free, most - used + _forgettable(folder, files))
    return max(0, free)


def memory_bytes() -> int:
    """All the memory there is, for this process and those that share its limit."""
    limits = [_number(folder / files.most) for folder, files in _groups("memory")]
    return min([int(psutil.virtual_memory().total), *(limit for limit in limits if limit is not None)])


def usable_cores() -> int:
    """Cores that this process may use: as many as can compute all the time.

    A quota of two and a half is two: whoever computes more than the quota is stopped for the rest of each tenth of a second,
    pages included.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    for folder, files in _groups("cpu"):
        quota = _quota(folder, files)
        if quota is not None:
            cores = min(cores, int(quota))
    return max(1, cores)


def _groups(controller: str) -> Iterator[tuple[Path, _Files]]:
    """The folder of this process's group, and those of the groups around it: each of them limits."""
    with suppress(OSError):
        for number, controllers, path in re.findall(
            r"^(\d+):(.*?):(.*)$", (ROOT / "proc/self/cgroup").read_text(), re.MULTILINE
        ):
            mount = ROOT / "sys/fs/cgroup"
            if number == "0" and not controllers:
                yield from ((folder, V2) for folder in _upwards(mount, path))
            elif controller in controllers.split(","):
                places = [mount / name for name in (controllers, controller) if (mount / name).is_dir()]
                for place in places[:1]:
                    yield from ((folder, V1) for folder in _upwards(place, path))


def _upwards(mount: Path, path: str) -> Sequence[Path]:
    """From inside a container the path may be that of the host, of which only the end of the mount can be seen."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        parts = []
    return [mount.joinpath(*parts[:many]) for many in range(len(parts), -1, -1)]


def _number(file: Path) -> int | None:
    """None where there is no such file, or no limit ("max"; version 1 has a number beyond all memory instead)."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _forgettable(folder: Path, files: _Files) -> int:
    try:
        found = re.search(rf"^{files.forgettable} (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _quota(folder: Path, files: _Files) -> float | None:
    """In cores; None if there is none ("max" or -1)."""
    if files is V2:
        try:
            quota, period = map(int, (folder / "cpu.max").read_text().split())
        except (OSError, ValueError):
            return None
        return quota / period if period > 0 else None
    share, per = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return share / per if share and per and share > 0 < per else None
