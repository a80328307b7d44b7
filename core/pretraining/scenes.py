"""Scenes: a textured, lit thing before a textured ground, with others behind it, and everything that is known of it.

Legend: B scenes, S side in pixels, L limbs. Light and colours in 0 to 1, lengths in half sides of the image.
"""

from dataclasses import dataclass
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from core.pretraining import textures, things

THINGS, TEXTURES, OTHERS = 192, 64, 2
MASK = 16
"""Side of the silhouette that the network must draw."""
BROAD = 0.12
"""Share of the image that a thing covers from which on its texture can be told."""
PLAIN = -100
"""Instead of a kind of texture where none can be seen."""


class Answers(NamedTuple):
    """What is known of B scenes."""

    thing: Tensor
    """(B,) kind."""
    fill: Tensor
    """(B,) kind of texture on the thing, or PLAIN."""
    ground: Tensor
    """(B,) kind of texture behind it, or PLAIN."""
    others: Tensor
    """(B,) number of things behind it."""
    limbs: Tensor
    """(B, L) bool: there."""
    plan: Tensor
    """(B, L) bool: limbs that its kind has."""
    pose: Tensor
    """(B, 8): place x and y, log of size, cos and sin of turn, log of squeeze, direction of light x and y."""
    mask: Tensor
    """(B, MASK, MASK) share of each cell that the thing covers."""
    tips: Tensor
    """(B, MASK, MASK) 1 where a limb ends, falling to 0 around."""
    ends: Tensor
    """(B,) number of limbs that end."""
    kernel: Tensor
    """(B,) 1 where something of another colour lies within the thing, as a nucleus lies in a cell."""


class Scenes(NamedTuple):
    """`images` (B, 3, S, S) uint8 and what is known of them."""

    images: Tensor
    answers: Answers


@dataclass(frozen=True, slots=True)
class World:
    """The kinds that all scenes of one training are made of."""

    things: things.Kinds
    textures: textures.Kinds


def make_world(seed: int = 0) -> World:
    """THINGS kinds of thing and TEXTURES kinds of texture, which follow from `seed`."""
    return World(things.make_kinds(THINGS, seed), textures.make_kinds(TEXTURES, seed + 1))


