"""Street: blue signs with a white arrow, photographed from a moving car. Knows nothing of data sets.

What a sign says hangs on its orientation alone. A few have been filed under the wrong name, as in every collection that
people made; which ones is known here and nowhere else. Everything follows from a sign's number.
"""

import io
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import cos, pi, sin

import numpy as np
from PIL import Image

from core.dataset.canvas import SIDE, Array, X, Y, blob, blurred, box, color, disc, jpeg, mix, noise, profile, rough, step

Point = tuple[float, float]
Tone = tuple[float, float, float]
ARROWS: dict[str, tuple[tuple[Point, ...], ...]] = {
    "ahead": (((0.0, 0.60), (0.0, -0.42)),),
    "left": (((0.24, 0.56), (0.24, -0.06), (-0.36, -0.06)),),
    "right": (((-0.24, 0.56), (-0.24, -0.06), (0.36, -0.06)),),
    "ahead or left": (((0.16, 0.62), (0.16, -0.46)), ((0.16, 0.50), (0.16, 0.10), (-0.36, 0.10))),
    "ahead or right": (((-0.16, 0.62), (-0.16, -0.46)), ((-0.16, 0.50), (-0.16, 0.10), (0.36, 0.10))),
    "turn back": (((0.32, 0.56), (0.32, -0.44), (-0.26, -0.44), (-0.26, 0.20)),),
}
"""The lines of each sign, in its radii, y downwards; each ends in a head."""
COUNTS = dict.fromkeys(ARROWS, 100)
WRONG = 36
"""Signs that were filed under another name: 6 %."""
AGAIN = 12
"""Signs that were filed twice, as the same file under another file name."""
ALIKE = 24
"""Signs of which a copy lies there that somebody made smaller and saved anew: other bytes, the same picture."""

HALF = 0.11
"""Half the width of an arrow's line, in radii; of one that forks, a little less."""
FACE = 256
"""Pixels along a side of the square of a face from which signs are painted."""


@dataclass(frozen=True, slots=True)
class _Hour:
    """The light of an hour: the sky from top to horizon, what is far and what is near, and how bright it is."""

    top: Tone
    horizon: Tone
    far: Tone
    near: Tone
    light: float
    lamps: bool = False


HOURS = (
    _Hour((0.26, 0.50, 0.82), (0.82, 0.90, 0.95), (0.52, 0.62, 0.62), (0.20, 0.33, 0.14), 1.0),
    _Hour((0.40, 0.62, 0.86), (0.93, 0.92, 0.86), (0.62, 0.62, 0.56), (0.42, 0.36, 0.20), 1.05),
    _Hour((0.60, 0.65, 0.71), (0.86, 0.87, 0.88), (0.60, 0.64, 0.66), (0.26, 0.31, 0.25), 0.86),
    _Hour((0.38, 0.38, 0.60), (1.00, 0.74, 0.46), (0.60, 0.42, 0.40), (0.20, 0.16, 0.16), 0.88),
    _Hour((0.07, 0.10, 0.24), (0.62, 0.42, 0.46), (0.20, 0.18, 0.28), (0.05, 0.06, 0.09), 0.66, lamps=True),
    _Hour((0.74, 0.77, 0.80), (0.80, 0.82, 0.84), (0.70, 0.73, 0.75), (0.48, 0.52, 0.52), 0.82),
)


def sign(label: str, number: int) -> bytes:
    """A JPEG of the `number`-th sign of class `label`, SIDE x SIDE pixels; the same bytes each time on one machine."""
    rng = np.random.default_rng([24, list(ARROWS).index(label), number])
    hour = HOURS[int(rng.choice(len(HOURS), p=(0.24, 0.18, 0.18, 0.16, 0.16, 0.08)))]
    scene = _background(rng, hour)
    x, y, radius = *rng.uniform(-0.24, 0.24, 2), rng.uniform(0.36, 0.70)
    plate = _Plate(x, y, radius, yaw=rng.normal(0, 0.42), pitch=rng.normal(0, 0.10), roll=rng.normal(0, 0.08))
    scene = _posted(scene, x, y, radius, hour)
    scene = _painted(scene, rng, plate, label, hour)
    if rng.random() < 0.30:
        scene = _branch(scene, rng, hour)
    scene = _driven_past(scene, int(rng.choice(5, p=(0.45, 0.25, 0.15, 0.10, 0.05))))
    white = color((1 + rng.normal(0, 0.04), 1, 1 + rng.normal(0, 0.04))) * rng.uniform(0.80, 1.18)
    shade = 1 - rng.uniform(0.05, 0.30) * (X**2 + Y**2) / 2
    return jpeg(scene * white * shade, rng, grain=rng.uniform(0.005, 0.014) / hour.light**2)


