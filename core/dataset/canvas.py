"""Canvas: a square of pixels to draw on by arithmetic, and the few strokes that pictures are made of."""

import io

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

Window = tuple[slice, slice]
"""Rows and columns of a part of the canvas: what is small is drawn there alone, which is faster."""
ALL: Window = (slice(None), slice(None))


def around(x: float, y: float, reach: float) -> Window:
    """The window of the pixels at most `reach` half sides from (x, y), across and down; empty if that is outside."""
    left, right, top, bottom = (
        min(max(round((at + 1) * SIDE / 2), 0), SIDE) for at in (x - reach, x + reach, y - reach, y + reach)
    )
    return slice(top, bottom), slice(left, right)


def noise(rng: np.random.Generator, cells: int) -> Array:
    """Smooth noise, about -1 to 1, with `cells` bumps along a side."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells + 3, cells + 3)).astype(np.float32))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (1, 1, cells + 2, cells + 2)))


def rough(rng: np.random.Generator, cells: int) -> Array:
    """Noise with finer noise on it, about -1 to 1."""
    return 0.6 * noise(rng, cells) + 0.3 * noise(rng, 2 * cells) + 0.15 * noise(rng, 4 * cells)


def profile(rng: np.random.Generator, cells: int) -> Array:
    """Smooth noise along x alone, about -1 to 1, as (1, SIDE)."""
    return np.asarray(noise(rng, cells)[SIDE // 2][None, :])


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


def blob(rng: np.random.Generator, x: float, y: float, radius: float, wobble: float = 0.06, at: Window = ALL) -> Array:
    """Pixels from the outline of a round thing, positive inside. `radius` in half sides, `wobble` a share of it."""
    dx, dy = X[at] - np.float32(x), Y[at] - np.float32(y)
    angle = np.arctan2(dy, dx)
    reach = np.full_like(dx, radius)
    for turns in (2, 3, 4, 5):
        reach += np.float32(radius * wobble * rng.normal() / turns) * np.cos(turns * angle + np.float32(rng.uniform(0, 6.3)))
    return np.asarray((reach - np.hypot(dx, dy)) * (SIDE / 2))


def disc(x: float, y: float, radius: float, at: Window = ALL) -> Array:
    """The share of a light far out of focus: a disc as a lens draws it, brighter to its rim. `radius` in half sides."""
    away = np.hypot(X[at] - np.float32(x), Y[at] - np.float32(y)) / np.float32(radius)
    return np.asarray(step(1.06, 0.90, away) * (0.72 + 0.28 * step(0.55, 1.0, away)))


def band(a: tuple[float, float], b: tuple[float, float], half: float, at: Window = ALL) -> Array:
    """Pixels from the outline of a straight band from `a` to `b`, positive inside; `half` its width, in half sides."""
    bx, by = b[0] - a[0], b[1] - a[1]
    t = np.clip(((X[at] - a[0]) * bx + (Y[at] - a[1]) * by) / max(bx * bx + by * by, 1e-6), 0, 1)
    return np.asarray((half - np.hypot(X[at] - a[0] - t * bx, Y[at] - a[1] - t * by)) * (SIDE / 2), np.float32)


def box(x: float, y: float, width: float, height: float, turn: float = 0.0, at: Window = ALL) -> Array:
    """Pixels from the outline of a rectangle around (x, y), positive inside; `width`, `height` are half of its own."""
    u, v = turned(x, y, turn, at)
    return np.asarray(np.minimum(width - np.abs(u), height - np.abs(v)) * (SIDE / 2))


def turned(x: float, y: float, turn: float, at: Window = ALL) -> tuple[Array, Array]:
    """Coordinates along and across of something that lies at (x, y), turned by `turn` radians."""
    dx, dy = X[at] - np.float32(x), Y[at] - np.float32(y)
    along, across = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return dx * along + dy * across, dy * along - dx * across


def jpeg(scene: Array, rng: np.random.Generator, *, grain: float, quality: int = 90) -> bytes:
    """The file of a (3, SIDE, SIDE) scene as a camera would keep it, with noise of that standard deviation."""
    light = scene + rng.standard_normal(scene.shape, np.float32) * np.float32(grain)
    out = io.BytesIO()
    pixels = (np.clip(light, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return out.getvalue()
