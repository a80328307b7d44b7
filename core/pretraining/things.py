"""Things: a few hundred kinds of shape, each a core with limbs, and the distance of every pixel to the outline of one.

A kind is a body plan: a core whose radius is a sum of waves, and up to `LIMBS` tapering limbs that hang on it or on each
other. An individual of a kind differs in the length, bend and thickness of each limb, and lacks some. So the kinds hold
blobs, cells, polygons, stars, branched figures, strokes of a pen and what lies between, told apart by form alone.

Legend: B individuals, L limbs, S side of the grid; lengths in half sides of the image.
"""

from dataclasses import dataclass
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

LIMBS = 8
WAVES = 6
"""The core's radius has waves of 2 to WAVES + 1 turns."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """K body plans."""

    core: Tensor
    """(K,) radius; 0 for a thing of limbs only."""
    amplitude: Tensor
    """(K, WAVES) of each wave, in radii."""
    phase: Tensor
    """(K, WAVES) radians."""
    parent: Tensor
    """(K, L) int: the limb that one grows from, -1 for the core."""
    angle: Tensor
    """(K, L) radians: direction of growth, of the first seen from the core's middle, of others against their parent."""
    length: Tensor
    """(K, L)."""
    thick: Tensor
    """(K, L) half the width at the root."""
    taper: Tensor
    """(K, L) width at the end over that at the root."""
    exists: Tensor
    """(K, L) bool."""
    rim: Tensor
    """(K,) half the width of the line where only the outline is drawn, else 0."""


