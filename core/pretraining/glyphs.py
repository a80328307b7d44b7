"""Glyphs: a few hundred kinds of sign that a pen could write, and sheets of paper with one on each.

A kind is a plan of strokes, each a row of arcs with corners between them; hands differ in the length and bend of each arc,
in slant, in width of the pen. Nothing here is a letter or a digit of any script. Legend: B sheets, S side in pixels.
"""

from dataclasses import dataclass
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from core.pretraining.scenes import MASK, colored, marked

GLYPHS = 256
STROKES, ARCS, PIECES = 3, 3, 5
"""Most strokes of a sign, most arcs of a stroke, and the straight pieces that an arc is drawn with."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """K plans. Lengths in the first arc's, angles in radians."""

    heading: Tensor
    """(K, STROKES) where a stroke sets out to."""
    corner: Tensor
    """(K, STROKES, ARCS) turn before each arc."""
    bend: Tensor
    """(K, STROKES, ARCS) turn along it."""
    length: Tensor
    """(K, STROKES, ARCS); 0 for arcs that are not there."""
    origin: Tensor
    """(K, STROKES) the piece of the stroke before at which one begins."""
    lift: Tensor
    """(K, STROKES, 2) how far from there."""


class Sheets(NamedTuple):
    """`images` (B, 3, S, S) uint8 and what is written on them."""

    images: Tensor
    kind: Tensor
    """(B,)."""
    mask: Tensor
    """(B, MASK, MASK) share of each cell that the ink covers."""
    tips: Tensor
    """(B, MASK, MASK) 1 where a stroke begins or ends, falling to 0 around."""


def make_kinds(count: int, seed: int) -> Kinds:
    """`count` plans; the same ones from the same seed."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    def among(values: list[float], *shape: int) -> Tensor:
        return torch.tensor(values)[torch.randint(0, len(values), shape, generator=rng)]

    shape = (count, STROKES, ARCS)
    strokes = among([1, 1, 2, 2, 3], count)
    arcs = among([1, 1, 2, 2, 3], count, STROKES)
    arcs[:, 0] = torch.where(strokes == 1, arcs[:, 0].clamp(min=2), arcs[:, 0])
    there = (torch.arange(STROKES) < strokes[:, None])[..., None] & (torch.arange(ARCS) < arcs[..., None])
    straight = torch.rand(shape, generator=rng) < 0.4
    bend = torch.where(straight, torch.zeros(()), among([-1, 1], *shape) * uniform(0.9, 5.6, *shape))
    smooth = torch.rand(shape, generator=rng) < 0.35
    length = uniform(0.5, 1.5, *shape) * torch.where(bend.abs() > 3.5, 1.8, 1.0)
    return Kinds(
        among([k * pi / 4 for k in range(8)], count, STROKES) + uniform(-0.2, 0.2, count, STROKES),
        torch.where(smooth, torch.zeros(()), among([-1, 1], *shape) * uniform(0.7, 2.7, *shape)),
        bend,
        length * there,
        torch.randint(0, ARCS * PIECES + 1, (count, STROKES), generator=rng),
        uniform(-0.45, 0.45, count, STROKES, 2) * (torch.rand(count, STROKES, 1, generator=rng) < 0.4),
    )


def write(kinds: Kinds, which: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """The line of each kind in `which`, by some hand: in a box of -1 to 1, and its strokes that are there.

    Points (B, STROKES, ARCS * PIECES + 1, 2) and (B, STROKES) bool.
    """
    batch = len(which)

    def normal(spread: float, *shape: int) -> Tensor:
        return spread * torch.randn(*shape, generator=rng)

    shape = (batch, STROKES, ARCS)
    length = kinds.length[which] * torch.exp(normal(0.14, *shape))
    bend = kinds.bend[which] * torch.exp(normal(0.12, *shape)) + normal(0.12, *shape)
    turns = (bend / PIECES)[..., None].repeat(1, 1, 1, PIECES)
    turns[..., 0] = turns[..., 0] / 2 + kinds.corner[which] + normal(0.14, *shape)
    heading = kinds.heading[which][..., None] + normal(0.12, batch, STROKES, 1) + turns.flatten(2).cumsum(2)
    steps = (length / PIECES)[..., None, None] * torch.stack([heading.cos(), heading.sin()], -1).view(*shape, PIECES, 2)
    line = F.pad(steps.flatten(2, 3).cumsum(2), (0, 0, 1, 0))
    rows = torch.arange(batch)
    points = torch.zeros_like(line)
    points[:, 0] = line[:, 0]
    for stroke in range(1, STROKES):
        start = points[rows, stroke - 1, kinds.origin[which, stroke]] + kinds.lift[which, stroke] + normal(0.06, batch, 2)
        points[:, stroke] = start[:, None] + line[:, stroke]
    there = kinds.length[which].sum(2) > 0
    far = torch.where(there[..., None, None], points, points[:, :1, :1])
    low, high = far.flatten(1, 2).amin(1), far.flatten(1, 2).amax(1)
    points = (points - (low + high)[:, None, None] / 2) / ((high - low).amax(1) / 2).clamp(min=0.1)[:, None, None, None]
    slant = normal(0.16, batch)
    wide = torch.exp(normal(0.12, batch))
    x = points[..., 0] * wide[:, None, None] + slant[:, None, None] * points[..., 1]
    return torch.stack([x, points[..., 1]], -1), there


def distance(points: Tensor, there: Tensor, side: int) -> Tensor:
    """(B, side, side): how far each pixel's centre is from the nearest piece of the strokes that are `there`."""
    axis = (torch.arange(side) + 0.5) * (2 / side) - 1
    start, along = points[:, :, :-1].flatten(1, 2), points.diff(dim=2).flatten(1, 2)
    a, b = start[..., None, None], along[..., None, None]
    px, py = axis - a[:, :, 0], axis[:, None] - a[:, :, 1]
    bx, by = b[:, :, 0], b[:, :, 1]
    t = ((px * bx + py * by) / (bx * bx + by * by).clamp(min=1e-6)).clamp(0, 1)
    far = (px - t * bx) ** 2 + (py - t * by) ** 2
    gone = ~there.repeat_interleave(points.shape[2] - 1, 1)
    return far.masked_fill(gone[..., None, None], 1e3).amin(1).sqrt()


