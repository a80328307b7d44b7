"""Cells: stained blood under a microscope, drawn by arithmetic. Knows nothing of data sets, or of medicine.

A field of red cells, and in the middle the cell that the image is about. Everything follows from its number.
"""

from collections.abc import Callable
from math import cos, pi, sin

import numpy as np

from core.dataset.canvas import Array, X, Y, band, blob, blurred, color, jpeg, mix, noise, rough, step

COUNTS = {"lymphocyte": 105, "monocyte": 85, "neutrophil": 125, "platelets": 90, "red cell": 165, "ring form": 45}
"""Images of each class: few, and the one that matters most is the rarest."""


def cell(label: str, number: int) -> bytes:
    """A JPEG of the `number`-th cell of class `label`, SIDE x SIDE pixels; the same bytes each time on one machine."""
    rng = np.random.default_rng([21, list(COUNTS).index(label), number])
    stain = rng.normal(0, 0.028) * np.array((1.0, 0.2, -0.9)) + rng.normal(0, 0.014, 3)  # more of the red dye or of the blue
    scene = _plasma(rng, stain)
    for _ in range(int(rng.integers(2, 6))):
        away, angle = rng.uniform(0.62, 1.15), rng.uniform(0, 2 * pi)
        scene = _red(scene, rng, away * cos(angle), away * sin(angle), rng.uniform(0.30, 0.40), stain)
    scene = KINDS[label](scene, rng, rng.normal(0, 0.07), rng.normal(0, 0.07), stain)
    if rng.random() < 0.5:  # not quite in focus
        scene = np.stack([blurred(part, int(rng.integers(52, 90))) for part in scene])
    light = 1 - rng.uniform(0.0, 0.22) * (X**2 + Y**2) / 2 + rng.normal(0, 0.03)
    return jpeg(scene * light, rng, grain=rng.uniform(0.006, 0.02))


def _plasma(rng: np.random.Generator, stain: Array) -> Array:
    """The empty field: nearly white, a breath of pink."""
    tone = color((0.94, 0.90, 0.885)) + color(stain) * 0.7
    return np.asarray(tone + 0.018 * rough(rng, 4) * color((0.6, 1.0, 0.9)))


def _red(scene: Array, rng: np.random.Generator, x: float, y: float, radius: float, stain: Array) -> Array:
    """A red cell: a disc, pale in the middle, where it is thin."""
    edge = blob(rng, x, y, radius, 0.10)
    hollow = step(0.15, 0.95, np.hypot(X - x, Y - y) / radius) if rng.random() < 0.85 else np.float32(0.8)
    tone = color((0.80, 0.52, 0.52)) + color(stain) + color(rng.normal(0, 0.02, 3))
    pale = tone + (1 - hollow) * color((0.12, 0.24, 0.22))
    scene = mix(scene, tone * 0.82, 0.6 * np.exp(-((edge / 1.6) ** 2)))
    return mix(scene, pale, step(-0.8, 1.0, edge) * np.float32(rng.uniform(0.75, 0.92)))


def _body(scene: Array, rng: np.random.Generator, edge: Array, tone: Array, grains: float, speck: Array) -> Array:
    """The cell around a nucleus: a soft sheet, with `grains` of the colour `speck` in it."""
    inside = step(-1.0, 1.6, edge)
    scene = mix(scene, tone + 0.03 * rough(rng, 10), inside * np.float32(0.88))
    dots = step(0.35, 0.75, noise(rng, 34)) * inside
    scene = mix(scene, speck, np.float32(grains) * dots)
    return mix(scene, tone * 0.8, 0.45 * np.exp(-((edge / 1.5) ** 2)))


def _nucleus(scene: Array, rng: np.random.Generator, edge: Array, stain: Array, clumps: float) -> Array:
    """Dark violet, with `clumps` of still darker matter."""
    tone = color((0.38, 0.22, 0.52)) + color(stain) + color(rng.normal(0, 0.02, 3))
    matter = tone * (1 + np.float32(clumps) * rough(rng, 11))
    return mix(scene, matter, step(-0.8, 1.2, edge))


def _lymphocyte(scene: Array, rng: np.random.Generator, x: float, y: float, stain: Array) -> Array:
    """A round nucleus that fills the cell; a large one has more body, and may be dented like a monocyte's."""
    large = rng.random() < 0.35
    radius = rng.uniform(0.48, 0.60) if large else rng.uniform(0.36, 0.48)
    sky = color((0.66, 0.71, 0.87)) + color(stain)
    scene = _body(scene, rng, blob(rng, x, y, radius, 0.10), sky, 0.06, color((0.62, 0.45, 0.68)))
    off, angle = radius * rng.uniform(0.02, 0.14), rng.uniform(0, 2 * pi)
    at = x + off * cos(angle), y + off * sin(angle)
    inner = radius * (rng.uniform(0.64, 0.76) if large else rng.uniform(0.76, 0.9))
    nucleus = blob(rng, *at, inner, 0.10)
    if rng.random() < 0.4:
        nucleus = np.minimum(nucleus, -_bay(rng, at, inner, 1.15, 0.35))
    return _nucleus(scene, rng, nucleus, stain, 0.18)


