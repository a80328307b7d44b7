"""Leaves: photographs of leaves, healthy and ill, drawn by arithmetic. Knows numpy and Pillow; nothing of data sets.

A leaf is a sheet over coordinates along (t, 0 at the stalk, 1 at the tip) and across (s) its midrib: an outline, a relief
that light falls on, and a skin that an illness changes. Everything about a leaf follows from its number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from PIL import Image

from core.dataset.canvas import SIDE, Array, X, Y, blurred, color, disc, jpeg, mix, noise, rough, step

COUNTS = {"healthy": 220, "rust": 170, "powdery mildew": 150, "leaf spot": 130, "blight": 110}
"""Images of each class: uneven, as in a real collection."""
HALF = np.s_[::2, ::2]
"""Every other pixel."""


@dataclass(frozen=True, slots=True)
class _Plant:
    """A kind of leaf. `width`: half of it, in lengths; `base`, `tip`: exponents of the outline; `teeth`: along one side."""

    width: float
    base: float
    tip: float
    teeth: int
    depth: float
    veins: int
    slant: float
    green: tuple[float, float, float]


PLANTS = (
    _Plant(0.30, 0.55, 0.85, 17, 0.11, 7, 0.75, (0.30, 0.52, 0.16)),
    _Plant(0.19, 0.70, 0.90, 0, 0.0, 11, 0.95, (0.22, 0.46, 0.20)),
    _Plant(0.40, 0.33, 0.80, 9, 0.05, 5, 0.60, (0.38, 0.58, 0.17)),
)


@dataclass(slots=True)
class _Leaf:
    """One leaf on the picture's grid."""

    t: Array
    s: Array
    edge: Array
    """Pixels to the outline, positive inside."""
    relief: Array
    """Height in pixels."""
    skin: Array
    veins: Array
    """1 on a vein, 0 between."""
    length: float
    """Pixels."""
    gloss: float
    ragged: Array
    """Noise that makes outlines of blots uneven."""


def leaf(label: str, number: int) -> bytes:
    """A JPEG of the `number`-th leaf of class `label`, SIDE x SIDE pixels; the same bytes each time on one machine."""
    rng = np.random.default_rng([20, list(COUNTS).index(label), number])
    return jpeg(photograph(label, rng), rng, grain=0.0)


def photograph(label: str, rng: np.random.Generator) -> Array:
    """A leaf of class `label` in the light of some hour of the day, as colours."""
    scene = _garden(rng)
    if rng.random() < 0.45:
        scene = _behind(scene, rng)
    one = _grown(rng, PLANTS[int(rng.integers(len(PLANTS)))])
    _aged(one, rng)
    ILLNESSES[label](one, rng)
    return _photographed(scene, one, rng)


