"""Street: blue signs with a white arrow, photographed from a moving car. Knows nothing of data sets.

What a sign says hangs on its orientation alone. A few have been filed under the wrong name, as in every collection that
people made; which ones is known here and nowhere else. Everything follows from a sign's number.
"""

from itertools import pairwise
from math import cos, sin

import numpy as np

from core.dataset.canvas import SIDE, Array, X, Y, band, blob, blurred, box, color, jpeg, mix, noise, rough, step

Point = tuple[float, float]
ARROWS: dict[str, tuple[tuple[Point, ...], ...]] = {
    "ahead": (((0.0, 0.55), (0.0, -0.5)),),
    "left": (((0.25, 0.5), (0.25, -0.05), (-0.5, -0.05)),),
    "right": (((-0.25, 0.5), (-0.25, -0.05), (0.5, -0.05)),),
    "ahead or left": (((0.15, 0.55), (0.15, -0.5)), ((0.15, 0.3), (0.15, 0.05), (-0.5, 0.05))),
    "ahead or right": (((-0.15, 0.55), (-0.15, -0.5)), ((-0.15, 0.3), (-0.15, 0.05), (0.5, 0.05))),
    "turn back": (((0.3, 0.5), (0.3, -0.3), (-0.25, -0.3), (-0.25, 0.4)),),
}
"""The lines of each sign, in its radii, y downwards; each ends in a head."""
COUNTS = dict.fromkeys(ARROWS, 100)
WRONG = 36
"""Signs that were filed under another name: 6 %."""
AGAIN = 12
"""Signs that were filed twice, as the same file under another file name."""


def sign(label: str, number: int) -> bytes:
    """A JPEG of the `number`-th sign of class `label`, SIDE x SIDE pixels; the same bytes each time on one machine."""
    rng = np.random.default_rng([24, list(ARROWS).index(label), number])
    scene = _road(rng)
    x, y, radius = *rng.uniform(-0.22, 0.22, 2), rng.uniform(0.42, 0.72)
    tilt, squash = rng.normal(0, 0.09), rng.uniform(0.72, 1.0)
    post = box(x, y + 1.0, 0.035, 1.0, 0.0)
    scene = mix(scene, color((0.5, 0.52, 0.54)) * (0.8 + 0.4 * X), step(-0.6, 0.6, post))
    plate = _Plate(x, y, radius, tilt, squash)
    scene = _painted(scene, rng, plate, label)
    speed = int(rng.integers(0, 4))
    if speed:
        scene = np.mean([np.roll(scene, shift, 2) for shift in range(-speed, speed + 1)], axis=0)
    mood = color((1, 1, 1)) + color(rng.normal(0, 0.06, 3))
    return jpeg(scene * mood * rng.uniform(0.55, 1.15), rng, grain=rng.uniform(0.008, 0.04))


def filed(label: str, number: int) -> str:
    """The class that the `number`-th sign of class `label` was put under."""
    names, many = list(ARROWS), len(ARROWS) * COUNTS[label]
    at = names.index(label) * COUNTS[label] + number
    wrong: list[int] = np.random.default_rng(25).permutation(many)[:WRONG].tolist()
    if at not in wrong:
        return label
    others = [name for name in names if name != label]
    return others[wrong.index(at) % len(others)]


class _Plate:
    """Where a sign hangs: points in its own radii to points of the image, and distances to its rim."""

    def __init__(self, x: float, y: float, radius: float, tilt: float, squash: float) -> None:
        self.radius = radius
        self._x, self._y, self._cos, self._sin, self._squash = x, y, cos(tilt), sin(tilt), squash

    def point(self, at: Point) -> Point:
        u, v = at[0] * self._squash * self.radius, at[1] * self.radius
        return self._x + u * self._cos - v * self._sin, self._y + u * self._sin + v * self._cos

    def edge(self) -> Array:
        """Pixels from the rim, positive inside."""
        dx, dy = X - np.float32(self._x), Y - np.float32(self._y)
        u = (dx * self._cos + dy * self._sin) / self._squash
        v = dy * self._cos - dx * self._sin
        return np.asarray((self.radius - np.hypot(u, v)) * (SIDE / 2), np.float32)


