"""Canvas: a square of pixels to draw on by arithmetic, and the few strokes that pictures are made of."""

import numpy as np
from PIL import Image

SIDE = 128
"""Pixels."""

Array = np.ndarray
"""(SIDE, SIDE) float32, or (3, SIDE, SIDE) for colours and (3, 1, 1) for one colour; light in 0 to 1."""


def grid() -> tuple[Array, Array]:
    """Coordinates x and y of the pixels' centres, -1 to 1."""
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) * (2 / SIDE) - 1
    x, y = np.meshgrid(axis, axis)
    return x, y


X, Y = grid()


def noise(rng: np.random.Generator, cells: int) -> Array:
    """Smooth noise, about -1 to 1, with `cells` bumps along a side."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells + 3, cells + 3)).astype(np.float32))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (1, 1, cells + 2, cells + 2)))


def rough(rng: np.random.Generator, cells: int) -> Array:
    """Noise with finer noise on it, about -1 to 1."""
    return 0.6 * noise(rng, cells) + 0.3 * noise(rng, 2 * cells) + 0.15 * noise(rng, 4 * cells)


def step(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between."""
    x = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def mix(below: Array, above: Array | tuple[float, float, float], share: Array) -> Array:
    """Colours `above` over `below` where `share` is 1."""
    return np.asarray(below + (color(above) - below) * share)


def color(values: Array | tuple[float, float, float]) -> Array:
    """Red, green and blue as (3, 1, 1); a picture as it is."""
    tones = np.asarray(values, np.float32)
    return tones.reshape(3, 1, 1) if tones.size == 3 else tones


def blurred(share: Array, cells: int) -> Array:
    """`share` as seen with `cells` pixels along a side, still within 0 to 1."""
    small = Image.fromarray(share.astype(np.float32)).resize((cells, cells), Image.Resampling.BILINEAR)
    blurry = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.asarray(blurry.clip(0, 1))