def _garden(rng: np.random.Generator) -> Array:
    """A background far out of focus: a gradient, dim shapes, and discs of light as a lens draws them."""
    moods = (
        ((0.10, 0.20, 0.10), (0.36, 0.48, 0.20)),
        ((0.08, 0.15, 0.16), (0.34, 0.50, 0.46)),
        ((0.22, 0.15, 0.09), (0.58, 0.47, 0.26)),
        ((0.13, 0.16, 0.24), (0.50, 0.58, 0.66)),
        ((0.18, 0.11, 0.16), (0.60, 0.44, 0.40)),
    )
    dark, light = (color(tone) for tone in moods[int(rng.integers(len(moods)))])
    angle = rng.uniform(0, 2 * pi)
    x_far, y_far = X[HALF], Y[HALF]  # half the pixels will do: nothing here is sharp
    slope = step(-1.3, 1.3, x_far * cos(angle) + y_far * sin(angle) + 0.5 * noise(rng, 3)[HALF])
    scene = mix(np.broadcast_to(dark, (3, *x_far.shape)), light, slope)
    for _ in range(int(rng.integers(10, 22))):
        x, y, radius = rng.uniform(-1.15, 1.15), rng.uniform(-1.15, 1.15), rng.uniform(0.10, 0.30)
        spot = disc(x, y, radius, HALF)
        tint = light + rng.uniform(-0.10, 0.40) * color((1.0, 0.95, 0.7)) + color(rng.normal(0, 0.04, 3))
        scene = mix(scene, np.clip(tint, 0, 1), spot * rng.uniform(0.08, 0.42))
    far = Image.fromarray((np.clip(scene, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
    near = np.asarray(far.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) / 255
    return np.ascontiguousarray(near.transpose(2, 0, 1))


def _placed(rng: np.random.Generator, plant: _Plant, length: float, away: float) -> tuple[Array, Array, Array, float]:
    """Coordinates t and s, distance to the outline in pixels and the length in pixels of a leaf somewhere."""
    angle = rng.uniform(0, 2 * pi)
    dx, dy = X - rng.uniform(-away, away), Y - rng.uniform(-away, away)
    along, across = dx * cos(angle) + dy * sin(angle), dy * cos(angle) - dx * sin(angle)
    t = along / length + 0.5
    bend = rng.normal(0, 0.14)
    s = across / length + bend * ((t - 0.5) ** 2 - 0.1) + 0.006 * np.sin(t * rng.uniform(4, 9) + rng.uniform(0, 6))
    s = s / rng.uniform(0.78, 1.05)  # turned a little away from the eye
    inside = np.clip(t, 1e-4, 1 - 1e-4)
    peak = plant.base / (plant.base + plant.tip)
    outline = inside**plant.base * (1 - inside) ** plant.tip / (peak**plant.base * (1 - peak) ** plant.tip)
    if plant.teeth:
        saw = np.mod(inside * plant.teeth + np.float32(0.4) * (s <= 0), 1)
        outline = outline * (1 - plant.depth * saw * step(0.02, 0.2, inside))
    width = plant.width * rng.uniform(0.88, 1.14) * outline * (1 + rng.normal(0, 0.05) * np.sign(s))
    pixels = length * SIDE / 2
    edge = np.where((t > 0) & (t < 1), (width - np.abs(s)) * pixels * 0.85, -9.0)
    return t, s, edge.astype(np.float32), pixels


def _behind(scene: Array, rng: np.random.Generator) -> Array:
    """Another leaf in the background, out of focus."""
    plant = PLANTS[int(rng.integers(len(PLANTS)))]
    _, _, edge, _ = _placed(rng, plant, rng.uniform(1.2, 1.8), 0.9)
    share = 0.8 * blurred(step(-5, 6, edge), 16)
    return mix(scene, color(plant.green) * rng.uniform(0.4, 1.0), share)


def _grown(rng: np.random.Generator, plant: _Plant) -> _Leaf:
    """A healthy young leaf."""
    t, s, edge, length = _placed(rng, plant, rng.uniform(1.65, 2.25), 0.12)
    side = np.abs(s)
    sway = 0.16 * noise(rng, 5)
    curve = t * plant.veins - plant.slant * plant.veins * side**1.15 + np.float32(0.35) * (s <= 0) + sway
    phase = np.abs(np.mod(curve, 1) - 0.5) * 2  # 1 on a side vein, 0 between two
    thin = 1.6 / (length / plant.veins)
    rib = step(0.020, 0.004, side - 0.012 * (1 - t))
    lateral = step(1 - 4.5 * thin, 1 - 0.6 * thin, phase) * step(0.0, 3.0, edge) * (1 - 0.5 * t)
    mesh = noise(rng, 26)
    veins = np.clip(np.maximum(rib, 0.75 * lateral), 0, 1)
    quilt = np.sin(pi * (1 - phase)) * rng.uniform(0.012, 0.055) * length / plant.veins
    fold = side * length * rng.uniform(0.10, 0.45) + (s * length) * rng.uniform(-0.12, 0.12)
    wave = noise(rng, 4) * rng.uniform(1.0, 3.5) + mesh * 0.16
    curl = -step(7.0, 0.0, edge) * rng.uniform(0.0, 2.5)
    relief = quilt - 1.1 * rib + fold + wave + curl
    hue = color(rng.normal(0, 0.035, 3))
    base = np.clip(color(plant.green) * rng.uniform(0.82, 1.18) + hue, 0.05, 0.9)
    skin = base * (1 + 0.10 * rough(rng, 5) + 0.04 * mesh)
    skin = mix(skin, base * color((1.35, 1.18, 0.95)), step(0.25, 1.0, t) * rng.uniform(0, 0.5))
    skin = mix(skin, base * 0.45 + color((0.42, 0.46, 0.26)), veins * rng.uniform(0.45, 0.8))
    return _Leaf(t, s, edge, relief, skin, veins, length, rng.uniform(0.10, 0.42), noise(rng, 14))


def _aged(one: _Leaf, rng: np.random.Generator) -> None:
    """What also a healthy leaf may have: a pale rim, a nibbled edge, a few specks of soil. It makes the classes meet."""
    if rng.random() < 0.35:
        pale = step(9.0, 0.0, one.edge + 4 * noise(rng, 6)) * rng.uniform(0.15, 0.45)
        one.skin = mix(one.skin, (0.66, 0.62, 0.25), pale)
    if rng.random() < 0.30:
        _bitten(one, rng)
    for _ in range(int(rng.integers(0, 5))):
        speck = _blot(one, rng, rng.uniform(0.5, 1.1), 0.3)
        one.skin = mix(one.skin, (0.24, 0.19, 0.12), 0.8 * step(0.7, -0.7, speck))


def _bitten(one: _Leaf, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 3))):
        x, y = _somewhere(one, rng, 0.0, 3.0)
        hole = np.hypot(X - x, Y - y) * (SIDE / 2) - rng.uniform(2.5, 7.0) + 0.8 * noise(rng, 12)
        one.skin = mix(one.skin, (0.45, 0.36, 0.18), 0.7 * step(2.2, 0.0, hole))
        one.edge = np.minimum(one.edge, hole)


def _somewhere(one: _Leaf, rng: np.random.Generator, low: float, high: float) -> tuple[float, float]:
    """Coordinates x and y of a pixel of the leaf that lies `low` to `high` pixels inside its outline, if it has such."""
    x = y = 0.0
    for pick in rng.integers(0, SIDE * SIDE, 400).tolist():
        if low < one.edge.flat[pick] < high:
            x, y = float(X.flat[pick]), float(Y.flat[pick])
            break
    return x, y


def _blot(one: _Leaf, rng: np.random.Generator, radius: float, ragged: float, low: float = 1.0) -> Array:
    """Pixels to the outline of a blot of about `radius` pixels somewhere on the leaf, negative inside."""
    x, y = _somewhere(one, rng, low, 99.0)
    stretch, angle = rng.uniform(0.8, 1.25), rng.uniform(0, pi)
    dx, dy = (X - x) * (SIDE / 2), (Y - y) * (SIDE / 2)
    along, across = dx * cos(angle) + dy * sin(angle), dy * cos(angle) - dx * sin(angle)
    return np.asarray(np.hypot(along * stretch, across / stretch) - radius * (1 + ragged * one.ragged))


def _healthy(one: _Leaf, rng: np.random.Generator) -> None:
    """Nothing; now and then drops of dew, bright like mildew."""
    if rng.random() < 0.22:
        for _ in range(int(rng.integers(2, 8))):
            drop = _blot(one, rng, rng.uniform(1.4, 3.2), 0.05)
            one.relief = one.relief + 2.2 * np.sqrt(np.clip(-drop, 0, None))
            one.skin = mix(one.skin, one.skin * 1.25 + 0.05, step(0.6, -0.6, drop))


def _rust(one: _Leaf, rng: np.random.Generator) -> None:
    """Small raised orange pustules with yellow haloes, in swarms."""
    severity = rng.uniform(0.15, 1.0)
    tone = color((0.78, 0.36, 0.07)) + color(rng.normal(0, 0.04, 3))
    swarm = rough(rng, 4)
    near = np.full_like(X, 99.0)
    for _ in range(int(20 + 130 * severity)):
        x, y = _somewhere(one, rng, 1.0, 99.0)
        column, row = int((x + 1) * SIDE / 2), int((y + 1) * SIDE / 2)
        if swarm[row, column] > rng.uniform(-0.4, 0.3):
            here = np.s_[max(0, row - 8) : row + 9, max(0, column - 8) : column + 9]
            away = np.hypot(X[here] - x, Y[here] - y) * (SIDE / 2) - rng.uniform(0.3, 1.8)
            near[here] = np.minimum(near[here], away)
    near = near + 0.35 * noise(rng, 40)
    one.skin = mix(one.skin, (0.80, 0.70, 0.18), 0.45 * step(3.4, 0.0, near))
    one.skin = mix(one.skin, tone * (1 + 0.25 * noise(rng, 20)), step(0.9, -0.6, near))
    one.relief = one.relief + 0.8 * step(1.0, -1.0, near)


def _mildew(one: _Leaf, rng: np.random.Generator) -> None:
    """White powder in soft patches that spread from several places."""
    severity = rng.uniform(0.2, 1.0)
    powder = np.zeros_like(X)
    for _ in range(int(2 + 7 * severity)):
        patch = _blot(one, rng, rng.uniform(4, 8 + 10 * severity), 0.45)
        powder = np.maximum(powder, step(5.0, -7.0, patch) * rng.uniform(0.6, 1.0))
    grain = 0.80 + 0.22 * noise(rng, 44) + 0.16 * rough(rng, 16)
    share = np.clip(powder * grain * (0.50 + 0.45 * severity), 0, 0.94)
    one.skin = mix(one.skin, (0.88, 0.90, 0.86), share)
    one.relief = one.relief + 0.5 * share * noise(rng, 40)
    one.gloss *= 0.4


def _spots(one: _Leaf, rng: np.random.Generator) -> None:
    """Round lesions: a pale papery middle, a dark ring, a yellow halo."""
    severity = rng.uniform(0.15, 1.0)
    ring = color(((0.20, 0.10, 0.06), (0.26, 0.10, 0.16), (0.12, 0.09, 0.07))[int(rng.integers(3))])
    for _ in range(int(3 + 13 * severity)):
        radius = rng.uniform(1.6, 3.0 + 4.0 * severity)
        blot = _blot(one, rng, radius, 0.5)
        one.skin = mix(one.skin, (0.74, 0.70, 0.22), 0.5 * step(2.0 + radius * 0.7, 0.0, blot))
        one.skin = mix(one.skin, ring * rng.uniform(0.9, 1.6), 0.9 * step(1.0, -1.2, blot))
        if radius > 2.2:
            middle = color((0.56, 0.45, 0.31)) * rng.uniform(0.65, 1.15)
            one.skin = mix(one.skin, middle, 0.9 * step(0.9, -1.3, blot + rng.uniform(0.25, 0.45) * radius))
        one.relief = one.relief - 0.7 * step(1.0, -2.0, blot)


def _blight(one: _Leaf, rng: np.random.Generator) -> None:
    """Dead brown tissue that eats its way in from the rim or the tip, in faint rings, behind a yellow front."""
    severity = rng.uniform(0.12, 1.0)
    front = np.full_like(X, 99.0)
    for _ in range(int(rng.integers(1, 4))):
        x, y = _somewhere(one, rng, 0.0, 4.0)
        away = np.hypot(X - x, Y - y) * (SIDE / 2) - rng.uniform(8, 14 + 26 * severity)
        front = np.minimum(front, away)
    if rng.random() < 0.4:
        front = np.minimum(front, (1 - one.t) * one.length - rng.uniform(8, 12 + 40 * severity))
    front = front + 5.0 * rough(rng, 7) + 2.5 * one.veins
    dead = color((0.40, 0.26, 0.13)) * rng.uniform(0.75, 1.25) + color(rng.normal(0, 0.02, 3))
    rings = 1 + 0.16 * np.sin(front * rng.uniform(0.7, 1.1)) + 0.18 * rough(rng, 9)
    one.skin = mix(one.skin, (0.72, 0.66, 0.20), 0.75 * step(9.0, 0.5, front))
    one.skin = mix(one.skin, (0.20, 0.12, 0.07), 0.8 * step(2.0, 0.0, front))
    one.skin = mix(one.skin, dead * rings, step(0.5, -2.5, front))
    one.relief = one.relief + 1.6 * noise(rng, 12) * step(0.0, -6.0, front)
    one.gloss *= 0.6


ILLNESSES: dict[str, Callable[[_Leaf, np.random.Generator], None]] = {
    "healthy": _healthy,
    "rust": _rust,
    "powdery mildew": _mildew,
    "leaf spot": _spots,
    "blight": _blight,
}


def _photographed(scene: Array, one: _Leaf, rng: np.random.Generator) -> Array:
    """The leaf in the light of some hour, before `scene`, through a lens and onto a sensor."""
    angle, height = rng.uniform(0, 2 * pi), rng.uniform(0.9, 1.8)
    light = np.asarray((cos(angle), sin(angle), height), np.float32)
    light = light / np.linalg.norm(light)
    down, right = np.gradient(one.relief.astype(np.float32))
    up = 1 / np.sqrt(1 + down**2 + right**2)
    facing = np.clip((light[2] - light[0] * right - light[1] * down) * up, 0, None)
    half = light + np.asarray((0, 0, 1), np.float32)
    half = half / np.linalg.norm(half)
    shine = np.clip((half[2] - half[0] * right - half[1] * down) * up, 0, 1) ** 38
    sun = color((1.0, rng.uniform(0.90, 1.0), rng.uniform(0.78, 1.02)))
    shaded = one.skin * (0.42 + 0.78 * facing * sun) + one.gloss * shine
    stalk = step(0.024, 0.012, np.abs(one.s)) * (one.t <= 0.02) * (one.t > -0.35)
    picture = mix(scene * (1 - 0.45 * blurred(step(-6, 2, one.edge), 20)), (0.42, 0.46, 0.20), stalk)
    picture = mix(picture, shaded, step(-0.75, 0.75, one.edge))
    picture = picture * color(rng.uniform(0.80, 1.22) * (1 + rng.normal(0, 0.035, 3)))
    picture = picture * (1 - rng.uniform(0.0, 0.30) * (X**2 + Y**2) / 2)
    grain = rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(0.004, 0.016))
    return np.asarray(np.clip(1.08 * picture / (1 + 0.16 * picture**2) + grain, 0, 1))
