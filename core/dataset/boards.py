"""Boards: circuit boards as a camera over the belt sees them, most of them sound. Knows nothing of data sets.

A factory makes a few products. Each has a chip with its legs, small parts on pads around it, and copper between; a defect
changes one of these, and dust and light change all. Everything follows from a board's number.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from core.dataset import canvas
from core.dataset.canvas import ALL, SIDE, Array, Window, X, Y, around, band, blob, box, color, mix, noise, rough, step

COUNTS = {"crooked part": 130, "missing part": 140, "scratch": 90, "solder bridge": 45, "sound": 540}
"""Images of each class: whoever says 'sound' every time is right in more than half of all cases."""

Tone = tuple[float, float, float]
MASKS: tuple[Tone, ...] = (
    (0.03, 0.26, 0.15),
    (0.03, 0.16, 0.36),
    (0.07, 0.08, 0.09),
    (0.33, 0.04, 0.07),
    (0.19, 0.09, 0.30),
)
"""The lacquer of each product."""
GOLD, TIN, PRINT = (0.86, 0.66, 0.32), (0.80, 0.82, 0.84), (0.90, 0.92, 0.90)
RESISTOR, CERAMIC, TANTALUM = 0, 1, 2
BODIES: tuple[Tone, ...] = ((0.10, 0.10, 0.11), (0.74, 0.57, 0.38), (0.90, 0.60, 0.14))
CODES = "RCL"
"""The letter beside each kind of part."""
LONG, WIDE = 0.235, 0.115
"""Half sizes of a part, in half sides of the image."""
GLYPHS = {
    "0": "75557", "1": "26227", "2": "71747", "3": "71717", "4": "55711", "5": "74717", "6": "74757",
    "7": "71222", "8": "75757", "9": "75717", "C": "74447", "R": "75765", "L": "44447", "U": "55557",
}  # fmt: skip
"""Letters of three by five pixels: a row a digit, a pixel a bit."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A small part on two pads; lengths in half sides of the image."""

    x: float
    y: float
    upright: bool
    kind: int


@dataclass(slots=True)
class _Board:
    """What has been drawn, and where things are."""

    rng: np.random.Generator
    scene: Array
    lacquer: Array
    legs: list[tuple[float, float]] = field(default_factory=list)
    parts: list[_Part] = field(default_factory=list)

    def lay(self, tone: Array | Tone, share: Array, at: Window = ALL) -> None:
        """Colour over what is there."""
        here = (slice(None), *at)
        self.scene[here] = mix(self.scene[here], tone, share)

    def shade(self, share: Array, at: Window = ALL) -> None:
        """Darker where `share` is."""
        self.scene[(slice(None), *at)] *= 1 - share


def board(label: str, number: int) -> bytes:
    """A JPEG of the `number`-th board of class `label`, SIDE x SIDE pixels; the same bytes each time on one machine."""
    seed = [22, list(COUNTS).index(label), number]
    rng, fate = np.random.default_rng(seed), np.random.default_rng([*seed, 1])  # but for its fate a board stays the same
    product = _product(int(rng.integers(len(MASKS))))
    one = replace(product, rng=rng, scene=product.scene.copy())
    odd = int(fate.integers(len(one.parts)))
    for at, part in enumerate(one.parts):
        turn = rng.normal(0, 0.04)
        part = replace(part, x=part.x + rng.normal(0, 0.006), y=part.y + rng.normal(0, 0.006))
        if label == "crooked part" and at == odd:
            turn += fate.uniform(0.30, 0.80) * fate.choice([-1, 1])
        if label != "missing part" or at != odd:
            _component(one, part, turn)
    if label in DEFECTS:
        DEFECTS[label](one, fate)
    _dust(one)
    return _shot(one)


@cache
def _product(number: int) -> _Board:
    """The `number`-th product before its parts are put on."""
    rng = np.random.default_rng([26, number])
    one = _bare(rng, color(MASKS[number]))
    side, w, h = 1.0 if number % 2 else -1.0, rng.uniform(0.24, 0.31), rng.uniform(0.48, 0.60)
    x, y = side * rng.uniform(0.30, 0.36), rng.uniform(-0.10, 0.10)
    _plan(one, x, y, w, h)
    _copper(one)
    _chip(one, x, y, w, h)
    for at, part in enumerate(one.parts):
        _pads(one, part, at)
    return one


