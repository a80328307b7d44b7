"""Pins: moments of a run that a person keeps. Each is a model file with a name of its own, which no retention touches.

Knows names of files and the events that tell of them; what a model is, `core/training` knows.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from core import durable
from core.errors import StoreError
from core.events import Pinned

FILE = re.compile(r"kept-\d{8,}(-\d{1,6})?\.safetensors")


def free_name(folder: Path, step: int) -> str:
    """`kept-00000812.safetensors`, or `kept-00000812-2.safetensors` where that step is kept already."""
    return durable.free_name(folder, f"kept-{step:08d}", "safetensors")


def here(folder: Path, told: Iterable[Pinned]) -> tuple[Pinned, ...]:
    """Those of `told` whose files lie whole in `folder`: whatever was let go is not there any more."""
    return tuple(pin for pin in told if _size(folder / Path(pin.file).name) == pin.size_bytes)


def let_go(folder: Path, file: str) -> None:
    """Delete the pin `file`. Raises StoreError (`run.no_pin`) if there is none of that name."""
    if not FILE.fullmatch(file) or not (folder / file).is_file():
        raise StoreError("run.no_pin", name=file[:80])
    (folder / file).unlink(missing_ok=True)


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None