def draw(kinds: Kinds, count: int, side: int, rng: torch.Generator) -> Sheets:
    """`count` sheets of `side` x `side` pixels, an even number; some as coarse as a scan of eight pixels."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    which = torch.randint(0, len(kinds.heading), (count,), generator=rng)
    points, there = write(kinds, which, rng)
    size = uniform(0.5, 0.9, count)
    turn = 0.12 * torch.randn(count, generator=rng)
    cos, sin = (size * turn.cos())[:, None, None], (size * turn.sin())[:, None, None]
    place = (torch.rand(count, 2, generator=rng) * 2 - 1) * (0.95 - size)[:, None].clamp(min=0.04)
    x, y = points.unbind(-1)
    points = torch.stack([x * cos - y * sin, x * sin + y * cos], -1) + place[:, None, None]
    far = F.interpolate(distance(points, there, side // 2)[:, None], size=(side, side), mode="bilinear")[:, 0]
    pen = (uniform(0.05, 0.16, count) * size.sqrt())[:, None, None]
    edge = uniform(1.0, 3.0, count)[:, None, None]
    cover = torch.sigmoid((pen - far) * side / edge)
    cloud = F.interpolate(torch.rand(count, 1, 4, 4, generator=rng), size=(side, side), mode="bicubic")[:, 0]
    paper, light = colored(0.5 + (cloud - 0.5) * uniform(0, 0.5, count)[:, None, None], rng)
    ink, _ = colored(0.5 + (cover - 0.5) * uniform(0, 0.6, count)[:, None, None], rng, apart=light)
    plain = torch.rand(count, generator=rng) < 0.4
    grey = torch.where(torch.rand(count, generator=rng) < 0.5, 0.0, 1.0)[:, None, None, None]
    plain4 = plain[:, None, None, None]
    paper, ink = torch.where(plain4, grey, paper), torch.where(plain4, 1 - grey, ink)
    sheet = paper + (ink - paper) * cover[:, None]
    coarse = F.adaptive_avg_pool2d(sheet, int(torch.randint(8, 17, (1,), generator=rng)))
    coarse = F.interpolate(coarse, size=(side, side), mode="bilinear")
    sheet = torch.where((torch.rand(count, generator=rng) < 0.4)[:, None, None, None], coarse, sheet)
    ends = points[:, :, [0, -1]].flatten(1, 2)
    return Sheets(
        (sheet.clamp(0, 1) * 255 + 0.5).to(torch.uint8),
        which,
        F.adaptive_avg_pool2d(cover[:, None], MASK)[:, 0],
        marked(ends, there.repeat_interleave(2, 1)),
    )