def draw(world: World, count: int, side: int, rng: torch.Generator) -> Scenes:
    """`count` scenes of `side` x `side` pixels, an even number."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    def chance(share: float) -> Tensor:
        return torch.rand(count, generator=rng) < share

    kind = torch.randint(0, THINGS, (count,), generator=rng)
    shape = things.grow(world.things, kind, rng)
    pose = _pose(count, torch.exp(uniform(-0.8, 0.0, count)), rng)
    outline = _enlarged(things.distance(shape, pose, side // 2), side)
    light = uniform(0, 2 * pi, count)
    way = torch.stack([light.cos(), light.sin()], 1)

    fill_kind, fill, fill_seen = _surface(world, count, side, rng)
    ground_kind, ground, ground_seen = _surface(world, count, side, rng)
    scene, inks = colored(ground, rng)
    scene = scene * (1 + _slope(ground, way) * uniform(0, 1.2, count)[:, None, None]).clamp(0.3, 1.8)[:, None]

    others = (torch.rand(count, OTHERS, generator=rng) < torch.tensor([0.5, 0.5])).cumprod(1)
    for one in range(OTHERS):
        scene = _with_other(world, scene, others[:, one], rng)

    rough = uniform(0.04, 0.35, count)[:, None, None] * pose.size[:, None, None]
    depth = (-outline / rough).clamp(0, 1)
    height = (1 - (1 - depth) ** 2).clamp(min=0).sqrt()
    relief = height * rough * side * 0.5 + fill * uniform(0, 1.5, count)[:, None, None]
    lit = (1 + _slope(relief, way, 0.35) * uniform(0.0, 1.4, count)[:, None, None]).clamp(0.25, 2.0)
    gloss = (_slope(relief, way, 0.5) - 0.35).clamp(min=0) * uniform(-0.5, 0.9, count).clamp(min=0)[:, None, None]
    skin, _ = colored(fill, rng, apart=inks)
    kernel = chance(0.35)
    skin = _with_kernel(world, skin, kernel, pose, rng)
    skin = skin * lit[:, None] + gloss[:, None]
    edge = torch.where(chance(0.15), uniform(2.0, 6.0, count), torch.full((count,), 0.7))[:, None, None]
    cover = torch.sigmoid(-outline * side / (2 * edge))
    line = torch.exp(-((outline * side / 2 / uniform(0.7, 2.0, count)[:, None, None]) ** 2)) * chance(0.15)[:, None, None]

    cast = int(torch.randint(1, max(2, side // 10), (1,), generator=rng))
    shadow = torch.zeros_like(cover)
    for quarter, (dy, dx) in enumerate(((cast, cast), (cast, -cast), (-cast, cast), (-cast, -cast))):
        mine = ((way[:, 1] > 0).long() * 2 + (way[:, 0] > 0).long()) == quarter
        shadow[mine] = torch.roll(cover[mine], (dy, dx), (1, 2))
    scene = scene * (1 - shadow * (uniform(-0.5, 0.6, count).clamp(min=0))[:, None, None])[:, None]
    over = scene + (skin - scene) * cover[:, None]
    glow = (
        scene
        + (height * uniform(0.2, 0.7, count)[:, None, None] * torch.where(chance(0.7), 1.0, -1.0)[:, None, None])[:, None]
    )
    scene = torch.where(chance(0.12)[:, None, None, None], glow, over)
    scene = scene * (1 - 0.8 * line[:, None])
    axis = (torch.arange(side) + 0.5) * (2 / side) - 1
    fall = axis * way[:, 0, None, None] + axis[:, None] * way[:, 1, None, None]
    scene = scene * (1 - fall * uniform(0, 0.35, count)[:, None, None])[:, None]
    images = (scene.clamp(0, 1) * 255 + 0.5).to(torch.uint8)

    told = torch.stack(
        [*pose.place.T, pose.size.log(), pose.turn.cos(), pose.turn.sin(), pose.squeeze.log(), *(0.5 * way.T)], 1
    )
    hidden = torch.tensor(PLAIN)
    mask = F.adaptive_avg_pool2d(cover[:, None], MASK)[:, 0]
    answers = Answers(
        kind,
        torch.where(fill_seen & (mask.mean((1, 2)) > BROAD), fill_kind, hidden),
        torch.where(ground_seen, ground_kind, hidden),
        others.sum(1),
        shape.present,
        world.things.exists[kind],
        told,
        mask,
        marked(things.placed(shape.end, pose), shape.free),
        shape.free.sum(1),
        kernel.long(),
    )
    return Scenes(images, answers)


def marked(points: Tensor, there: Tensor) -> Tensor:
    """(B, MASK, MASK): 1 at those of `points` (B, L, 2) that are `there` (B, L), half as much one cell beside."""
    axis = (torch.arange(MASK) + 0.5) * (2 / MASK) - 1
    x, y = points[..., 0, None, None], points[..., 1, None, None]
    far = (axis - x) ** 2 + (axis[:, None] - y) ** 2
    return (torch.exp2(-far * (MASK / 2) ** 2) * there[..., None, None]).amax(1)


def _pose(count: int, size: Tensor, rng: torch.Generator) -> things.Pose:
    """Mostly upright, mostly within the image."""
    free = torch.rand(count, generator=rng) < 0.3
    turn = torch.where(free, 2 * pi * torch.rand(count, generator=rng) - pi, 0.22 * torch.randn(count, generator=rng))
    place = (torch.rand(count, 2, generator=rng) * 2 - 1) * (1.05 - size[:, None]).clamp(min=0.12)
    return things.Pose(place, size, turn, torch.exp(0.15 * torch.randn(count, generator=rng)))


def _surface(world: World, count: int, side: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Kinds (B,), fields (B, S, S) about 0.5, and whether each can be seen (B,)."""
    kind = torch.randint(0, TEXTURES, (count,), generator=rng)
    zoom = torch.exp2(0.3 * torch.randn(count, generator=rng)) * (side / 64) ** 0.5
    field = textures.fields(world.textures, kind, side, rng, zoom=zoom, turn=0.2 * torch.randn(count, generator=rng))
    strength = torch.rand(count, generator=rng) * 1.4 - 0.4
    seen = strength > 0.12
    return kind, 0.5 + (field - 0.5) * strength.clamp(0.02, 1)[:, None, None], seen


