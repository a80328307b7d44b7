"""The learning rate as a pure function of the step, and the curves of it that a plan makes. No torch here."""

import math
from collections.abc import Sequence
from typing import Literal

from core.layers import LayerTree
from core.plan import plan
from core.recipe import Recipe

Schedule = Literal["cosine", "one-cycle", "step", "plateau", "constant"]
RISING, LOWEST, LAST = 0.3, 1 / 25, 1e-4
"""One-cycle: share of the run in which the rate rises, where it begins and where it ends (torch's own defaults)."""
POINTS = 240
"""Of a drawn curve."""


def lr_factor(
    step: int,
    *,
    steps_per_epoch: int,
    epochs: int,
    schedule: Schedule,
    warmup_epochs: float = 0.0,
    step_epochs: int = 5,
    step_factor: float = 0.1,
) -> float:
    """Multiplier of the base learning rate at `step` (0-based), in (0, 1].

    Warm-up over W = round(warmup_epochs * steps_per_epoch) steps (at most the whole run): (step + 1) / W, linear as in Goyal
    et al. 2017, section 2.2; its last step has the full rate. Then, with T steps in all:
    `cosine`: (1 + cos(pi * (step - W) / (T - W))) / 2, half a cosine that would reach zero at step T, one after the last
    (SGDR, Loshchilov & Hutter 2017, eq. 5, without restarts); `step`: step_factor ** floor(epoch / step_epochs), epochs
    counted from the first, warm-up included (He et al. 2016); `constant` and `plateau`: 1, of which the loop takes a part
    when the validation loss stands still. `one-cycle` has its own warm-up: half a cosine from 1/25 to 1 in the first three
    tenths of the run (or in W steps, if these are more), then half a cosine down to 1e-4 (Smith & Topin 2018).
    """
    total = steps_per_epoch * epochs
    warmup = min(round(warmup_epochs * steps_per_epoch), total)
    if schedule == "one-cycle":
        rise = min(max(warmup, round(RISING * total), 1), total)
        if step < rise:
            return LOWEST + (1 - LOWEST) * (1 - math.cos(math.pi * (step + 1) / rise)) / 2
        done = min((step - rise + 1) / max(total - rise, 1), 1.0)
        return LAST + (1 - LAST) * (1 + math.cos(math.pi * done)) / 2
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "cosine":
        done = min((step - warmup) / max(total - warmup, 1), 1.0)
        return (1 + math.cos(math.pi * done)) / 2
    if schedule == "step":
        return float(step_factor ** (step // steps_per_epoch // step_epochs))
    return 1.0


def curves(tree: LayerTree, recipe: Recipe, steps_per_epoch: int) -> tuple[list[float], dict[str, list[float | None]]]:
    """Places in epochs, and at each the rate of every parameter group by its name; None where the group does not learn.

    A plateau cannot be foreseen: its curve is that of a loss that goes on falling. Raises RecipeError as `plan` does.
    """
    total = steps_per_epoch * recipe.epochs
    steps: Sequence[int] = sorted({round(at * (total - 1) / (POINTS - 1)) for at in range(POINTS)})
    rates = [plan(tree, recipe.rules, epoch).rates() for epoch in range(1, recipe.epochs + 1)] if _varies(recipe) else []
    same = plan(tree, recipe.rules, 1).rates()
    names = list(dict.fromkeys(name for scales in ([same, *rates]) for name in scales))
    found: dict[str, list[float | None]] = {name: [] for name in names}
    for step in steps:
        factor = lr_factor(
            step,
            steps_per_epoch=steps_per_epoch,
            epochs=recipe.epochs,
            schedule=recipe.schedule,
            warmup_epochs=recipe.warmup_epochs,
            step_epochs=recipe.step_epochs,
            step_factor=recipe.step_factor,
        )
        scales = rates[step // steps_per_epoch] if rates else same
        for name in names:
            found[name].append(recipe.lr * scales[name] * factor if name in scales else None)
    return [step / steps_per_epoch for step in steps], found


def _varies(recipe: Recipe) -> bool:
    return any(1 < rule.since <= recipe.epochs for rule in recipe.rules)