def _monocyte(scene: Array, rng: np.random.Generator, x: float, y: float, stain: Array) -> Array:
    """A bean in a large grey cell; the bay of the bean is deep or shallow."""
    radius = rng.uniform(0.46, 0.62)
    grey = color((0.69, 0.70, 0.83)) + color(stain)
    scene = _body(scene, rng, blob(rng, x, y, radius, 0.14), grey, 0.16, color((0.62, 0.45, 0.68)))
    inner = radius * rng.uniform(0.66, 0.80)
    bean = blob(rng, x, y, inner, 0.14)
    return _nucleus(scene, rng, np.minimum(bean, -_bay(rng, (x, y), inner, rng.uniform(0.75, 1.0), 0.5)), stain, 0.24)


def _bay(rng: np.random.Generator, at: tuple[float, float], radius: float, away: float, size: float) -> Array:
    """A round dent in the side of a nucleus, `away` of its radii from the middle."""
    angle = rng.uniform(0, 2 * pi)
    dent = at[0] + radius * away * cos(angle), at[1] + radius * away * sin(angle)
    return blob(rng, *dent, radius * size * rng.uniform(0.75, 1.2), 0.12)


def _neutrophil(scene: Array, rng: np.random.Generator, x: float, y: float, stain: Array) -> Array:
    """Lobes on a thread, in a pink cell with fine grains; a young one has a bent band, much like a monocyte's bean."""
    radius = rng.uniform(0.42, 0.56)
    pink = color((0.85, 0.75, 0.82)) + color(stain)
    scene = _body(scene, rng, blob(rng, x, y, radius, 0.08), pink, 0.38, color((0.72, 0.50, 0.66)))
    young = rng.random() < 0.25
    lobes, begin = (6, rng.uniform(0, 2 * pi)) if young else (int(rng.integers(2, 6)), rng.uniform(0, 2 * pi))
    way, far = (rng.uniform(0.55, 0.75), 0.42) if young else (rng.uniform(0.9, 1.35), 0.44)
    edge = np.full_like(X, -99.0)
    last: tuple[float, float] | None = None
    for lobe in range(lobes):
        angle, out = begin + way * lobe, radius * (far + rng.uniform(-0.08, 0.08))
        at = x + out * cos(angle), y + out * sin(angle)
        edge = np.maximum(edge, blob(rng, *at, radius * rng.uniform(0.22, 0.32), 0.16))
        if last is not None:
            edge = np.maximum(edge, band(last, at, 0.12 if young else 0.035))
        last = at
    return _nucleus(scene, rng, edge, stain, 0.16)


def _platelets(scene: Array, rng: np.random.Generator, x: float, y: float, stain: Array) -> Array:
    """A few crumbs, free or over a red cell."""
    if rng.random() < 0.5:
        scene = _red(scene, rng, x + rng.uniform(-0.5, 0.5), y + rng.uniform(-0.5, 0.5), rng.uniform(0.3, 0.4), stain)
    for _ in range(int(rng.integers(1, 5))):
        scene = _platelet(scene, rng, x + rng.normal(0, 0.18), y + rng.normal(0, 0.18), rng.uniform(0.07, 0.13), stain)
    return scene


def _platelet(scene: Array, rng: np.random.Generator, x: float, y: float, size: float, stain: Array) -> Array:
    tone = color((0.58, 0.42, 0.68)) + color(stain)
    edge = blob(rng, x, y, size, 0.25)
    return mix(scene, tone * (1 + 0.2 * noise(rng, 30)), step(-1.5, 2.5, edge) * np.float32(0.85))


def _red_cell(scene: Array, rng: np.random.Generator, x: float, y: float, stain: Array) -> Array:
    """A red cell; in some a crumb of dye lies on it, which is no guest."""
    radius = rng.uniform(0.32, 0.44)
    scene = _red(scene, rng, x, y, radius, stain)
    if rng.random() < 0.35:
        tone = color((0.45, 0.26, 0.56)) + color(stain)
        for _ in range(int(rng.integers(1, 4))):
            away, angle, size = radius * rng.uniform(0.0, 0.9), rng.uniform(0, 2 * pi), rng.uniform(0.02, 0.07)
            crumb = blob(rng, x + away * cos(angle), y + away * sin(angle), size, 0.5)
            scene = mix(scene, tone, step(-1.0, 1.4, crumb) * np.float32(rng.uniform(0.5, 0.85)))
    return scene


def _ring_form(scene: Array, rng: np.random.Generator, x: float, y: float, stain: Array) -> Array:
    """A red cell with a guest: a thin ring and a dot, as small as they come."""
    radius = rng.uniform(0.34, 0.44)
    scene = _red(scene, rng, x, y, radius, stain)
    away, angle = radius * rng.uniform(0.1, 0.55), rng.uniform(0, 2 * pi)
    at = x + away * cos(angle), y + away * sin(angle)
    size = rng.uniform(0.075, 0.14)
    tone = color((0.45, 0.26, 0.56)) + color(stain)
    scene = mix(scene, tone, rng.uniform(0.45, 0.75) * np.exp(-((blob(rng, *at, size, 0.15) / 1.2) ** 2)))
    turn = rng.uniform(0, 2 * pi)
    dot = blob(rng, at[0] + size * cos(turn), at[1] + size * sin(turn), rng.uniform(0.03, 0.05), 0.2)
    return mix(scene, tone * 0.75, step(-0.8, 0.8, dot) * np.float32(0.9))


KINDS: dict[str, Callable[[Array, np.random.Generator, float, float, Array], Array]] = {
    "lymphocyte": _lymphocyte,
    "monocyte": _monocyte,
    "neutrophil": _neutrophil,
    "platelets": _platelets,
    "red cell": _red_cell,
    "ring form": _ring_form,
}