def colored(field: Tensor, rng: torch.Generator, apart: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(B, 3, S, S) of two inks mixed by `field`, and their mean lightness (B,), which keeps away from `apart`."""
    count = len(field)
    light = torch.rand(count, generator=rng)
    if apart is not None:
        away = 0.12 + 0.6 * torch.rand(count, generator=rng)
        light = torch.where(torch.rand(count, generator=rng) < apart, apart - away, apart + away)
        light = torch.where(light < 0, apart + away, torch.where(light > 1, apart - away, light)).clamp(0, 1)
    dull = torch.where(torch.rand(count, generator=rng) < 0.35, 0.04, 1.0)[:, None, None]
    tint = torch.randn(count, 2, 3, generator=rng) * dull * 0.22
    tint = tint - 0.7 * tint.mean(2, keepdim=True)
    tint[:, 1] = tint[:, 0] + 0.6 * (tint[:, 1] - tint[:, 0])
    spread = 0.05 + 0.45 * torch.rand(count, generator=rng)
    spread = torch.where(torch.rand(count, generator=rng) < 0.5, spread, -spread)
    inks = light[:, None, None] + tint + torch.stack([-spread, spread], 1)[:, :, None]
    first, second = inks[:, 0, :, None, None], inks[:, 1, :, None, None]
    return first + (second - first) * field[:, None], light


def _slope(height: Tensor, way: Tensor, strength: float = 1.0) -> Tensor:
    """(B, S, S): how far a surface of `height`, in pixels, leans towards the light at `way` (B, 2); -1 to 1."""
    padded = F.pad(height[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    dx = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    dy = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    toward = -(dx * way[:, 0, None, None] + dy * way[:, 1, None, None]) * strength
    return toward * torch.rsqrt(1 + toward * toward)


def _with_other(world: World, scene: Tensor, there: Tensor, rng: torch.Generator) -> Tensor:
    """`scene` with one more thing in one colour, shaded a little, where `there` (B,) is 1."""
    rows = there.nonzero()[:, 0]
    count, side = len(rows), scene.shape[-1]
    if not count:
        return scene
    shape = things.grow(world.things, torch.randint(0, THINGS, (count,), generator=rng), rng)
    size = torch.exp(-2.0 + 1.1 * torch.rand(count, generator=rng))
    pose = _pose(count, size, rng)
    outline = _enlarged(things.distance(shape, pose, side // 2), side)
    color, _ = colored(0.5 + (-outline / size[:, None, None]).clamp(0, 1), rng)
    cover = torch.sigmoid(-outline * side / 1.4)[:, None]
    return scene.index_copy(0, rows, scene[rows] + (color - scene[rows]) * cover)


def _with_kernel(world: World, skin: Tensor, there: Tensor, pose: things.Pose, rng: torch.Generator) -> Tensor:
    """`skin` (B, 3, S, S) of things at `pose` with a smaller thing of another colour in the middle where `there` (B,)."""
    rows = there.nonzero()[:, 0]
    count, side = len(rows), skin.shape[-1]
    if not count:
        return skin
    shape = things.grow(world.things, torch.randint(0, THINGS, (count,), generator=rng), rng)
    size = pose.size[rows] * (0.3 + 0.35 * torch.rand(count, generator=rng))
    place = pose.place[rows] + 0.15 * pose.size[rows, None] * torch.randn(count, 2, generator=rng)
    turn = 2 * pi * torch.rand(count, generator=rng)
    within = things.Pose(place, size, turn, torch.exp(0.15 * torch.randn(count, generator=rng)))
    outline = _enlarged(things.distance(shape, within, side // 2), side)
    color, _ = colored(0.5 + (-outline / size[:, None, None]).clamp(0, 1), rng, apart=skin[rows].mean((1, 2, 3)))
    cover = torch.sigmoid(-outline * side / (0.7 + 4 * torch.rand(count, generator=rng) ** 2)[:, None, None])[:, None]
    return skin.index_copy(0, rows, skin[rows] + (color - skin[rows]) * cover)


def _enlarged(outline: Tensor, side: int) -> Tensor:
    """Distances on a grid half as fine, on one of `side`: they are smooth, so little is lost and much time won."""
    return F.interpolate(outline[:, None], size=(side, side), mode="bilinear", align_corners=False)[:, 0]
