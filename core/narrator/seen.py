"""Seen: a run as the rules look at it, and the remarks that change a rate. Knows no rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from statistics import median
from typing import Final

from core.events import EpochDone, Readings
from core.history import RunState
from core.narrator.remark import Action, Remark, Severity, nats
from core.recipe import BlockRule, Recipe
from core.words import Value

SHARPLY: Final = 0.1
"""Where it does harm: a power of ten is the usual grid on which rates are searched."""
GENTLY: Final = 1 / 3
"""Where it is only somewhat large: half of a power of ten."""
UP: Final = 3.0
"""Raising risks more than lowering, so the small step."""
SOLVED: Final = 0.1
"""Of chance: nothing is left to gain."""
LATE: Final = 0.6
"""Share of the run after which most of what will be learned is learned."""
SLUGGISH_RATIO: Final = 1e-3
"""Of update to weight in the median block: what is healthy (Karpathy, CS231n). Who learns nothing below it needs more."""
NO_BETTER: Final = 0.95
"""Of chance: nothing worth the name was learned."""
USUAL_RATE: Final = {"sgd": 1e-2, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}
"""By which a rate is judged where no instruments are read; SGD, whose steps are not normalised, takes ten times more."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as the rules look at it."""

    recipe: Recipe
    """With the rules and the rate that hold now."""
    now: RunState
    going: bool
    """It can still be amended or stopped."""
    classes: int
    chance: float
    """Nats: the loss of guessing."""
    fresh: tuple[EpochDone, ...]
    """Epochs since anything was changed."""
    own: tuple[EpochDone, ...]
    """Epochs since a person changed something; blocks that thaw on a timeline do not count."""
    readings: tuple[Readings, ...]
    """Since anything was changed."""

    @classmethod
    def of(cls, recipe: Recipe, now: RunState) -> "Seen":
        """`now`, of the run that was created with `recipe`."""
        edit = now.edits[-1].step if now.edits else -1
        person = max((edit.step for edit in now.edits if edit.cause == "person"), default=-1)
        classes = max(len(now.started.classes) if now.started else 0, 2)
        if now.edits:
            rules, lr = now.edits[-1].rules, now.edits[-1].lr
            strategy = recipe.strategy if rules == recipe.rules else "custom"
            recipe = recipe.model_copy(update={"rules": rules, "lr": lr, "strategy": strategy})
        return cls(
            recipe=recipe,
            now=now,
            going=now.state == "running" and now.stage in ("training", "validating"),
            classes=classes,
            chance=log(classes),
            fresh=tuple(epoch for epoch in now.epochs if epoch.step > edit),
            own=tuple(epoch for epoch in now.epochs if epoch.step > person),
            readings=tuple(readings for readings in now.readings if readings.step > edit),
        )

    @property
    def share(self) -> float:
        """Of the weights that learn now."""
        return self.now.trainable / self.now.started.parameters_total if self.now.started else 0.0

    @property
    def late(self) -> bool:
        """Most of the run is over."""
        return self.now.fraction >= LATE

    @property
    def annealed(self) -> float:
        """What the schedule has left of the base rate, in (0, 1]."""
        return 1.0 if self.now.lr is None else min(max(self.now.lr / self.recipe.lr, 1e-4), 1.0)

    def turned(self, code: str, values: dict[str, Value], factor: float, severity: Severity = "warning") -> Remark:
        """A remark whose action multiplies the base rate by `factor`."""
        lr = float(f"{min(self.recipe.lr * factor, 10.0):.2g}")
        action = Action("amend", lr=lr) if self.going else Action("again", changes=(("lr", lr),))
        return Remark(code, {**values, "rate": f"{lr:g}", "before": f"{self.recipe.lr:g}"}, severity, action)

    def scaled(self, code: str, path: str, values: dict[str, Value], factor: float) -> Remark:
        """A remark about one block whose action multiplies that block's own rate by `factor`."""
        scale = float(f"{min(scale_of(self.recipe.rules, path, self.now.epoch) * factor, 1000.0):.3g}")
        rules = self.recipe.with_rule(path, lr_scale=scale).rules
        changes = (("rules", rules), ("strategy", "custom"))
        action = Action("amend", rules=rules) if self.going else Action("again", changes=changes)
        return Remark(code, {**values, "block": path or self.recipe.backbone, "scale": f"{scale:g}"}, "warning", action)


def sluggish(seen: Seen) -> bool:
    """The steps are rather small: measured, or, where nothing is, going by what is usual."""
    ratios = ratios_of(seen.readings[-1]) if seen.readings else {}
    if ratios:
        return median(ratios.values()) / seen.annealed < SLUGGISH_RATIO
    return seen.recipe.lr < SHARPLY * USUAL_RATE[seen.recipe.optimizer]


def guess(seen: Seen) -> dict[str, Value]:
    """What guessing would cost."""
    return {"classes": seen.classes, "chance": nats(seen.chance)}


def val_losses(epochs: Sequence[EpochDone]) -> list[float]:
    """Of the epochs that have one."""
    return [epoch.val_loss for epoch in epochs if epoch.val_loss is not None]


def ratios_of(readings: Readings) -> dict[str, float]:
    """Update by weight of each block that learns. A frozen one has neither gradient nor update, and is left out."""
    return {
        path: (reading.update or 0.0) / reading.weight
        for path, reading in readings.blocks.items()
        if (reading.gradient or reading.update) and reading.weight
    }


def scale_of(rules: Sequence[BlockRule], path: str, epoch: int | None = None) -> float:
    """Multiplier of the rate of `path`: the nearest rule above or on it that sets one and holds in `epoch`."""
    above = [rule for rule in rules if rule.path in ("", path) or path.startswith(rule.path + ".")]
    said = [rule for rule in above if rule.lr_scale is not None and (epoch is None or rule.since <= max(epoch, 1))]
    nearest = max(said, key=lambda rule: len(rule.path), default=None)
    return 1.0 if nearest is None or nearest.lr_scale is None else nearest.lr_scale