def _bare(rng: np.random.Generator, lacquer: Array) -> _Board:
    """Lacquer over the weave of the glass, here and there with copper under it, which makes it lighter."""
    weave = 0.05 * np.sin(X * 150) * np.sin(Y * 150) + 0.06 * rough(rng, 5)
    one = _Board(rng, (lacquer * (1 + weave)).astype(np.float32), lacquer)
    for _ in range(int(rng.integers(1, 4))):
        edge = box(*rng.uniform(-1, 1, 2), *rng.uniform(0.2, 0.6, 2))
        one.lay(lacquer * 1.22 + 0.012, step(-0.7, 0.7, edge) * np.float32(0.8))
    return one


def _plan(one: _Board, x: float, y: float, w: float, h: float) -> None:
    """Where the legs are, and three parts in a column beside the chip."""
    rng = one.rng
    legs = 4 if h < 0.54 else 5
    for at in range(legs):
        level = y - h + (at + 0.5) * 2 * h / legs
        one.legs += [(x - w - 0.07, level), (x + w + 0.07, level)]
    for j in (-0.62, 0.0, 0.62):
        i = -np.sign(x) * rng.uniform(0.60, 0.66)
        one.parts.append(_Part(i, j + rng.normal(0, 0.02), bool(rng.random() < 0.35), int(rng.integers(3))))


def _copper(one: _Board) -> None:
    """Tracks under the lacquer, from the legs to the edge and between parts, drawn large and made small; and holes."""
    rng, big = one.rng, 4 * SIDE
    sheet = Image.new("L", (big, big))
    pen = ImageDraw.Draw(sheet)

    def track(points: list[tuple[float, float]], width: float) -> None:
        pen.line([((u + 1) * big / 2, (v + 1) * big / 2) for u, v in points], 255, round(width * big / 2), "curve")

    for x, y in one.legs:
        way = 1.0 if x > one.legs[0][0] + 0.2 else -1.0
        knee, drop = x + way * rng.uniform(0.08, 0.30), rng.uniform(-0.45, 0.45)
        bend = knee + way * abs(drop)
        track([(x, y), (knee, y), (bend, y + drop), (way * 1.2, y + drop)], 0.044)
    for part in one.parts:
        for u, v in _ends(part, 0.16):
            track([(u, v), (u, v + rng.choice([-1, 1]) * rng.uniform(0.2, 0.8))], 0.05)
    lines = np.asarray(sheet.reduce(4), np.float32) / 255
    one.shade(0.35 * np.clip(np.roll(lines, (1, 1), (0, 1)) - lines, 0, 1))
    one.lay(one.lacquer * 1.55 + 0.035, lines * np.float32(0.85))
    for _ in range(int(rng.integers(4, 10))):
        x, y = rng.uniform(-0.96, 0.96, 2)
        at = around(x, y, 0.10)
        ring = blob(rng, x, y, 0.058, 0.0, at)
        one.lay(GOLD, step(-0.7, 0.7, ring), at)
        one.lay((0.04, 0.04, 0.04), step(1.1, 2.3, ring), at)


def _metal(one: _Board, edge: Array, at: Window, tone: Tone = TIN) -> None:
    """A drop of metal: it rises from its rim, bright where it leans to the light at the upper left, dark beyond."""
    height = np.sqrt(np.clip(edge + 0.5, 0, 4.0))
    down, right = np.gradient(height)
    lean = -(down + right)
    skin = color(tone) * (0.74 + 0.34 * np.clip(lean, -1.2, 1.2)) + 0.35 * np.clip(lean - 0.35, 0, 1)
    one.lay(skin, step(-0.6, 0.6, edge), at)


