"""Learn: teach a network what stands in drawn scenes, in two views of each, until the time is up.

Losses: which kind of thing, of filling and of ground (cross-entropy over many kinds), which limbs are there, how many end
and where, the silhouette, pose and light, colours; and that two views of one scene are the same one (NT-Xent, Chen et al.
2020). One view is the scene in other colours, the other is a piece of it besides. An average of the weights over the last
steps is what is kept (as in Tarvainen and Valpola 2017). Rounds follow each other (warm restarts, Loshchilov and Hutter
2017): in each the images grow and the rate is constant, then falls for the last third of its time. In the first the two
views of a scene never share their colours, so that form is what is learned; from the second on most do, so that colour,
by which cells are told apart, is not unlearned. For the same reason each view's mosaic of colours is asked for.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from core.backbones import bundled
from core.backbones.network import MEAN, STD
from core.pretraining.scenes import MASK, OTHERS, PLAIN, TEXTURES, THINGS, Answers, Scenes, World, draw, make_world
from core.pretraining.things import LIMBS

WIDTH = 512
"""Features of the network."""
LAYOUT = 4
"""Side of the mosaic of colours that the network must name for each view."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train."""

    seed: int = 0
    batch: int = 128
    """Views in a step, of half as many scenes."""
    lr: float = 1.5e-3
    weight_decay: float = 0.05
    sides: tuple[tuple[float, int], ...] = ((0.0, 48), (0.45, 64), (0.85, 96))
    """From which share of the first round on the images have which side: small ones are soon learned from, and many."""
    later_sides: tuple[tuple[float, int], ...] = ((0.0, 64), (0.75, 96))
    """The same for the rounds after the first: what is fine is only seen in large images."""
    warmup_steps: int = 500
    falling_share: float = 0.3
    average: float = 0.998
    contrast: float = 0.2
    """Weight of the loss between views."""
    same_colors: float = 0.7
    """Share of the scenes whose two views have the same colours, from the second round on."""
    uses: int = 1
    """Steps that each scene serves in."""


