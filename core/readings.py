"""What the instruments say about a block and all below it, and where gradients vanish or explode. Pure: numbers only."""

from collections.abc import Iterable, Mapping
from math import hypot
from statistics import median
from typing import Literal

from core.events import Reading
from core.layers import within

Flag = Literal["vanishing", "exploding"]
STILL = 1e-4
"""A gradient below this share of the median block's, while the others learn, hardly reaches its block."""
WILD = 100.0
"""A gradient so many times the median block's is out of step with its network."""
LEAP = 0.3
"""A step that moves weights by this share of their length replaces them; a thousandth is healthy."""


def summed(blocks: Mapping[str, Reading], path: str) -> Reading:
    """The reading of `path` with everything below it: lengths of the parts put together. None where one is no number."""
    return _together(reading for name, reading in blocks.items() if within(name, path))


def moved(reading: Reading) -> float | None:
    """Distance from the start as a share of the weights' own length; exactly 0 where no weight moved."""
    if reading.distance is None or reading.weight is None:
        return None
    if reading.distance == 0:
        return 0.0
    return reading.distance / reading.weight if reading.weight > 0 else None


def ratio(reading: Reading) -> float | None:
    """Update as a share of the weights' own length; None where that is not defined."""
    if reading.update is None or not reading.weight:
        return None
    return reading.update / reading.weight


def flags(blocks: Mapping[str, Reading]) -> dict[str, Flag]:
    """Blocks whose gradient vanishes or explodes; frozen ones, which have none, never."""
    living = {path: reading for path, reading in blocks.items() if reading.gradient != 0}
    finite = [reading.gradient for reading in living.values() if reading.gradient is not None]
    middle = median(finite) if finite else 0.0
    found: dict[str, Flag] = {}
    for path, reading in living.items():
        leap = ratio(reading)
        wild = reading.gradient is None or reading.gradient > WILD * middle or reading.update is None
        if wild or (leap is not None and leap > LEAP):
            found[path] = "exploding"
        elif reading.gradient is not None and reading.gradient < STILL * middle:
            found[path] = "vanishing"
    return found


def _together(readings: Iterable[Reading]) -> Reading:
    columns = list(zip(*readings, strict=True)) or [()] * len(Reading._fields)
    return Reading(*(None if None in column else hypot(*(v for v in column if v is not None)) for column in columns))