def make_kinds(count: int, seed: int) -> Kinds:
    """`count` body plans; the same ones from the same seed."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    plan = torch.rand(count, generator=rng)
    bare, radial, chain = plan < 0.22, (plan >= 0.22) & (plan < 0.60), (plan >= 0.60) & (plan < 0.82)
    limbs = torch.randint(2, LIMBS + 1, (count,), generator=rng)
    limbs[radial] = limbs[radial].clamp(min=3)
    exists = (torch.arange(LIMBS) < limbs[:, None]) & ~bare[:, None]
    core = torch.where(bare, uniform(0.45, 0.62, count), uniform(0.16, 0.38, count))
    core = torch.where(chain | (plan > 0.92), torch.zeros(()), core)
    smooth = uniform(0.0, 1.0, count)[:, None] ** 2
    waves = torch.arange(2, WAVES + 2)
    amplitude = torch.randn(count, WAVES, generator=rng) * 0.5 / waves * (0.15 + smooth)
    # Every third core has one strong wave: a regular figure with 2 to 7 corners.
    regular = torch.randint(0, WAVES, (count,), generator=rng)
    strong = torch.zeros(count, WAVES).scatter_(1, regular[:, None], uniform(0.12, 0.35, count)[:, None])
    amplitude = torch.where((torch.rand(count, generator=rng) < 0.35)[:, None], strong, amplitude)
    index = torch.arange(LIMBS)
    spread = uniform(0.9, 2 * pi, count)[:, None] * (index / limbs[:, None])
    fan = spread + uniform(0, 2 * pi, count)[:, None] + 0.25 * torch.randn(count, LIMBS, generator=rng)
    turn = uniform(-1.9, 1.9, count, LIMBS)
    turn[:, 0] = uniform(0, 2 * pi, count)
    grown = (torch.rand(count, LIMBS, generator=rng) * index).long() - (torch.rand(count, LIMBS, generator=rng) < 0.4).long()
    grown[:, 0] = -1
    parent = torch.where(radial[:, None], torch.full((count, LIMBS), -1), grown.clamp(min=-1))
    parent = torch.where(chain[:, None], index - 1, parent)
    length = torch.where(
        radial[:, None],
        uniform(0.35, 0.85, count)[:, None] * uniform(0.7, 1.3, count, LIMBS),
        uniform(0.18, 0.55, count, LIMBS),
    )
    thick = uniform(0.035, 0.13, count)[:, None] * uniform(0.75, 1.3, count, LIMBS)
    rim = torch.where(bare & (torch.rand(count, generator=rng) < 0.3), uniform(0.03, 0.08, count), torch.zeros(()))
    return Kinds(
        core,
        amplitude,
        uniform(0, 2 * pi, count, WAVES),
        parent,
        torch.where((parent < 0) & ~chain[:, None], fan, turn),
        length,
        thick,
        uniform(0.35, 1.1, count)[:, None].expand(count, LIMBS).clone(),
        exists,
        rim,
    )


class Individuals(NamedTuple):
    """B things of some kinds, around the origin and upright, about 1 in radius."""

    core: Tensor
    centre: Tensor
    """(B, 2) of the core."""
    amplitude: Tensor
    phase: Tensor
    start: Tensor
    """(B, L, 2)."""
    end: Tensor
    root: Tensor
    """(B, L) half the width at the start."""
    tip: Tensor
    present: Tensor
    """(B, L) bool."""
    free: Tensor
    """(B, L) bool: limbs that are there and nothing grows from."""
    rim: Tensor


def grow(kinds: Kinds, which: Tensor, rng: torch.Generator, *, lacking: float = 0.2) -> Individuals:
    """An individual of each kind in `which` (B,), each limb missing with probability `lacking` if nothing grows from it.

    The first limb of a kind without a core is always there.
    """
    batch = len(which)

    def vary(spread: float, *shape: int) -> Tensor:
        return torch.exp(spread * torch.randn(*shape, generator=rng))

    parent, exists = kinds.parent[which], kinds.exists[which]
    angle = kinds.angle[which] + 0.16 * torch.randn(batch, LIMBS, generator=rng)
    length = kinds.length[which] * vary(0.15, batch, LIMBS)
    root = kinds.thick[which] * vary(0.12, batch, LIMBS) * vary(0.15, batch, 1)
    tip = root * kinds.taper[which]
    core = kinds.core[which] * vary(0.12, batch)
    bears = torch.zeros(batch, LIMBS + 1, dtype=torch.int)
    bears = bears.scatter_add_(1, (parent + 1).clamp(min=0), exists.int())[:, 1:] > 0
    present = exists & (bears | (torch.rand(batch, LIMBS, generator=rng) >= lacking))
    present[:, 0] |= exists[:, 0] & (core == 0)  # something must be there
    start, end, direction = torch.zeros(batch, LIMBS, 2), torch.zeros(batch, LIMBS, 2), torch.zeros(batch, LIMBS)
    rows = torch.arange(batch)
    for limb in range(LIMBS):
        above = parent[:, limb]
        on_core = above < 0
        at = above.clamp(min=0)
        direction[:, limb] = angle[:, limb] + torch.where(on_core, torch.zeros(()), direction[rows, at])
        way = torch.stack([direction[:, limb].cos(), direction[:, limb].sin()], 1)
        start[:, limb] = torch.where(on_core[:, None], 0.6 * core[:, None] * way, end[rows, at])
        end[:, limb] = start[:, limb] + (length[:, limb] + torch.where(on_core, 0.4 * core, torch.zeros(())))[:, None] * way
    # Around the middle of what there is, and to a radius of one.
    weight = present[:, :, None].float()
    middle = ((start + end) * weight).sum(1) / (2 * weight.sum(1)).clamp(min=1)
    middle = torch.where((core > 0)[:, None], 0.35 * middle, middle)
    reach = ((end - middle[:, None]).norm(dim=2) + tip).masked_fill(~present, 0).amax(1)
    scale = 1 / torch.maximum(reach, core + middle.norm(dim=1)).clamp(min=0.2)
    amplitude = kinds.amplitude[which] * vary(0.15, batch, WAVES)
    phase = kinds.phase[which] + 0.12 * torch.randn(batch, WAVES, generator=rng)
    s, s1 = scale[:, None, None], scale[:, None]
    return Individuals(
        core * scale,
        -middle * s1,
        amplitude,
        phase,
        (start - middle[:, None]) * s,
        (end - middle[:, None]) * s,
        root * s1,
        tip * s1,
        present,
        present & ~bears,
        kinds.rim[which] * scale,
    )


class Pose(NamedTuple):
    """Where a thing stands. `place` (B, 2), `size` (B,) radius, `turn` (B,) radians, `squeeze` (B,) height over width."""

    place: Tensor
    size: Tensor
    turn: Tensor
    squeeze: Tensor


def placed(points: Tensor, pose: Pose) -> Tensor:
    """`points` (B, L, 2) of things, in the image: (B, L, 2)."""
    cos, sin = pose.turn.cos()[:, None], pose.turn.sin()[:, None]
    u, v = points[..., 0], points[..., 1] * pose.squeeze[:, None]
    turned = torch.stack([u * cos - v * sin, u * sin + v * cos], 2)
    return pose.place[:, None] + pose.size[:, None, None] * turned


def distance(things: Individuals, pose: Pose, side: int, *, soft: float = 0.03) -> Tensor:
    """(B, side, side): distance of each pixel's centre to the outline, negative inside; in half sides of the image."""
    axis = (torch.arange(side) + 0.5) * (2 / side) - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    cos, sin = pose.turn.cos()[:, None, None], pose.turn.sin()[:, None, None]
    size = pose.size[:, None, None]
    dx, dy = x - pose.place[:, 0, None, None], y - pose.place[:, 1, None, None]
    u = (dx * cos + dy * sin) / size
    v = (dy * cos - dx * sin) / (size * pose.squeeze[:, None, None])
    waves = torch.arange(2, WAVES + 2)
    cu, cv = u - things.centre[:, 0, None, None], v - things.centre[:, 1, None, None]
    angle = torch.atan2(cv, cu)
    radius = torch.ones_like(u)
    for wave in range(WAVES):
        amplitude, phase = things.amplitude[:, wave, None, None], things.phase[:, wave, None, None]
        radius = radius + amplitude * torch.cos(float(waves[wave]) * angle + phase)
    core = things.core[:, None, None]
    field = torch.exp(((core * radius - torch.hypot(cu, cv)) / soft).clamp(-60, 60)) * (core > 0)
    for limb in range(LIMBS):
        a, b = things.start[:, limb], things.end[:, limb]
        bx, by = (b - a)[:, 0, None, None], (b - a)[:, 1, None, None]
        px, py = u - a[:, 0, None, None], v - a[:, 1, None, None]
        t = ((px * bx + py * by) / (bx * bx + by * by).clamp(min=1e-6)).clamp_(0, 1)
        width = things.root[:, limb, None, None] + t * (things.tip - things.root)[:, limb, None, None]
        depth = width - torch.hypot(px - t * bx, py - t * by)
        field = field + torch.exp((depth / soft).clamp_(-60, 60)) * things.present[:, limb, None, None]
    out = -soft * torch.log(field.clamp(min=1e-24))
    rim = things.rim[:, None, None]
    out = torch.where(rim > 0, out.abs() - rim, out)
    return out * size
