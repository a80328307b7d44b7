"""Lessons: pictures of every sort that are drawn here, what is asked of them, and how wrong an answer is.

Scenes, signs on paper, stained cells, and things with marks on them. Legend: B pictures, V views, S side in pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.pretraining import cells, glyphs, marks, scenes
from core.pretraining.scenes import MASK, PLAIN
from core.pretraining.things import LIMBS

WIDTH = 512
"""Features of the network."""
LAYOUT = 4
"""Side of the mosaic of colours that the network must name for each view."""


@dataclass(frozen=True, slots=True)
class World:
    """The kinds that all pictures of one training are made of."""

    scenes: scenes.World
    glyphs: glyphs.Kinds
    cells: cells.Kinds
    marks: marks.Kinds


def make_world(seed: int = 0) -> World:
    """The kinds that follow from `seed`."""
    return World(
        scenes.make_world(seed),
        glyphs.make_kinds(glyphs.GLYPHS, seed + 2),
        cells.make_kinds(cells.CELLS, seed + 3),
        marks.make_kinds(seed + 4),
    )


class Lesson(NamedTuple):
    """Pictures of each sort, of one size."""

    scenes: scenes.Scenes
    sheets: glyphs.Sheets
    smears: cells.Smears
    marked: marks.Marked

    @property
    def images(self) -> Tensor:
        """(B, 3, S, S) uint8, of each sort in turn."""
        return torch.cat(self._images)

    @property
    def sorts(self) -> Tensor:
        """(B,) the place of each picture's sort in a lesson."""
        return torch.cat([torch.full((len(images),), place) for place, images in enumerate(self._images)])

    @property
    def _images(self) -> tuple[Tensor, ...]:
        return tuple(part.images for part in self)


SHARES = (0.3125, 0.21875, 0.21875, 0.25)
"""Of each sort in a lesson."""
STAINED = 2
"""Place of the sort that is told apart by its colours."""


