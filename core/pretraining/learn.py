"""Learn: teach a network what was drawn, in two views of each picture, until the time is up.

The losses are those of `lessons`, and that two views of one picture are the same one (NT-Xent, Chen et al. 2020). One view
is the picture in other colours, the other is a piece of it besides. An average of the weights over the last steps is what
is kept (as in Tarvainen and Valpola 2017). Rounds follow each other (warm restarts, Loshchilov and Hutter 2017): in each
the images grow and the rate is constant, then falls for the last third of its time. In the first the two views of a
picture never share their colours, so that form is what is learned; from the second on most do, so that colour is not
unlearned.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from core.backbones import bundled
from core.backbones.network import MEAN, STD
from core.pretraining.lessons import STAINED, WEIGHTS, Heads, Lesson, Pool, losses, make_world
from core.pretraining.views import views_of


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train."""

    seed: int = 0
    batch: int = 128
    """Views in a step, of half as many pictures."""
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
    """Share of the pictures whose two views have the same colours, from the second round on."""
    uses: int = 1
    """Steps that each picture serves in."""


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


def step(
    learning: Learning,
    lesson: Lesson,
    settings: Settings,
    factor: float,
    half: torch.dtype | None,
    same_colors: float = 0.0,
) -> dict[str, float]:
    """One step of the optimizer; the losses by name, and how often the kind of thing, sign, cell and mark was right."""
    sorts = lesson.sorts
    views = views_of(lesson.images.float() / 255, sorts == STAINED, same_colors, learning.rng)
    whole = torch.arange(len(views)) < len(sorts)
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    batch = ((views - mean) / std).contiguous(memory_format=torch.channels_last)
    for group in learning.optimizer.param_groups:
        group["lr"] = settings.lr * factor
    with torch.autocast("cpu", dtype=half, enabled=half is not None):
        features = learning.model(batch)
    told, embeddings = learning.heads(features.float())
    parts = losses(lesson, told, views, whole)
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
    asked = (
        ("thing", lesson.scenes.answers.thing),
        ("glyph", lesson.sheets.kind),
        ("cell", lesson.smears.kind),
        ("mark", lesson.marked.mark),
    )
    right = {
        f"{name} right": float((told[name][sorts.repeat(2) == place].argmax(1) == truth.repeat(2)).float().mean())
        for place, (name, truth) in enumerate(asked)
    }
    return {**{name: float(part.detach()) for name, part in parts.items()}, **right}


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
            side, pool = wanted, Pool(world, settings.batch // 2, wanted, learning.rng, uses=settings.uses)
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