def _chip(one: _Board, x: float, y: float, w: float, h: float) -> None:
    """A black body with bright edges, a dimple at its first leg, and its name."""
    for u, v in one.legs:
        at = around(u, v, 0.18)
        one.shade(0.4 * step(-2.5, 1, box(u + 0.018, v + 0.028, 0.095, 0.045, at=at)), at)
        _metal(one, box(u, v, 0.095, 0.045, at=at), at)
    one.shade(0.5 * step(-6, 2, box(x + 0.035, y + 0.045, w, h)))
    edge = box(x, y, w, h)
    lip = np.exp(-(((edge - 1.2) / 0.9) ** 2)) * np.where((X - x) / w + (Y - y) / h < 0, 1.0, 0.25)
    body = color((0.11, 0.11, 0.12)) * (1 - 0.25 * (X - x + Y - y)) + 0.016 * noise(one.rng, 60)
    one.lay(body, step(-0.6, 0.6, edge))
    one.lay((0.42, 0.42, 0.45), 0.75 * lip * step(-0.6, 0.6, edge))
    dot = blob(one.rng, x - w + 0.09, y - h + 0.09, 0.036, 0.0)
    one.lay((0.04, 0.04, 0.05), step(-0.6, 0.6, dot))
    for line in range(int(one.rng.integers(1, 4))):
        name = "".join(one.rng.choice(list("0123456789"), int(one.rng.integers(3, 5))).tolist())
        _print(one, name, x, y - 0.12 + 0.21 * line, (0.36, 0.365, 0.375), large=2)


def _print(one: _Board, text: str, x: float, y: float, tone: Tone = PRINT, large: int = 1) -> None:
    """`text` around (x, y) in letters of three by five dots of `large` pixels; what would leave the image is left out."""
    left, top = round((x + 1) * SIDE / 2) - 2 * large * len(text), round((y + 1) * SIDE / 2) - 2 * large
    for at, letter in enumerate(text):
        dots = np.array([[int(row) >> bit & 1 for bit in (2, 1, 0)] for row in GLYPHS[letter]], np.float32)
        ink, column = np.kron(dots, np.full((large, large), 0.8, np.float32)), left + 4 * large * at
        if 0 <= top <= SIDE - len(ink) and 0 <= column <= SIDE - 3 * large:
            one.lay(tone, ink, (slice(top, top + len(ink)), slice(column, column + 3 * large)))


def _ends(part: _Part, far: float) -> tuple[tuple[float, float], tuple[float, float]]:
    dx, dy = (0.0, far) if part.upright else (far, 0.0)
    return (part.x - dx, part.y - dy), (part.x + dx, part.y + dy)


def _pads(one: _Board, part: _Part, number: int) -> None:
    """Two gilded pads in a printed frame, and the number of the part."""
    at = around(part.x, part.y, 0.42)
    w, h = (0.165, 0.300) if part.upright else (0.300, 0.165)
    one.lay(PRINT, 0.75 * np.exp(-((box(part.x, part.y, w, h, at=at) / 0.65) ** 2)), at)
    for x, y in _ends(part, 0.165):
        _metal(one, box(x, y, *((0.118, 0.095) if part.upright else (0.095, 0.118)), at=at), at, GOLD)
    inward = -1.0 if part.x > 0 else 1.0
    if part.upright:
        _print(one, f"{CODES[part.kind]}{number + 1}", part.x + inward * 0.25, part.y)
    else:
        _print(one, f"{CODES[part.kind]}{number + 1}", part.x, part.y + (-0.24 if part.y > 0 else 0.24))


def _component(one: _Board, part: _Part, turn: float) -> None:
    """A resistor, a ceramic or a tantalum capacitor: a body between two caps of tin, soldered at both."""
    lie, at = turn + (pi / 2 if part.upright else 0.0), around(part.x, part.y, 0.46)
    one.shade(0.5 * step(-4, 1, box(part.x + 0.026, part.y + 0.034, LONG, WIDE, lie, at)), at)
    _metal(one, box(part.x, part.y, LONG, WIDE, lie, at), at)
    body = box(part.x, part.y, LONG - 0.065, WIDE + 0.004, lie, at)
    u, v = canvas.turned(part.x, part.y, lie, at)
    light = (X[at] - part.x) + (Y[at] - part.y)
    round_ = 1.0 - 0.9 * light + 0.35 * np.clip(1 - body / 2, 0, 1) * np.sign(-light)
    one.lay(color(BODIES[part.kind]) * round_, step(-0.6, 0.6, body), at)
    if part.kind == RESISTOR:
        digits = np.abs(v) < 0.045
        stripes = step(0.1, 0.5, np.sin(u * 75)) * digits * (np.abs(u) < 0.105)
        one.lay((0.82, 0.82, 0.82), stripes * np.float32(0.75), at)
    elif part.kind == TANTALUM:
        one.lay((0.42, 0.16, 0.07), step(-0.6, 0.6, body) * step(0.070, 0.090, u), at)


