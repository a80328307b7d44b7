"""Heavy: torch comes into memory once, by one thread at a time.

Two threads may import one package at a moment; where one of them begins with an inner module, both wait for each other until
Python lets one go on with a package that is half made. So whoever is about to bring torch along asks here first.
"""

import importlib
import threading

MODULES = ("torch", "core.eager")
_alone = threading.Lock()
_there = threading.Event()


def load_torch() -> None:
    """Have `MODULES` in memory, whole. Raises ImportError."""
    if _there.is_set():
        return
    with _alone:
        for module in MODULES:
            importlib.import_module(module)
        _there.set()
