"""Cells: kinds of stained body under a microscope, told apart by their colours as much as by their form.

A kind has a body with a colour, pale or dark in its middle, a nucleus of some lobes or none, and grains. Kinds come in fours
of the same form in other colours. Nothing here is copied from a real cell. Legend: B pictures, S side in pixels.
"""

from dataclasses import dataclass
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from core.pretraining.scenes import MASK

CELLS = 192
LOBES = 5
WAVES = 5


@dataclass(frozen=True, slots=True)
class Kinds:
    """K kinds. Colours in 0 to 1, lengths in radii of the body."""

    body: Tensor
    """(K, 3)."""
    wave: Tensor
    """(K, WAVES) how far the outline strays, with 2 to WAVES + 1 turns."""
    pale: Tensor
    """(K,) how much lighter the middle is, negative where it is darker."""
    lobes: Tensor
    """(K,) int: of the nucleus, 0 without one."""
    nucleus: Tensor
    """(K, 3) its colour."""
    lobe: Tensor
    """(K,) radius of a lobe."""
    spread: Tensor
    """(K,) how far the lobes are from the middle."""
    grains: Tensor
    """(K,) how much of the body they cover."""
    grain: Tensor
    """(K, 3) their colour."""
    fine: Tensor
    """(K,) how many of them fit in a radius."""
    soft: Tensor
    """(K,) width of the edge."""


class Smears(NamedTuple):
    """`images` (B, 3, S, S) uint8 and what is known of the body in the middle."""

    images: Tensor
    kind: Tensor
    lobes: Tensor
    mask: Tensor
    """(B, MASK, MASK) share of each cell of the grid that it covers."""
    nucleus: Tensor
    """(B, MASK, MASK) the same of its nucleus."""
    traits: Tensor
    """(B, 4): pale, grains, radius of a lobe and radius in the image."""


def make_kinds(count: int, seed: int) -> Kinds:
    """`count` kinds; the same ones from the same seed."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    def alike(values: Tensor) -> Tensor:
        return values.repeat_interleave(4, 0)[:count]

    few = -(-count // 4)
    body = (uniform(0.2, 0.95, count)[:, None] + 0.22 * torch.randn(count, 3, generator=rng)).clamp(0.03, 0.97)
    away = 0.25 * torch.randn(count, 3, generator=rng) - uniform(0.05, 0.45, count)[:, None]
    lobes = torch.randint(1, LOBES + 1, (few,), generator=rng) * (torch.rand(few, generator=rng) < 0.6)
    return Kinds(
        body,
        alike(uniform(0, 0.12, few, WAVES) * (torch.rand(few, WAVES, generator=rng) < 0.5)),
        alike(torch.where(torch.rand(few, generator=rng) < 0.5, uniform(-0.5, 0.7, few), torch.zeros(()))),
        alike(lobes),
        (body + away).clamp(0.02, 0.98),
        alike(torch.where(lobes > 1, uniform(0.2, 0.38, few), uniform(0.35, 0.75, few))),
        alike(torch.where(lobes > 1, uniform(0.28, 0.5, few), uniform(0, 0.25, few))),
        alike(torch.where(torch.rand(few, generator=rng) < 0.5, uniform(0.1, 0.7, few), torch.zeros(()))),
        (body + 0.25 * torch.randn(count, 3, generator=rng)).clamp(0, 1),
        alike(uniform(3, 9, few)),
        alike(uniform(0.03, 0.25, few)),
    )


def draw(kinds: Kinds, count: int, side: int, rng: torch.Generator) -> Smears:
    """`count` pictures of `side` x `side` pixels with a body in the middle and others beside."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    light = torch.where(torch.rand(count, generator=rng) < 0.75, uniform(0.7, 1.0, count), uniform(0.0, 0.5, count))
    ground = light[:, None] + 0.07 * torch.randn(count, 3, generator=rng)
    cloud = F.interpolate(torch.randn(count, 3, 5, 5, generator=rng), size=(side, side), mode="bicubic")
    scene = ground[:, :, None, None] + cloud * uniform(0, 0.04, count)[:, None, None, None]
    scale = torch.exp(uniform(-0.9, 0.0, count))
    for _ in range(3):
        rows = (torch.rand(count, generator=rng) < 0.5).nonzero()[:, 0]
        if len(rows):
            way = uniform(0, 2 * pi, len(rows))
            size = scale[rows] * torch.exp(0.3 * torch.randn(len(rows), generator=rng))
            off = (scale[rows] + size) * uniform(0.85, 1.3, len(rows))
            place = torch.stack([way.cos(), way.sin()], 1) * off[:, None]
            other = torch.randint(0, len(kinds.pale), (len(rows),), generator=rng)
            drawn, *_ = _stained(kinds, other, scene[rows], place, size, rng)
            scene = scene.index_copy(0, rows, drawn)
    which = torch.randint(0, len(kinds.pale), (count,), generator=rng)
    place = 0.08 * torch.randn(count, 2, generator=rng)
    scene, cover, core = _stained(kinds, which, scene, place, scale, rng)
    blur = F.avg_pool2d(F.pad(scene, (2, 2, 2, 2), mode="replicate"), 5, 1)
    scene = (
        scene
        + (blur - scene)
        * torch.where(torch.rand(count, generator=rng) < 0.4, uniform(0, 1, count), 0.0)[:, None, None, None]
    )
    pool = F.adaptive_avg_pool2d
    return Smears(
        (scene.clamp(0, 1) * 255 + 0.5).to(torch.uint8),
        which,
        kinds.lobes[which],
        pool(cover[:, None], MASK)[:, 0],
        pool(core[:, None], MASK)[:, 0],
        torch.stack([kinds.pale[which], kinds.grains[which], kinds.lobe[which], scale], 1),
    )


