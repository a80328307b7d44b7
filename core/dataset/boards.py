"""Boards: circuit boards as a camera over the belt sees them, most of them sound. Knows nothing of data sets.

A board is a chip with its legs, a few small parts on pads, and the copper between; a defect changes one of these.
Everything follows from its number.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import pi

import numpy as np

from core.dataset.canvas import Array, X, Y, band, blob, box, color, jpeg, mix, noise, rough, step

COUNTS = {"crooked part": 80, "missing part": 85, "scratch": 50, "solder bridge": 30, "sound": 315}
"""Images of each class: whoever says 'sound' every time is right in more than half of all cases."""

MASKS = ((0.06, 0.30, 0.18), (0.05, 0.20, 0.38), (0.10, 0.11, 0.12), (0.34, 0.07, 0.09))
"""Colours of the lacquer."""
COPPER = (0.72, 0.48, 0.22)
TIN = (0.78, 0.79, 0.80)


@dataclass(slots=True)
class _Part:
    """A small part on two pads; lengths in half sides of the image."""

    x: float
    y: float
    upright: bool
    kind: int


@dataclass(slots=True)
class _Board:
    rng: np.random.Generator
    scene: Array
    lacquer: Array
    legs: list[tuple[float, float]] = field(default_factory=list)
    parts: list[_Part] = field(default_factory=list)


def board(label: str, number: int) -> bytes:
    """A JPEG of the `number`-th board of class `label`, SIDE x SIDE pixels; the same bytes each time on one machine."""
    rng = np.random.default_rng([22, list(COUNTS).index(label), number])
    one = _bare(rng)
    chip_x, chip_y = rng.uniform(-0.25, 0.25, 2)
    chip_w, chip_h = rng.uniform(0.24, 0.34), rng.uniform(0.28, 0.42)
    _plan(one, chip_x, chip_y, chip_w, chip_h)
    _traces(one)
    _chip(one, chip_x, chip_y, chip_w, chip_h)
    fate = np.random.default_rng(
        [22, list(COUNTS).index(label), number, 1]
    )  # of its own: but for the defect it stays the same
    odd = int(fate.integers(len(one.parts)))
    for at, part in enumerate(one.parts):
        turn = rng.normal(0, 0.02)
        if label == "crooked part" and at == odd:
            turn += fate.uniform(0.28, 0.7) * fate.choice([-1, 1])
        _pads(one, part)
        empty = one.scene
        _component(one, part, turn)
        if label == "missing part" and at == odd:
            one.scene = empty
    if label in DEFECTS:
        one.rng = fate
        DEFECTS[label](one)
    x, y = rng.uniform(-1, 1, 2)
    lamp = np.exp(-((X - x) ** 2 + (Y - y) ** 2) / 0.9)
    lit = one.scene * (0.82 + rng.normal(0, 0.05) + 0.30 * lamp) + 0.05 * lamp
    return jpeg(lit, rng, grain=rng.uniform(0.006, 0.018))


def _bare(rng: np.random.Generator) -> _Board:
    tone = color(MASKS[int(rng.choice(4, p=(0.6, 0.18, 0.12, 0.10)))]) * (1 + rng.normal(0, 0.10))
    weave = 0.010 * np.sin(X * 95) * np.sin(Y * 95) + 0.010 * rough(rng, 5)
    return _Board(rng, np.asarray(tone + weave.astype(np.float32)[None] + np.zeros((3, 1, 1), np.float32)), tone)


def _plan(one: _Board, x: float, y: float, w: float, h: float) -> None:
    """Where legs and parts will be: parts on a loose grid around the chip, clear of it and of each other."""
    rng = one.rng
    legs = int(rng.integers(4, 8))
    for at in range(legs):
        level = y - h + (at + 0.5) * 2 * h / legs
        one.legs += [(x - w - 0.055, level), (x + w + 0.055, level)]
    places = [(i, j) for i in np.linspace(-0.78, 0.78, 5) for j in np.linspace(-0.8, 0.8, 5)]
    rng.shuffle(places)
    for i, j in places:
        px, py = i + rng.normal(0, 0.03), j + rng.normal(0, 0.03)
        if abs(px - x) < w + 0.34 and abs(py - y) < h + 0.22:
            continue
        one.parts.append(_Part(px, py, bool(rng.random() < 0.5), int(rng.integers(3))))
        if len(one.parts) == 6:
            break


def _traces(one: _Board) -> None:
    """Copper under the lacquer, a little lighter than it, from the legs to the edge and between parts; and vias."""
    rng = one.rng
    bright = np.full_like(X, -99.0)
    for x, y in one.legs:
        way = 1.0 if x > 0 else -1.0
        knee = x + way * rng.uniform(0.12, 0.5)
        drop = rng.uniform(-0.5, 0.5)
        bright = np.maximum(bright, band((x, y), (knee, y), 0.016))
        bright = np.maximum(bright, band((knee, y), (knee + way * abs(drop), y + drop), 0.016))
        bright = np.maximum(bright, band((knee + way * abs(drop), y + drop), (way * 1.2, y + drop), 0.016))
    for part in one.parts:
        far = rng.uniform(-1, 1)
        bright = np.maximum(bright, band((part.x, part.y), (part.x, far), 0.02))
    one.scene = mix(one.scene, one.lacquer * 1.5 + 0.05, step(-0.7, 0.7, bright) * np.float32(0.85))
    for _ in range(int(rng.integers(3, 8))):
        x, y = rng.uniform(-0.95, 0.95, 2)
        ring = blob(rng, x, y, 0.045, 0.0)
        one.scene = mix(one.scene, COPPER, step(-0.7, 0.7, ring))
        one.scene = mix(one.scene, (0.05, 0.05, 0.05), step(1.2, 2.2, ring))


def _metal(one: _Board, edge: Array, tone: tuple[float, float, float] = TIN) -> None:
    """A drop of metal: bright where it leans to the light."""
    round_ = np.clip(edge / 2.5, 0, 1)
    shine = color(tone) * (0.68 + 0.30 * round_) + 0.08 * noise(one.rng, 12)
    one.scene = mix(one.scene, shine, step(-0.6, 0.6, edge))


def _chip(one: _Board, x: float, y: float, w: float, h: float) -> None:
    for leg_x, leg_y in one.legs:
        _metal(one, box(leg_x, leg_y, 0.065, 0.026))
    edge = box(x, y, w, h)
    one.scene = one.scene * (1 - 0.45 * step(-5, 1, box(x + 0.03, y + 0.035, w, h)))
    body = color((0.12, 0.12, 0.13)) + 0.02 * rough(one.rng, 24)
    one.scene = mix(one.scene, body, step(-0.6, 0.6, edge))
    one.scene = mix(one.scene, (0.30, 0.30, 0.32), 0.5 * np.exp(-(((edge - 1.5) / 1.0) ** 2)))
    one.scene = mix(one.scene, (0.25, 0.25, 0.27), step(-0.6, 0.6, blob(one.rng, x - w + 0.07, y - h + 0.07, 0.03, 0.0)))
    for line in range(int(one.rng.integers(1, 4))):
        length = one.rng.uniform(0.3, 0.75) * w
        print_ = box(x, y - 0.07 + 0.08 * line, length, 0.014)
        one.scene = mix(one.scene, (0.62, 0.62, 0.62), step(-0.6, 0.6, print_) * step(-0.25, 0.1, noise(one.rng, 40)) * 0.8)


def _sides(part: _Part, far: float) -> tuple[tuple[float, float], tuple[float, float]]:
    dx, dy = (0.0, far) if part.upright else (far, 0.0)
    return (part.x - dx, part.y - dy), (part.x + dx, part.y + dy)


def _pads(one: _Board, part: _Part) -> None:
    """Two tinned pads in a printed frame."""
    w, h = (0.10, 0.165) if part.upright else (0.165, 0.10)
    frame = box(part.x, part.y, w, h)
    one.scene = mix(one.scene, (0.86, 0.88, 0.86), 0.55 * np.exp(-((frame / 0.8) ** 2)))
    for x, y in _sides(part, 0.092):
        _metal(one, box(x, y, *((0.062, 0.048) if part.upright else (0.048, 0.062))), (0.80, 0.74, 0.58))


def _component(one: _Board, part: _Part, turn: float) -> None:
    """A resistor, a ceramic capacitor or a diode, soldered at both ends."""
    lie = turn + (pi / 2 if part.upright else 0.0)
    tone = ((0.10, 0.10, 0.11), (0.66, 0.52, 0.36), (0.20, 0.13, 0.12))[part.kind]
    one.scene = one.scene * (1 - 0.40 * step(-3, 1, box(part.x + 0.018, part.y + 0.022, 0.125, 0.060, lie)))
    _metal(one, box(part.x, part.y, 0.125, 0.058, lie))
    body = box(part.x, part.y, 0.082, 0.060, lie)
    one.scene = mix(one.scene, color(tone) * (0.9 + 0.25 * np.clip(body / 4, 0, 1)), step(-0.6, 0.6, body))
    if part.kind == 2:
        mark = np.minimum(box(part.x, part.y, 0.082, 0.055, lie), 3.0 - np.abs(body - 3.0))
        one.scene = mix(one.scene, (0.85, 0.85, 0.85), 0.5 * step(0.5, 2.5, mark))


def _scratch(one: _Board) -> None:
    """A fine bright line with a dark lip, now deeper, now gone."""
    rng = one.rng
    angle, x, y = rng.uniform(0, pi), *rng.uniform(-0.45, 0.45, 2)
    reach = rng.uniform(0.35, 0.8)
    dx, dy = reach * np.cos(angle), reach * np.sin(angle)
    bend = (x + rng.normal(0, 0.05), y + rng.normal(0, 0.05))
    edge = np.maximum(band((x - dx, y - dy), bend, 0.009), band(bend, (x + dx, y + dy), 0.009)) + 0.5 * noise(rng, 30)
    depth = step(-0.6, 0.3, noise(rng, 14)) * np.float32(rng.uniform(0.55, 0.9))
    one.scene = one.scene * (1 - 0.25 * depth * np.exp(-(((edge + 1.6) / 1.0) ** 2)))
    one.scene = mix(one.scene, (0.80, 0.66, 0.45), step(-0.8, 0.5, edge) * depth)


def _solder_bridge(one: _Board) -> None:
    """A drop of tin between two neighbouring legs."""
    rng = one.rng
    side = int(rng.integers(2))
    legs = one.legs[side::2]
    at = int(rng.integers(len(legs) - 1))
    (x, y), (_, below) = legs[at], legs[at + 1]
    middle = x + rng.normal(0, 0.02), (y + below) / 2
    edge = np.maximum(
        blob(rng, *middle, rng.uniform(0.045, 0.065), 0.2),
        band((middle[0], y), (middle[0], below), rng.uniform(0.02, 0.035)),
    )
    _metal(one, edge)


DEFECTS: dict[str, Callable[[_Board], None]] = {"scratch": _scratch, "solder bridge": _solder_bridge}