class Heads(nn.Module):
    """What is asked of the features (B, WIDTH)."""

    SIZES: ClassVar = {
        "thing": THINGS, "fill": TEXTURES, "ground": TEXTURES, "others": OTHERS + 1, "limbs": LIMBS, "pose": 8,
        "mask": MASK * MASK, "tips": MASK * MASK, "ends": LIMBS + 1, "colors": 6, "kernel": 2, "layout": 3 * LAYOUT * LAYOUT,
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, sum(self.SIZES.values()))
        self.project = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(inplace=True), nn.Linear(WIDTH, 128))

    def forward(self, features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Answers by name, each (B, its size), and embeddings (B, 128) of length 1."""
        parts = self.linear(features).float().split(list(self.SIZES.values()), 1)
        return dict(zip(self.SIZES, parts, strict=True)), F.normalize(self.project(features).float(), dim=1)


@dataclass
class Learning:
    """A training under way: what is saved and taken up again."""

    model: nn.Module
    heads: Heads
    averaged: nn.Module
    optimizer: torch.optim.Optimizer
    rng: torch.Generator
    step: int = 0
    images: int = 0
    seconds: float = 0.0

    @property
    def parts(self) -> dict[str, nn.Module]:
        """What has weights, by name."""
        return {"model": self.model, "heads": self.heads, "averaged": self.averaged}


def begin(settings: Settings, start: Path | None = None) -> Learning:
    """Fresh weights that follow from the seed; those of the network from `start`, a file that `pack` wrote, if given."""
    torch.manual_seed(settings.seed)
    model = bundled.make("thaw-small", 1, settings.sides[0][1])
    model.fc = nn.Identity()
    if start:
        model.load_state_dict(load_file(start))
    heads = Heads()
    averaged = bundled.make("thaw-small", 1, settings.sides[0][1])
    averaged.fc = nn.Identity()
    averaged.load_state_dict(model.state_dict())
    named = [*model.named_parameters(), *heads.named_parameters()]
    groups = [
        {"params": [p for _, p in named if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for _, p in named if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.98), fused=True)
    for part in (model, averaged):
        part.to(memory_format=torch.channels_last)
    return Learning(model, heads, averaged.eval(), optimizer, torch.Generator().manual_seed(settings.seed + 1))


def resume(file: Path, settings: Settings) -> Learning:
    """The training that `save` wrote to `file`."""
    learning = begin(settings)
    saved = torch.load(file, weights_only=True)
    for name, part in learning.parts.items():
        part.load_state_dict(saved[name])
    learning.optimizer.load_state_dict(saved["optimizer"])
    learning.rng.set_state(saved["rng"])
    learning.step, learning.images, learning.seconds = saved["step"], saved["images"], saved["seconds"]
    return learning


def save(learning: Learning, file: Path, settings: Settings) -> None:
    """Everything that `resume` needs; the old file stays whole until the new one is."""
    saved = {name: part.state_dict() for name, part in learning.parts.items()}
    facts = {"step": learning.step, "images": learning.images, "seconds": learning.seconds, "settings": asdict(settings)}
    part = file.with_suffix(".part")
    torch.save({**saved, **facts, "optimizer": learning.optimizer.state_dict(), "rng": learning.rng.get_state()}, part)
    part.replace(file)


class Pool:
    """Scenes that are each used a few times, because drawing them costs as much as learning from them."""

    def __init__(self, world: World, settings: Settings, rng: torch.Generator, side: int) -> None:
        self._world, self._rng, self._side = world, rng, side
        self._chunk = max(2, settings.batch // 2 // settings.uses)
        self._held: list[Scenes] = []
        self._uses = settings.uses

    def take(self) -> Scenes:
        """Scenes for one step: one fresh chunk and the chunks of the steps before, the oldest of which leaves."""
        self._held.append(draw(self._world, self._chunk, self._side, self._rng))
        while len(self._held) < self._uses:
            self._held.append(draw(self._world, self._chunk, self._side, self._rng))
        self._held = self._held[-self._uses :]
        images = torch.cat([one.images for one in self._held])
        return Scenes(images, Answers(*(torch.cat(parts) for parts in zip(*(o.answers for o in self._held), strict=True))))


def recolored(images: Tensor, rng: torch.Generator) -> Tensor:
    """(B, 3, S, S) in 0 to 1, in other light and colours, blurred and noisy now and then, as cameras would have it."""
    count = len(images)

    def normal(spread: float, *shape: int) -> Tensor:
        return spread * torch.randn(*shape, generator=rng)

    def chance(share: float) -> Tensor:
        return (torch.rand(count, generator=rng) < share)[:, None, None, None]

    grey = images.mean(1, keepdim=True)
    images = torch.where(chance(0.12), grey.expand_as(images), images)
    images = images * torch.exp(normal(0.08, count, 3, 1, 1))
    middle = images.mean((1, 2, 3), keepdim=True)
    images = middle + (images - middle) * torch.exp(normal(0.3, count, 1, 1, 1)) + normal(0.08, count, 1, 1, 1)
    images = torch.where(chance(0.04), 1 - images, images)
    small = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear", align_corners=False)
    images = torch.where(chance(0.25), images + (small - images) * torch.rand(count, 1, 1, 1, generator=rng), images)
    coarse = F.adaptive_avg_pool2d(images, int(torch.randint(8, 21, (1,), generator=rng)))
    coarse = F.interpolate(coarse, size=images.shape[-2:], mode="bilinear", align_corners=False)
    images = torch.where(chance(0.12), coarse, images)
    noise = 0.06 * torch.rand(count, 1, 1, 1, generator=rng) * chance(0.5)
    return (images + noise * torch.randn(images.shape, generator=rng)).clamp(0, 1)


def cropped(images: Tensor, rng: torch.Generator) -> Tensor:
    """A piece of each image, 35 % to 100 % of its area and up to a quarter wider or higher, on the same grid."""
    count = len(images)
    area = (0.35 + 0.65 * torch.rand(count, generator=rng)).sqrt()
    aspect = torch.exp(0.25 * (torch.rand(count, generator=rng) * 2 - 1)).sqrt()
    w, h = (area * aspect).clamp(max=1), (area / aspect).clamp(max=1)
    x, y = (torch.rand(2, count, generator=rng) * 2 - 1) * torch.stack([1 - w, 1 - h])
    zero = torch.zeros(count)
    theta = torch.stack([torch.stack([w, zero, x], 1), torch.stack([zero, h, y], 1)], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def losses(answers: Answers, told: dict[str, Tensor], images: Tensor, whole: Tensor) -> dict[str, Tensor]:
    """Each loss by name. `whole` (B,) bool: views that show the whole scene, where places and sizes are right.

    `images` (B, 3, S, S): the views, whose mean colours on the thing and beside it are asked for.
    """
    out = {
        name: F.cross_entropy(told[name], getattr(answers, name), ignore_index=PLAIN)
        for name in ("thing", "fill", "ground", "others", "ends", "kernel")
    }
    limbs = F.binary_cross_entropy_with_logits(told["limbs"], answers.limbs.float(), reduction="none")
    out["limbs"] = limbs[answers.plan].mean()
    mask = answers.mask[whole]
    for name, truth in (("mask", mask), ("tips", answers.tips[whole])):
        out[name] = F.binary_cross_entropy_with_logits(told[name][whole].reshape(-1, MASK, MASK), truth)
    out["pose"] = F.smooth_l1_loss(told["pose"][whole], answers.pose[whole], beta=0.1)
    small = F.adaptive_avg_pool2d(images[whole], MASK)
    inside = (small * mask[:, None]).sum((2, 3)) / mask.sum((1, 2)).clamp(min=0.5)[:, None]
    beside = (small * (1 - mask[:, None])).sum((2, 3)) / (1 - mask).sum((1, 2)).clamp(min=0.5)[:, None]
    out["colors"] = F.smooth_l1_loss(told["colors"][whole], torch.cat([inside, beside], 1), beta=0.05)
    out["layout"] = F.smooth_l1_loss(told["layout"], F.adaptive_avg_pool2d(images, LAYOUT).flatten(1), beta=0.05)
    return out


WEIGHTS = {
    "thing": 1.0,
    "fill": 1.0,
    "ground": 0.4,
    "others": 0.1,
    "limbs": 0.5,
    "mask": 1.0,
    "tips": 2.0,
    "ends": 0.3,
    "pose": 1.0,
    "colors": 1.0,
    "kernel": 0.3,
    "layout": 3.0,
}


def contrast(embeddings: Tensor, temperature: float = 0.2) -> Tensor:
    """NT-Xent of (2N, D) embeddings of length 1, of which i and i + N belong together."""
    likeness = embeddings @ embeddings.T / temperature
    likeness.fill_diagonal_(-1e4)
    half = len(embeddings) // 2
    partner = (torch.arange(2 * half) + half) % (2 * half)
    return F.cross_entropy(likeness, partner)


def rate(share: float, step: int, settings: Settings) -> float:
    """Of the full rate, after `share` of a round and `step` steps."""
    left = min(1.0, max(0.0, (1 - share) / settings.falling_share))
    return min(1.0, (step + 1) / settings.warmup_steps) * math.sin(left * math.pi / 2) ** 2


def views_of(images: Tensor, same_colors: float, rng: torch.Generator) -> Tensor:
    """(2B, 3, S, S): each of `images` (B, 3, S, S) whole and a piece of it, recoloured alike in a share of them."""
    whole = recolored(images, rng)
    alike = (torch.rand(len(images), generator=rng) < same_colors)[:, None, None, None]
    pieces = cropped(torch.where(alike, whole, images), rng)
    return torch.cat([whole, torch.where(alike, pieces, recolored(pieces, rng))])


def step(
    learning: Learning,
    scenes: Scenes,
    settings: Settings,
    factor: float,
    half: torch.dtype | None,
    same_colors: float = 0.0,
) -> dict[str, float]:
    """One step of the optimizer; the losses by name, and how often the kind of thing was right."""
    images = scenes.images.float() / 255
    views = views_of(images, same_colors, learning.rng)
    answers = Answers(*(torch.cat([part, part]) for part in scenes.answers))
    whole = torch.arange(len(views)) < len(images)
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    batch = ((views - mean) / std).contiguous(memory_format=torch.channels_last)
    for group in learning.optimizer.param_groups:
        group["lr"] = settings.lr * factor
    with torch.autocast("cpu", dtype=half, enabled=half is not None):
        features = learning.model(batch)
    told, embeddings = learning.heads(features.float())
    parts = losses(answers, told, views, whole)
    loss = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
    parts["contrast"] = contrast(embeddings)
    loss = loss + settings.contrast * parts["contrast"]
    learning.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_([*learning.model.parameters(), *learning.heads.parameters()], 5.0)
    learning.optimizer.step()
    _average(learning, settings)
    learning.step += 1
    learning.images += len(views)
    right = (told["thing"].argmax(1) == answers.thing).float().mean()
    return {**{name: float(part.detach()) for name, part in parts.items()}, "right": float(right)}


@torch.no_grad()
def _average(learning: Learning, settings: Settings) -> None:
    keep = min(settings.average, (1 + learning.step) / (10 + learning.step))
    kept, new = learning.averaged.state_dict(), learning.model.state_dict()
    for name, tensor in kept.items():
        if tensor.is_floating_point():
            tensor.lerp_(new[name], 1 - keep)
        else:
            tensor.copy_(new[name])


def placed(seconds: float, minutes: Sequence[float]) -> tuple[int, float]:
    """Which of the rounds of so many `minutes` is under way, from 0, and its share that is over; 1 where all are."""
    for number, length in enumerate(minutes):
        if seconds < 60 * length:
            return number, seconds / (60 * length)
        seconds -= 60 * length
    return len(minutes) - 1, 1.0


def run(learning: Learning, settings: Settings, *, minutes: Sequence[float], file: Path, half: torch.dtype | None) -> None:
    """Train until rounds of so many `minutes` are over, counted over all parts; print and save now and then."""
    world = make_world(settings.seed)
    pool, side = None, 0
    shown: list[dict[str, float]] = []
    at, saved, before = time.monotonic(), time.monotonic(), learning.seconds
    learning.model.train()
    while (now := placed(learning.seconds, minutes))[1] < 1:
        number, share = now
        sides = settings.later_sides if number else settings.sides
        wanted = max(at_share for at_share in sides if at_share[0] <= share)[1]
        if pool is None or side != wanted:
            side, pool = wanted, Pool(world, settings, learning.rng, wanted)
        same = settings.same_colors if number else 0.0
        shown.append(step(learning, pool.take(), settings, rate(share, learning.step, settings), half, same))
        learning.seconds = before + time.monotonic() - at
        if learning.step % 200 == 0:
            means = {name: sum(one[name] for one in shown) / len(shown) for name in shown[0]}
            told = " ".join(f"{name} {value:.3f}" for name, value in means.items())
            print(f"{learning.seconds / 60:.1f} min, {learning.images:,} views: {told}", flush=True)
            shown.clear()
        if time.monotonic() - saved > 120:
            save(learning, file, settings)
            saved = time.monotonic()
    save(learning, file, settings)