def _stained(
    kinds: Kinds, which: Tensor, scene: Tensor, place: Tensor, size: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """`scene` (B, 3, S, S) with a body of each kind in `which` on it; where the body is, and its nucleus, (B, S, S)."""
    count, side = len(which), scene.shape[-1]

    def normal(spread: float, *shape: int) -> Tensor:
        return spread * torch.randn(*shape, generator=rng)

    def wide(values: Tensor) -> Tensor:
        return values[..., None, None]

    axis = (torch.arange(side) + 0.5) * (2 / side) - 1
    turn = 2 * pi * torch.rand(count, generator=rng)
    dx, dy = (axis - wide(place[:, 0])) / wide(size), (axis[:, None] - wide(place[:, 1])) / wide(size)
    cos, sin = wide(turn.cos()), wide(turn.sin())
    squeeze = wide(torch.exp(normal(0.1, count)))
    u, v = (dx * cos + dy * sin) * squeeze, (dy * cos - dx * sin) / squeeze
    far, angle = torch.hypot(u, v), torch.atan2(v, u)
    radius = torch.ones_like(far)
    for wave in range(WAVES):
        phase = 2 * pi * torch.rand(count, generator=rng)
        radius = radius + wide(kinds.wave[which, wave] + 0.015) * torch.cos((wave + 2) * angle + wide(phase))
    soft = wide(kinds.soft[which]) / 2 + 0.7 / (wide(size) * side)
    cover = torch.sigmoid((radius - far) / soft)
    stain = torch.exp(normal(0.06, count, 3))
    body = wide(kinds.body[which] * stain)
    bright = wide(kinds.pale[which])[:, None] * torch.exp(-((far / 0.5) ** 2))[:, None]
    skin = body + (torch.where(bright > 0, 1 - body, body)) * bright
    noise, stray = F.interpolate(torch.randn(count, 2, 10, 10, generator=rng), size=(side, side), mode="bilinear").unbind(1)
    fine = wide(kinds.fine[which]) * pi
    dots = torch.cos(u * fine + 2 * noise) * torch.cos(v * fine + 2 * stray)
    grains = torch.sigmoid(8 * (dots - 0.8 + 1.2 * wide(kinds.grains[which]))) * wide(kinds.grains[which] > 0)
    skin = skin + (wide(kinds.grain[which] * stain) - skin) * grains[:, None]
    core = torch.zeros_like(far)
    fan = 2 * pi * torch.rand(count, generator=rng)
    for lobe in range(LOBES):
        way = fan + lobe * 4.2 / kinds.lobes[which].clamp(min=1) + normal(0.2, count)
        off = kinds.spread[which] * torch.exp(normal(0.15, count))
        reach = wide(kinds.lobe[which] * torch.exp(normal(0.12, count)))
        near = torch.hypot(u - wide(off * way.cos()), v - wide(off * way.sin()))
        here = torch.sigmoid((reach - near) / (0.04 + 0.7 / (wide(size) * side)))
        core = torch.maximum(core, here * wide(kinds.lobes[which] > lobe))
    core = core * cover
    rough = 1 + 0.12 * noise[:, None]
    skin = skin + (wide(kinds.nucleus[which] * stain) * rough - skin) * core[:, None]
    clear = wide(0.6 + 0.4 * torch.rand(count, generator=rng))[:, None]
    return scene + (skin - scene) * cover[:, None] * torch.maximum(clear, core[:, None]), cover, core