def saved_anew(data: bytes) -> bytes:
    """The same picture as somebody keeps it who makes it smaller: a JPEG of three quarters of the side, and plainer."""
    smaller = Image.open(io.BytesIO(data), formats=("JPEG",)).resize((SIDE * 3 // 4,) * 2, Image.Resampling.BICUBIC)
    out = io.BytesIO()
    smaller.save(out, "JPEG", quality=70)
    return out.getvalue()


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
    """A disc in space as a camera sees it: pixels to points of the sign, in its radii."""

    def __init__(self, x: float, y: float, radius: float, *, yaw: float, pitch: float, roll: float) -> None:
        turn = _turned(1, yaw) @ _turned(0, pitch) @ _turned(2, roll)
        far = turn[2, :2] / 4.5  # the camera is that many radii away
        seen = np.zeros((3, 3))
        seen[0], seen[1], seen[2] = [*(radius * turn[0, :2] + x * far), x], [*(radius * turn[1, :2] + y * far), y], [*far, 1]
        self._back = np.linalg.inv(seen)
        u, v, w = np.tensordot(self._back.astype(np.float32), np.stack([X, Y, np.ones_like(X)]), 1)
        self.u: Array = u / w
        self.v: Array = v / w
        self.pixels = radius * SIDE / 2
        self.facing = float(turn[2, 2])

    def edge(self, radius: float = 1.0) -> Array:
        """Pixels from the circle of `radius`, positive inside."""
        return np.asarray((radius - np.hypot(self.u, self.v)) * self.pixels)

    def arrow(self, label: str) -> Array:
        """Pixels from the outline of the arrow, positive inside."""
        to_face = np.array([[FACE / 2, 0, FACE / 2], [0, FACE / 2, FACE / 2], [0, 0, 1]])
        from_pixel = np.array([[2 / SIDE, 0, -1], [0, 2 / SIDE, -1], [0, 0, 1]])
        way = to_face @ self._back @ from_pixel
        eight = (way / way[2, 2]).flat[:8].tolist()
        flat = Image.fromarray(_face(label))
        whole = flat.transform((SIDE, SIDE), Image.Transform.PERSPECTIVE, eight, Image.Resampling.BILINEAR, fillcolor=-1)
        return np.asarray(whole) * self.pixels


def _turned(axis: int, angle: float) -> np.ndarray:
    """A rotation about one of three axes."""
    i, j = [one for one in range(3) if one != axis]
    turn = np.eye(3)
    turn[i, i] = turn[j, j] = cos(angle)
    turn[i, j], turn[j, i] = -sin(angle), sin(angle)
    return turn


@cache
def _face(label: str) -> Array:
    """Radii from the outline of the arrow of `label`, positive inside, as FACE x FACE values over the sign's square."""
    axis = (np.arange(FACE, dtype=np.float32) + 0.5) * (2 / FACE) - 1
    u, v = np.meshgrid(axis, axis)
    edge = np.full_like(u, -2.0)
    size = 1.0 if len(ARROWS[label]) == 1 else 0.66
    half = HALF * (0.5 + 0.5 * size)
    for line in ARROWS[label]:
        for a, b in pairwise(_rounded(line)):
            bu, bv = b[0] - a[0], b[1] - a[1]
            t = np.clip(((u - a[0]) * bu + (v - a[1]) * bv) / (bu * bu + bv * bv), 0, 1)
            edge = np.maximum(edge, half - np.hypot(u - a[0] - t * bu, v - a[1] - t * bv))
        (au, av), (bu, bv) = line[-2], line[-1]
        long = float(np.hypot(bu - au, bv - av))
        du, dv = (bu - au) / long, (bv - av) / long
        along, across = (u - bu) * du + (v - bv) * dv, np.abs((v - bv) * du - (u - bu) * dv)
        head = np.minimum(along + 0.14 * size, (0.30 * size - along) * 0.74 - across * 0.67)
        edge = np.maximum(edge, head)
    return np.asarray(edge, np.float32)


def _rounded(line: tuple[Point, ...], radius: float = 0.16) -> list[Point]:
    """`line` with its corners cut to arcs."""
    points = [line[0]]
    for (au, av), (u, v), (bu, bv) in zip(line, line[1:], line[2:], strict=False):
        before, after = float(np.hypot(au - u, av - v)), float(np.hypot(bu - u, bv - v))
        start = u + (au - u) * radius / before, v + (av - v) * radius / before
        end = u + (bu - u) * radius / after, v + (bv - v) * radius / after
        for t in np.linspace(0, 1, 6).tolist():
            points.append(
                (
                    (1 - t) ** 2 * start[0] + 2 * t * (1 - t) * u + t * t * end[0],
                    (1 - t) ** 2 * start[1] + 2 * t * (1 - t) * v + t * t * end[1],
                )
            )
    return [*points, line[-1]]


def _background(rng: np.random.Generator, hour: _Hour) -> Array:
    """A sky, and three rows of trees or houses before it, all out of focus; in the evening with lamps."""
    level = rng.uniform(-0.2, 0.55)
    height = step(level, -1.3, Y)
    scene = mix(color(hour.horizon) * np.ones((3, SIDE, SIDE), np.float32), hour.top, height)
    clouds = step(0.05, 0.9, rough(rng, 3)) * height * np.float32(rng.uniform(0, 0.7))
    scene = mix(scene, color(hour.horizon) * 1.06, clouds)
    for depth in range(3):
        tone = mix(color(hour.far), color(hour.near), np.asarray(depth / 2)) * (1 + rng.normal(0, 0.10))
        top = level - rng.uniform(0.0, 0.5) * (1 - depth / 3) + 0.22 * depth
        if rng.random() < 0.45:
            steps = np.repeat(rng.uniform(-0.28, 0.20, 12), rng.integers(8, 26, 12))[:SIDE]
            ridge = top + np.pad(steps, (0, SIDE - len(steps)), "edge")[None, :]
        else:
            ridge = top + 0.20 * profile(rng, 4) + 0.07 * profile(rng, 14)
        body = tone * (1 + 0.16 * rough(rng, 7)) + color(rng.normal(0, 0.02, 3))
        scene = mix(scene, body, blurred(step(-0.05, 0.05, Y - ridge), 22 + 6 * depth))
    for _ in range(int(rng.integers(7, 16)) if hour.lamps else int(rng.integers(0, 3))):
        lamp = disc(rng.uniform(-1.1, 1.1), level + rng.normal(0.05, 0.22), rng.uniform(0.05, 0.15))
        glow = ((1.0, 0.78, 0.42), (1.0, 0.92, 0.80), (0.95, 0.30, 0.18))[int(rng.integers(3))]
        scene = mix(scene, glow, lamp * np.float32(rng.uniform(0.25, 0.75) * (1.0 if hour.lamps else 0.35)))
    return scene


def _posted(scene: Array, x: float, y: float, radius: float, hour: _Hour) -> Array:
    """The post: a steel tube that shines along its left."""
    half = 0.075 * radius
    across = (X - np.float32(x)) / half
    steel = color((0.56, 0.58, 0.60)) * hour.light * (0.50 + 0.55 * np.exp(-(((across + 0.35) / 0.45) ** 2)))
    return mix(scene, steel, step(-0.7, 0.7, box(x, y + 1.5, half, 1.5)))


def _painted(scene: Array, rng: np.random.Generator, plate: _Plate, label: str, hour: _Hour) -> Array:
    """The sign on its post: rim, face, arrow, what weather and people did to it, and the light on it."""
    edge = plate.edge()
    blue = color(((0.02, 0.25, 0.58), (0.03, 0.33, 0.68), (0.10, 0.34, 0.58))[int(rng.integers(3))])
    face = blue * (1 - 0.14 * plate.v) * rng.uniform(0.9, 1.1)
    white = color((0.93, 0.94, 0.95)) * (1 - 0.06 * plate.v)
    face = mix(face, white, step(-0.7, 0.7, plate.arrow(label)))
    face = mix(face, white, step(0.7, -0.7, plate.edge(0.93)))
    for v in (-0.83, 0.83):
        screw = (0.045 - np.hypot(plate.u, plate.v - v)) * plate.pixels
        face = mix(face, (0.55, 0.57, 0.60), step(-0.6, 0.6, screw) * np.float32(0.8))
    face = _worn(face, rng, plate)
    sweep, at, width = rng.uniform(0, 2 * pi), rng.uniform(-0.8, 0.8), rng.uniform(0.2, 0.6)
    shine = np.exp(-(((plate.u * cos(sweep) + plate.v * sin(sweep) - at) / width) ** 2))
    lit = 1.10 if hour.lamps else hour.light  # by night the car's own lamps light it
    face = face * (lit * (0.80 + 0.22 * plate.facing)) + color(hour.horizon) * shine * np.float32(rng.uniform(0, 0.20))
    scene = scene * (1 - 0.35 * step(-7, 1, edge))
    scene = mix(scene, (0.32, 0.34, 0.36), step(-1.5, -0.3, edge))
    return mix(scene, face, step(-0.7, 0.7, edge))


def _worn(face: Array, rng: np.random.Generator, plate: _Plate) -> Array:
    """Dust, rain that ran down and left streaks, a bleached half, sometimes a sticker."""
    dust = step(0.2, 1.0, rough(rng, 6)) * np.float32(rng.uniform(0, 0.55))
    face = mix(face, (0.46, 0.41, 0.34), dust)
    streaks = step(0.1, 0.8, profile(rng, 34) + 0.25 * noise(rng, 4)) * step(-1.1, 0.6, plate.v)
    face = mix(face, (0.28, 0.27, 0.25), streaks * np.float32(rng.choice([0.0, 0.18, 0.40], p=[0.5, 0.3, 0.2])))
    face = mix(face, face * 0.6 + 0.3, step(-0.2, 1.0, noise(rng, 2)) * np.float32(rng.uniform(0, 0.45)))
    for _ in range(int(rng.choice(3, p=(0.72, 0.20, 0.08)))):
        x, y, turn = *rng.uniform(-0.6, 0.6, 2), rng.uniform(-0.6, 0.6)
        u, v = plate.u - np.float32(x), plate.v - np.float32(y)
        across, down = np.abs(u * cos(turn) + v * sin(turn)), np.abs(v * cos(turn) - u * sin(turn))
        sticker = np.minimum(rng.uniform(0.13, 0.24) - across, rng.uniform(0.09, 0.15) - down) * plate.pixels
        tone = color(((0.93, 0.78, 0.20), (0.85, 0.22, 0.20), (0.92, 0.92, 0.90), (0.15, 0.15, 0.17))[int(rng.integers(4))])
        face = mix(face, color((0.95, 0.95, 0.94)), step(-0.6, 0.6, sticker))
        face = mix(face, tone, step(0.9, 2.0, sticker))
    return face


def _branch(scene: Array, rng: np.random.Generator, hour: _Hour) -> Array:
    """Leaves that hang into the picture from a side, too near to be sharp."""
    side = rng.uniform(0, 2 * pi)
    hue = color(((0.20, 0.34, 0.10), (0.34, 0.42, 0.12), (0.62, 0.36, 0.12))[int(rng.integers(3))]) * hour.light
    for _ in range(int(rng.integers(5, 12))):
        away, angle = rng.uniform(0.75, 1.25), side + rng.normal(0, 0.30)
        leaf = blob(rng, away * cos(angle), away * sin(angle), rng.uniform(0.07, 0.17), 0.8)
        scene = mix(scene, hue * rng.uniform(0.6, 1.5), step(-5, 4, leaf) * np.float32(0.9))
    return scene


def _driven_past(scene: Array, speed: int) -> Array:
    """Smeared sideways by `speed` pixels to each side."""
    if not speed:
        return scene
    wide = np.pad(scene, ((0, 0), (0, 0), (speed, speed)), "edge")
    return np.asarray(np.mean([wide[..., at : at + SIDE] for at in range(2 * speed + 1)], axis=0))