class Pool:
    """Pictures that are each used a few times, because drawing them costs as much as learning from them."""

    def __init__(self, world: World, count: int, side: int, rng: torch.Generator, *, uses: int) -> None:
        """Of lessons of `count` pictures."""
        self._uses = uses
        many = [max(2, round(count * share) // uses) for share in SHARES]
        self._makes: list[Callable[[], Any]] = [
            lambda: scenes.draw(world.scenes, many[0], side, rng),
            lambda: glyphs.draw(world.glyphs, many[1], side, rng),
            lambda: cells.draw(world.cells, many[2], side, rng),
            lambda: marks.draw(world.marks, world.scenes.textures, many[3], side, rng),
        ]
        self._held: list[list[Any]] = [[make() for _ in range(uses - 1)] for make in self._makes]

    def take(self) -> Lesson:
        """One step's: some that are new, and those of the steps before, the oldest of which leave."""
        for make, held in zip(self._makes, self._held, strict=True):
            held.append(make())
            del held[: -self._uses]
        return Lesson(*(_joined(held) for held in self._held))


def _joined(parts: list[Any]) -> Any:
    """One named tuple of tensors of several."""
    both = zip(*parts, strict=True)
    joined = (torch.cat(field) if isinstance(field[0], Tensor) else _joined(list(field)) for field in both)
    return type(parts[0])(*joined)


class Heads(nn.Module):
    """What is asked of the features (V, WIDTH)."""

    SIZES: ClassVar = {
        "thing": scenes.THINGS, "fill": scenes.TEXTURES, "ground": scenes.TEXTURES, "others": scenes.OTHERS + 1,
        "limbs": LIMBS, "pose": 8, "mask": MASK * MASK, "tips": MASK * MASK, "ends": LIMBS + 1, "colors": 6, "kernel": 2,
        "layout": 3 * LAYOUT * LAYOUT, "glyph": glyphs.GLYPHS, "cell": cells.CELLS, "lobes": cells.LOBES + 1,
        "nucleus": MASK * MASK, "stain": 3, "traits": 4, "form": marks.FORMS, "mark": marks.MARKS + 1, "spoilt": MASK * MASK,
        "ink": 3, "share": 1,
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, sum(self.SIZES.values()))
        self.project = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(inplace=True), nn.Linear(WIDTH, 128))

    def forward(self, features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Answers by name, each (V, its size), and embeddings (V, 128) of length 1."""
        parts = self.linear(features).float().split(list(self.SIZES.values()), 1)
        return dict(zip(self.SIZES, parts, strict=True)), F.normalize(self.project(features).float(), dim=1)


WEIGHTS = {
    "thing": 1.0, "fill": 0.7, "ground": 1.0, "others": 0.1, "limbs": 0.5, "ends": 0.3, "pose": 1.0, "kernel": 0.3,
    "layout": 3.0,
    "mask": 1.0, "tips": 2.0, "colors": 1.0,
    "glyph": 1.0, "glyph mask": 0.5, "glyph tips": 1.0,
    "cell": 1.0, "lobes": 0.3, "cell mask": 0.5, "nucleus": 0.5, "cell colors": 1.0, "stain": 1.0, "traits": 0.5,
    "form": 0.7, "mark": 1.0, "marked mask": 0.5, "marked colors": 0.5, "spoilt": 1.0, "ink": 1.0, "share": 1.0,
}  # fmt: skip
"""Of each loss in their sum."""


def losses(lesson: Lesson, told: dict[str, Tensor], views: Tensor, whole: Tensor) -> dict[str, Tensor]:
    """Each loss by name, as in WEIGHTS, of two views of each picture of a lesson.

    `views` (V, 3, S, S) and `told` (V, ...) hold the first view of each and then the second; `whole` (V,) bool: views that
    show the whole picture, where places and sizes are right.
    """
    sorts = lesson.sorts.repeat(2)
    out = {"layout": F.smooth_l1_loss(told["layout"], F.adaptive_avg_pool2d(views, LAYOUT).flatten(1), beta=0.05)}
    asks: tuple[Callable[[Any, dict[str, Tensor], Tensor, Tensor], dict[str, Tensor]], ...]
    asks = (_of_scenes, _of_sheets, _of_smears, _of_marked)
    for place, (part, ask) in enumerate(zip(lesson, asks, strict=True)):
        rows = sorts == place
        out |= ask(_joined([part, part]), {name: said[rows] for name, said in told.items()}, views[rows], whole[rows])
    return out


def _of_scenes(part: scenes.Scenes, told: dict[str, Tensor], views: Tensor, whole: Tensor) -> dict[str, Tensor]:
    answers = part.answers
    out = {
        name: _named(told[name], getattr(answers, name)) for name in ("thing", "fill", "ground", "others", "ends", "kernel")
    }
    limbs = F.binary_cross_entropy_with_logits(told["limbs"], answers.limbs.float(), reduction="none")
    out["limbs"] = limbs[answers.plan].mean()
    out["mask"] = _covered(told["mask"], answers.mask, whole)
    out["tips"] = _covered(told["tips"], answers.tips, whole)
    out["pose"] = F.smooth_l1_loss(told["pose"][whole], answers.pose[whole], beta=0.1)
    out["colors"] = _colored(told["colors"], views, answers.mask, whole)
    return out


def _of_sheets(part: glyphs.Sheets, told: dict[str, Tensor], views: Tensor, whole: Tensor) -> dict[str, Tensor]:
    return {
        "glyph": F.cross_entropy(told["glyph"], part.kind),
        "glyph mask": _covered(told["mask"], part.mask, whole),
        "glyph tips": _covered(told["tips"], part.tips, whole),
    }


def _of_smears(part: cells.Smears, told: dict[str, Tensor], views: Tensor, whole: Tensor) -> dict[str, Tensor]:
    return {
        "cell": F.cross_entropy(told["cell"], part.kind),
        "lobes": F.cross_entropy(told["lobes"], part.lobes),
        "cell mask": _covered(told["mask"], part.mask, whole),
        "nucleus": _covered(told["nucleus"], part.nucleus, whole),
        "cell colors": _colored(told["colors"], views, part.mask, whole),
        "stain": _stained(told["stain"], views, part.nucleus, whole),
        "traits": F.smooth_l1_loss(told["traits"][whole], part.traits[whole], beta=0.1),
    }


def _of_marked(part: marks.Marked, told: dict[str, Tensor], views: Tensor, whole: Tensor) -> dict[str, Tensor]:
    return {
        "form": F.cross_entropy(told["form"], part.form),
        "mark": F.cross_entropy(told["mark"][whole], part.mark[whole]),
        "marked mask": _covered(told["mask"], part.mask, whole),
        "marked colors": _colored(told["colors"], views, part.mask, whole),
        "spoilt": _covered(told["spoilt"], part.spoilt, whole),
        "ink": _stained(told["ink"], views, part.spoilt, whole),
        "share": F.smooth_l1_loss(told["share"][whole], part.share[whole], beta=0.1),
    }


def _named(said: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of those that can be told; 0 where there is none in the lesson."""
    summed = F.cross_entropy(said, truth, ignore_index=PLAIN, reduction="sum")
    return summed / (truth != PLAIN).sum().clamp(min=1)


def _covered(said: Tensor, truth: Tensor, whole: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(said[whole].reshape(-1, MASK, MASK), truth[whole])


def _colored(said: Tensor, views: Tensor, mask: Tensor, whole: Tensor) -> Tensor:
    """How far the mean colours on the thing and beside it, as they are in the views, are from what is said."""
    small = F.adaptive_avg_pool2d(views[whole], MASK)
    inside, beside = _mean_color(small, mask[whole]), _mean_color(small, 1 - mask[whole])
    return F.smooth_l1_loss(said[whole], torch.cat([inside, beside], 1), beta=0.05)


def _stained(said: Tensor, views: Tensor, nucleus: Tensor, whole: Tensor) -> Tensor:
    """The same for the colour of a nucleus or of marks, where there are some to be seen."""
    seen = whole & (nucleus.sum((1, 2)) > 2)
    if not bool(seen.any()):
        return said.sum() * 0
    truth = _mean_color(F.adaptive_avg_pool2d(views[seen], MASK), nucleus[seen])
    return F.smooth_l1_loss(said[seen], truth, beta=0.05)


def _mean_color(small: Tensor, mask: Tensor) -> Tensor:
    """(V, 3) of `small` (V, 3, MASK, MASK) where `mask` (V, MASK, MASK) is."""
    return (small * mask[:, None]).sum((2, 3)) / mask.sum((1, 2)).clamp(min=0.5)[:, None]
