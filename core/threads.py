"""The thread environment of OpenMP and MKL, which must stand before torch is imported. Knows nothing of torch itself."""

import os

import psutil

from core.container import usable_cores


def set_threads(*, interactive: bool, environment: dict[str, str] | None = None) -> int:
    """Fill in what the person has not set; gives the number of threads that compute.

    Interactive: one physical core is left to pages and browser. Threads do not spin at barriers: when another process takes
    a core, spinning ones wait for whole scheduler quanta at each of hundreds of barriers, and speed falls 2 to 30 times.
    """
    place = os.environ if environment is None else environment
    cores = psutil.cpu_count(logical=False) or 1
    usable = min(cores, usable_cores())
    place.setdefault("OMP_NUM_THREADS", str(max(1, usable - 1) if interactive else max(1, usable)))
    place.setdefault("OMP_WAIT_POLICY", "passive")
    place.setdefault("GOMP_SPINCOUNT", "0")
    place.setdefault("KMP_BLOCKTIME", "0")
    first = place["OMP_NUM_THREADS"].split(",")[0].strip()
    return int(first) if first.isdigit() else 1
