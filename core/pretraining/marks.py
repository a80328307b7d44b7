"""Marks: things with two sides, as leaves, garments and vessels have them, and what may be wrong with them.

A form is a width for every height on either side of an upright axis, with arms, a slit, a neck and a handle or without, and
ribs. A mark is a way to spoil it: how many spots, how large, how soft, hollow or full, round or long, and where. Their
colours differ from picture to picture. Nothing here is copied from a real leaf or garment. Legend: B pictures, S side in
pixels.
"""

from dataclasses import dataclass
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from core.pretraining import textures
from core.pretraining.scenes import MASK, colored

FORMS, MARKS = 160, 48
UNMARKED = MARKS
"""The answer for a thing that has none."""
HEIGHTS, SPOTS = 12, 14
LEAST = 0.006
"""Share of the picture that marks cover from which on they can be told."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """K forms and M marks. Lengths in half heights of the thing, angles in radians."""

    profile: Tensor
    """(K, 2, HEIGHTS) half widths from the top to the bottom, left and right."""
    teeth: Tensor
    """(K, 2) how far the outline goes in and out, and how often."""
    arm: Tensor
    """(K, 4) height where a pair begins, angle, length, half the thickness; length 0 without."""
    slit: Tensor
    """(K, 2) how far from below, and half its width."""
    neck: Tensor
    """(K, 2) how far from above, and half its width."""
    handle: Tensor
    """(K,) radius of a ring above; 0 without."""
    ribs: Tensor
    """(K, 3) turns along the height, angle, strength."""
    midrib: Tensor
    """(K,) strength."""
    spots: Tensor
    """(M, 2) least and most of them."""
    size: Tensor
    """(M,) radius."""
    long: Tensor
    """(M,) length over width."""
    soft: Tensor
    """(M,) width of the edge, in radii."""
    hollow: Tensor
    """(M,) radius of the part of another colour within, in radii; 0 without."""
    rough: Tensor
    """(M,) how far its outline strays, in radii."""
    where: Tensor
    """(M,) int: 0 anywhere, 1 along the rim, 2 along the axis, 3 close together."""


class Marked(NamedTuple):
    """`images` (B, 3, S, S) uint8 and what is known of them."""

    images: Tensor
    form: Tensor
    """(B,)."""
    mark: Tensor
    """(B,) kind, or UNMARKED."""
    mask: Tensor
    """(B, MASK, MASK) share of each cell of the grid that the thing covers."""
    spoilt: Tensor
    """(B, MASK, MASK) the same of its marks."""
    share: Tensor
    """(B, 1) of the thing that marks cover."""


def make_kinds(seed: int) -> Kinds:
    """FORMS forms and MARKS marks; the same ones from the same seed."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    def chance(share: float, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng) < share

    def some(share: float, values: Tensor) -> Tensor:
        there = chance(share, len(values)).view(-1, *[1] * (values.dim() - 1))
        return torch.where(there, values, torch.zeros(()))

    height = torch.linspace(-1, 1, HEIGHTS)
    belly = uniform(-0.6, 0.6, FORMS)[:, None]
    full = uniform(0.35, 3.0, FORMS)[:, None]
    oval = (1 - ((height - belly) / (1 + belly.abs())).abs() ** (2 * full)).clamp(min=0) ** (0.5 / full.sqrt())
    steps = uniform(0.2, 1.0, FORMS, 4).repeat_interleave(HEIGHTS // 4, 1)
    slope = (1 + uniform(-0.9, 0.9, FORMS)[:, None] * height) * uniform(0.3, 0.8, FORMS)[:, None]
    plan = torch.rand(FORMS, generator=rng)[:, None]
    width = torch.where(plan < 0.45, oval, torch.where(plan < 0.75, steps, slope))
    waves = torch.randn(FORMS, 2, 3, generator=rng) * torch.tensor([0.12, 0.1, 0.06])
    wavy = (waves[..., None] * torch.sin(torch.arange(1, 4)[:, None] * (height + 1) * pi / 2)).sum(2)
    wavy[:, 1] = torch.where(chance(0.75, FORMS)[:, None], wavy[:, 0], wavy[:, 1])
    profile = (width * uniform(0.45, 1.1, FORMS)[:, None])[:, None] * (1 + wavy)
    forms = (
        profile.clamp(0.02, 1.0),
        torch.stack([some(0.3, uniform(0.02, 0.09, FORMS)), uniform(3, 16, FORMS)], 1),
        torch.stack(
            [
                uniform(-0.95, 0.3, FORMS),
                uniform(-0.6, 1.4, FORMS),
                some(0.4, uniform(0.3, 1.3, FORMS)),
                uniform(0.06, 0.22, FORMS),
            ],
            1,
        ),
        torch.stack([some(0.25, uniform(0.3, 1.5, FORMS)), uniform(0.03, 0.16, FORMS)], 1),
        torch.stack([some(0.25, uniform(0.08, 0.5, FORMS)), uniform(0.08, 0.35, FORMS)], 1),
        some(0.12, uniform(0.25, 0.6, FORMS)),
        torch.stack([uniform(1.5, 9, FORMS), uniform(-1.2, 1.2, FORMS), some(0.6, uniform(0.2, 1.0, FORMS))], 1),
        some(0.4, uniform(0.3, 1.0, FORMS)),
    )
    least = torch.randint(1, 8, (MARKS,), generator=rng)
    return Kinds(
        *forms,
        torch.stack([least, least + torch.randint(0, 7, (MARKS,), generator=rng)], 1),
        torch.exp(uniform(-2.8, -1.0, MARKS)),
        torch.where(chance(0.35, MARKS), uniform(1.8, 6.0, MARKS), uniform(1.0, 1.3, MARKS)),
        uniform(0.08, 0.9, MARKS),
        some(0.4, uniform(0.35, 0.8, MARKS)),
        some(0.6, uniform(0.1, 0.6, MARKS)),
        torch.randint(0, 4, (MARKS,), generator=rng),
    )


def draw(kinds: Kinds, surfaces: textures.Kinds, count: int, side: int, rng: torch.Generator) -> Marked:
    """`count` pictures of `side` x `side` pixels, each of one thing before a ground of `surfaces` or a plain one."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    def chance(share: float) -> Tensor:
        return torch.rand(count, generator=rng) < share

    def surface(share: Tensor) -> Tensor:
        which = torch.randint(0, len(surfaces.frequency), (count,), generator=rng)
        zoom = torch.exp2(0.3 * torch.randn(count, generator=rng))
        field = textures.fields(surfaces, which, side, rng, zoom=zoom, turn=0.2 * torch.randn(count, generator=rng))
        return 0.5 + (field - 0.5) * share[:, None, None]

    form = torch.randint(0, FORMS, (count,), generator=rng)
    mark = torch.where(chance(0.2), UNMARKED, torch.randint(0, MARKS, (count,), generator=rng))
    u, v, scale = _placed(count, side, rng)
    outline = _outline(kinds, form, u, v, rng)
    cover = torch.sigmoid(-outline * _wide(scale) * side / 2 / _wide(uniform(0.5, 1.6, count)))

    ground, light = colored(surface((uniform(-0.6, 0.9, count)).clamp(min=0)), rng)
    plain = chance(0.45)
    white = torch.where(chance(0.6), uniform(0, 0.06, count), uniform(0.85, 1.0, count))
    light = torch.where(plain, white, light)
    ground = torch.where(_wide(plain)[:, None], _wide(white)[:, None], ground)
    skin, _ = colored(surface(uniform(-0.3, 0.8, count).clamp(min=0)), rng, apart=light)
    turns, slant, strength = kinds.ribs[form].unbind(1)
    rib = torch.cos(2 * pi * _wide(turns) * (v * _wide(slant.cos()) + u.abs() * _wide(slant.sin())))
    relief = _wide(strength) * rib.clamp(min=0) ** 2 + _wide(kinds.midrib[form]) * torch.exp(-((u / 0.04) ** 2))
    skin = skin * (1 + _wide(uniform(-0.45, 0.45, count)) * relief)[:, None]
    skin = skin * (1 - _wide(uniform(-0.1, 0.5, count)) * (1 - (-outline / 0.35).clamp(0, 1)))[:, None]

    spot, inner = _spots(kinds, mark, u, v, outline, rng)
    shade = skin.mean((2, 3))
    outer_ink, inner_ink = (
        (shade + way[:, None] * uniform(0.12, 0.5, count)[:, None] + 0.16 * torch.randn(count, 3, generator=rng)).clamp(0, 1)
        for way in torch.where(chance(0.6), -1.0, 1.0).repeat(2, 1)
    )
    ink = _wide(outer_ink) + (_wide(inner_ink) - _wide(outer_ink)) * inner[:, None]
    skin = skin + (ink - skin) * (spot * _wide(uniform(0.7, 1.0, count)))[:, None]
    scene = ground + (skin - ground) * cover[:, None]
    grey = _wide(chance(0.3))[:, None]
    scene = torch.where(grey, scene.mean(1, keepdim=True).expand_as(scene), scene)
    coarse = F.interpolate(F.adaptive_avg_pool2d(scene, max(8, side * 3 // 7)), size=(side, side), mode="bilinear")
    scene = torch.where(_wide(chance(0.25))[:, None], coarse, scene)

    mask = F.adaptive_avg_pool2d(cover[:, None], MASK)[:, 0]
    spoilt = F.adaptive_avg_pool2d((spot * cover)[:, None], MASK)[:, 0]
    covered = spoilt.mean((1, 2))
    return Marked(
        (scene.clamp(0, 1) * 255 + 0.5).to(torch.uint8),
        form,
        torch.where(covered > LEAST, mark, UNMARKED),
        mask,
        spoilt,
        (covered / mask.mean((1, 2)).clamp(min=0.02))[:, None],
    )


def _wide(values: Tensor) -> Tensor:
    return values[..., None, None]


def _placed(count: int, side: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Places across and along the axis of each thing, (B, S, S), in its half heights, and that in half sides (B,)."""
    scale = 0.55 + 0.4 * torch.rand(count, generator=rng)
    free = torch.rand(count, generator=rng) < 0.35
    turn = torch.where(free, 2 * pi * torch.rand(count, generator=rng), 0.15 * torch.randn(count, generator=rng))
    cos, sin = _wide(turn.cos()), _wide(turn.sin())
    axis = (torch.arange(side) + 0.5) * (2 / side) - 1
    place = 0.1 * torch.randn(count, 2, generator=rng)
    x, y = axis - _wide(place[:, 0]), axis[:, None] - _wide(place[:, 1])
    v = (y * cos - x * sin) / _wide(scale)
    u = (x * cos + y * sin) / _wide(scale * torch.exp(0.12 * torch.randn(count, generator=rng)))
    return u + _wide(0.12 * torch.randn(count, generator=rng)) * (v**2 - 0.3), v, scale


def _outline(kinds: Kinds, form: Tensor, u: Tensor, v: Tensor, rng: torch.Generator) -> Tensor:
    """(B, S, S): about the distance to the outline of an individual of each form, negative inside."""
    count = len(form)
    profile = kinds.profile[form] * torch.exp(0.06 * torch.randn(count, 1, HEIGHTS, generator=rng))
    at = ((v + 1) / 2).clamp(0, 1) * (HEIGHTS - 1.001)
    low = at.long()
    right = (u > 0).long()
    flat = profile.flatten(1)
    where = (right * HEIGHTS + low).flatten(1)
    first, second = flat.gather(1, where).view_as(u), flat.gather(1, where + 1).view_as(u)
    teeth = kinds.teeth[form]
    width = first + (second - first) * (at - low) + _wide(teeth[:, 0]) * torch.sin(_wide(teeth[:, 1]) * pi * v)
    across = u.abs()
    out = torch.maximum(across - width, v.abs() - 1)
    start, angle, length, thick = kinds.arm[form].unbind(1)
    root = 0.7 * flat.gather(1, ((start + 1) / 2 * (HEIGHTS - 1)).long()[:, None])[:, 0]
    angle = angle + 0.15 * torch.randn(count, generator=rng)
    reach = length * torch.exp(0.15 * torch.randn(count, generator=rng))
    px, py = across - _wide(root), v - _wide(start)
    along = (px * _wide(angle.cos()) + py * _wide(angle.sin())).clamp(min=0)
    along = torch.minimum(along, _wide(reach))
    arm = torch.hypot(px - along * _wide(angle.cos()), py - along * _wide(angle.sin())) - _wide(thick)
    out = torch.where(_wide(length) > 0, torch.minimum(out, arm), out)
    ring = (torch.hypot(u, v + 1) - _wide(kinds.handle[form])).abs() - 0.05
    out = torch.where(_wide(kinds.handle[form]) > 0, torch.minimum(out, ring), out)
    deep, half = kinds.slit[form].unbind(1)
    slit = torch.minimum(_wide(half) - across, v - 1 + _wide(deep))
    out = torch.where(_wide(deep) > 0, torch.maximum(out, slit), out)
    deep, half = kinds.neck[form].unbind(1)
    neck = torch.minimum(_wide(half) - across, _wide(deep) - 1 - v)
    return torch.where(_wide(deep) > 0, torch.maximum(out, neck), out)


def _spots(kinds: Kinds, mark: Tensor, u: Tensor, v: Tensor, outline: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(B, S, S) where spots of each kind are, and the inner part of those that are hollow."""
    count, side = len(mark), u.shape[-1]
    which = mark.clamp(max=MARKS - 1)
    least, most = kinds.spots[which].unbind(1)
    many = least + (torch.rand(count, generator=rng) * (most - least + 1)).long()
    there = (torch.arange(SPOTS) < many[:, None]) & (mark != UNMARKED)[:, None]
    place = _places(kinds.where[which], outline, rng)
    size = kinds.size[which, None] * torch.exp(0.3 * torch.randn(count, SPOTS, generator=rng))
    turn = pi * torch.rand(count, SPOTS, generator=rng)
    long = kinds.long[which, None].sqrt()
    rows, pixels = torch.arange(count)[:, None], place
    dx = u[:, None] - _wide(u.flatten(1)[rows, pixels])
    dy = v[:, None] - _wide(v.flatten(1)[rows, pixels])
    a = (dx * _wide(turn.cos()) + dy * _wide(turn.sin())) / _wide(size * long)
    b = (dy * _wide(turn.cos()) - dx * _wide(turn.sin())) / _wide(size / long)
    far = torch.hypot(a, b)
    far = torch.where(_wide(there), far, 1e3).amin(1)
    noise = torch.randn(count, 1, side // 4, side // 4, generator=rng)
    noise = F.interpolate(noise, size=(side, side), mode="bicubic")[:, 0]
    far = far + 1.5 * _wide(kinds.rough[which]) * noise
    soft = _wide(kinds.soft[which])
    hollow = _wide(kinds.hollow[which])
    return torch.sigmoid((1 - far) / (soft / 4)), torch.sigmoid((hollow - far) / 0.12) * (hollow > 0)


def _places(where: Tensor, outline: Tensor, rng: torch.Generator) -> Tensor:
    """(B, SPOTS) pixels of things within `outline` (B, S, S), as each of `where` (B,) has it."""
    count, side = len(where), outline.shape[-1]
    inside = (outline < -0.02).flatten(1).float() + 1e-6
    rim = torch.exp(-((outline / 0.08) ** 2)).flatten(1) * inside
    axis = torch.exp(-(((-outline - (-outline).amax((1, 2), keepdim=True)) / 0.08) ** 2)).flatten(1) * inside
    seed = torch.multinomial(inside, 1, generator=rng)[:, 0]
    x, y = torch.arange(side * side) % side, torch.arange(side * side) // side
    far = ((x - (seed % side)[:, None]) ** 2 + (y - (seed // side)[:, None]) ** 2).float()
    close = torch.exp(-far / (0.15 * side) ** 2) * inside
    choices = torch.stack([inside, rim + 1e-9, axis + 1e-9, close + 1e-9], 1)
    return torch.multinomial(choices[torch.arange(count), where], SPOTS, replacement=True, generator=rng)