def _dust(one: _Board) -> None:
    """What lies on any board: specks, flux around a pad, now and then a fibre that looks like a scratch."""
    rng = one.rng
    for _ in range(int(rng.integers(0, 6))):
        x, y = rng.uniform(-0.95, 0.95, 2)
        at = around(x, y, 0.06)
        one.lay((0.70, 0.68, 0.64), 0.5 * step(-0.8, 0.8, blob(rng, x, y, rng.uniform(0.008, 0.02), 0.3, at)), at)
    if rng.random() < 0.3:
        part = one.parts[int(rng.integers(len(one.parts)))]
        at = around(part.x, part.y, 0.5)
        stain = step(-9, 5, blob(rng, part.x, part.y, rng.uniform(0.24, 0.38), 0.3, at)) * rng.uniform(0.10, 0.28)
        one.lay((0.80, 0.72, 0.52), stain, at)
    if rng.random() < 0.12:
        x, y, angle, bow = *rng.uniform(-0.7, 0.7, 2), rng.uniform(0, pi), rng.normal(0, 1.2)
        u, v = canvas.turned(x, y, angle)
        edge = 0.5 - np.abs(v - np.float32(bow) * (u * u - 0.02)) * (SIDE / 2)
        one.lay((0.80, 0.82, 0.86), 0.6 * step(-0.8, 0.3, edge) * step(0.22, 0.18, np.abs(u)))


def _shot(one: _Board) -> bytes:
    """The board under a lamp, never quite straight under the camera."""
    rng = one.rng
    x, y = rng.uniform(-0.9, 0.9, 2)
    lamp = np.exp(-((X - x) ** 2 + (Y - y) ** 2) / rng.uniform(0.5, 1.2))
    lit = one.scene * (0.80 + rng.normal(0, 0.06) + 0.36 * lamp) + color((0.050, 0.052, 0.056)) * lamp
    turn, near, right, down = rng.normal(0, 0.02), 0.95, *rng.normal(0, 1.4, 2)
    c, s, half = near * cos(turn), near * sin(turn), SIDE / 2
    way = (c, -s, half - c * half + s * half + right, s, c, half - s * half - c * half + down)
    seen = [
        np.asarray(Image.fromarray(tone).transform((SIDE, SIDE), Image.Transform.AFFINE, way, Image.Resampling.BICUBIC))
        for tone in lit.astype(np.float32)
    ]
    white = color(1 + rng.normal(0, 0.025, 3))
    return canvas.jpeg(np.stack(seen) * white, rng, grain=rng.uniform(0.004, 0.012), quality=92)


def _scratch(one: _Board, rng: np.random.Generator) -> None:
    """A fine line down to the copper with a dark lip, now deeper, now gone."""
    angle, x, y, reach = rng.uniform(0, pi), *rng.uniform(-0.45, 0.45, 2), rng.uniform(0.40, 0.85)
    dx, dy = reach * cos(angle), reach * sin(angle)
    bend = x + rng.normal(0, 0.06), y + rng.normal(0, 0.06)
    edge = np.maximum(band((x - dx, y - dy), bend, 0.011), band(bend, (x + dx, y + dy), 0.011)) + 0.5 * noise(rng, 30)
    depth = step(-0.7, 0.3, noise(rng, 14)) * np.float32(rng.uniform(0.7, 1.0))
    one.shade(0.4 * depth * np.exp(-(((edge + 1.6) / 1.0) ** 2)))
    one.lay((0.93, 0.80, 0.62), step(-0.9, 0.5, edge) * depth)


def _solder_bridge(one: _Board, rng: np.random.Generator) -> None:
    """A drop of tin between two neighbouring legs."""
    legs = one.legs[int(rng.integers(2)) :: 2]
    first = int(rng.integers(len(legs) - 1))
    (x, y), (_, below) = legs[first], legs[first + 1]
    x, middle, at = x + rng.normal(0, 0.02), (y + below) / 2, around(x, (y + below) / 2, 0.36)
    drop = blob(rng, x, middle, rng.uniform(0.085, 0.120), 0.25, at)
    _metal(one, np.maximum(drop, band((x, y), (x, below), rng.uniform(0.045, 0.070), at)), at)


DEFECTS: dict[str, Callable[[_Board, np.random.Generator], None]] = {"scratch": _scratch, "solder bridge": _solder_bridge}
