"""Night: leaves by the light of a lamp in the rain, as another camera sees them. Knows nothing of data sets."""

import numpy as np

from core.dataset.canvas import Array, X, Y, around, band, blob, blurred, color, jpeg, mix, step
from core.dataset.leaves import COUNTS, photograph


def leaf_at_night(label: str, number: int) -> bytes:
    """Another leaf by the light of a lamp in the rain: dark, bluish, soft and grainy. `number` as for `leaf`."""
    rng = np.random.default_rng([23, list(COUNTS).index(label), number])
    photo = photograph(label, rng)
    soft = np.stack([blurred(part, 56 + 8 * int(rng.integers(0, 4))) for part in photo])
    x, y = rng.uniform(-0.5, 0.5, 2)
    lamp = np.exp(-((X - x) ** 2 + (Y - y) ** 2) / rng.uniform(0.35, 0.9))
    moon, warm = color((0.50, 0.72, 1.05)) * rng.uniform(0.24, 0.38), color((1.10, 0.80, 0.42)) * rng.uniform(0.55, 0.95)
    scene = soft * (moon + warm * lamp) + color((0.010, 0.020, 0.045))
    return jpeg(_wet(scene, lamp, rng), rng, grain=rng.uniform(0.012, 0.035))


def _wet(scene: Array, lamp: Array, rng: np.random.Generator) -> Array:
    """Streaks of rain where the lamp shines, and drops on the lens that turn the scene upside down."""
    slant = rng.normal(0, 0.25)
    for _ in range(int(rng.integers(6, 26))):
        x, y, long = *rng.uniform(-1.1, 1.1, 2), rng.uniform(0.06, 0.22)
        at = around(x, y, long + 0.05)
        streak = step(-0.9, 0.5, band((x - slant * long, y - long), (x + slant * long, y + long), 0.004, at))
        here = (slice(None), *at)
        scene[here] = mix(scene[here], (1.0, 0.92, 0.78), streak * (0.06 + 0.34 * lamp[at]) * rng.uniform(0.4, 1.0))
    for _ in range(int(rng.integers(2, 8))):
        x, y, radius = *rng.uniform(-1, 1, 2), rng.uniform(0.05, 0.15)
        at = around(x, y, radius * 1.4)
        here, edge = (slice(None), *at), blob(rng, x, y, radius, 0.15, at)
        turned = np.roll(scene[:, ::-1, :], int(rng.integers(-20, 20)), 1)[here]
        rim = np.exp(-(((edge - 1.0) / 1.2) ** 2))
        glint = np.exp(-(((X[at] - x + 0.35 * radius) ** 2 + (Y[at] - y + 0.4 * radius) ** 2) / (0.22 * radius) ** 2))
        drop = turned * (1.15 - 0.55 * rim) + color((1.0, 0.90, 0.70)) * (0.75 * glint)
        scene[here] = mix(scene[here], drop, step(-0.8, 1.2, edge) * np.float32(0.92))
    return scene