def _road(rng: np.random.Generator) -> Array:
    """Sky above, something green or grey below, all out of focus."""
    sky = color(((0.62, 0.74, 0.88), (0.78, 0.79, 0.80), (0.85, 0.72, 0.60))[int(rng.integers(3))])
    land = color(((0.24, 0.34, 0.18), (0.40, 0.38, 0.36), (0.44, 0.36, 0.26))[int(rng.integers(3))])
    level = rng.uniform(-0.5, 0.6)
    share = step(-0.25, 0.25, Y - level + 0.35 * blurred(0.5 + 0.5 * noise(rng, 7), 24) - 0.17)
    scene = mix(sky * (1 + 0.05 * rough(rng, 3)), land * (1 + 0.3 * rough(rng, 5)), share)
    for _ in range(int(rng.integers(2, 6))):
        x, width, top = rng.uniform(-1, 1), rng.uniform(0.06, 0.3), level - rng.uniform(0.1, 0.9)
        house = step(-7, 7, box(x, top + 1.2, width, 1.2))
        scene = mix(scene, land * rng.uniform(0.6, 1.5) + color(rng.normal(0, 0.05, 3)), house * 0.75)
    return scene


def _painted(scene: Array, rng: np.random.Generator, plate: _Plate, label: str) -> Array:
    edge = plate.edge()
    scene = scene * (1 - 0.25 * step(-6, 2, edge))
    scene = mix(scene, (0.93, 0.94, 0.95), step(-0.7, 0.7, edge))
    rim = plate.radius * SIDE / 2 * 0.07
    blue = color((0.05, 0.28, 0.62)) * rng.uniform(0.8, 1.25) + color(rng.normal(0, 0.02, 3))
    scene = mix(scene, blue, step(-0.7, 0.7, edge - rim))
    scene = mix(scene, (0.94, 0.95, 0.96), step(-0.7, 0.7, _arrow(plate, ARROWS[label])))
    dirt = step(0.3, 0.9, rough(rng, 6)) * np.float32(rng.uniform(0, 0.6)) * step(-0.7, 0.7, edge)
    scene = mix(scene, (0.36, 0.31, 0.25), dirt)
    if rng.random() < 0.2:
        at = plate.point((rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6)))
        sticker = box(*at, 0.10, 0.07, rng.uniform(0, 3))
        scene = mix(scene, rng.uniform(0.2, 0.95, 3).astype(np.float32), step(-0.6, 0.6, sticker))
    leaf = blob(rng, rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0.1, 0.35), 0.5)
    green = color((0.16, 0.26, 0.10)) * (1 + 0.3 * noise(rng, 20))
    return mix(scene, green, step(-3, 3, leaf) * np.float32(rng.random() < 0.35))


def _arrow(plate: _Plate, lines: tuple[tuple[Point, ...], ...]) -> Array:
    half = 0.10 * plate.radius
    edge = np.full_like(X, -99.0)
    for line in lines:
        for a, b in pairwise(line):
            edge = np.maximum(edge, band(plate.point(a), plate.point(b), half))
        (ax, ay), (bx, by) = line[-2], line[-1]
        long = float(np.hypot(bx - ax, by - ay))
        fx, fy = (bx - ax) / long, (by - ay) / long
        tip = (bx + 0.22 * fx, by + 0.22 * fy)
        for turn in (-1, 1):
            back = (tip[0] - 0.36 * fx - turn * 0.30 * fy, tip[1] - 0.36 * fy + turn * 0.30 * fx)
            edge = np.maximum(edge, band(plate.point(tip), plate.point(back), half))
    return edge
