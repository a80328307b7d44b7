"""Narrator: what is happening in a run, in one sentence with its evidence and one thing that can be done about it.

Pure rules over a recipe and a `RunState`; knows no store, no clock, no tensors, and no words but their keys.
"""

from collections.abc import Callable
from typing import Final

from core.history import RunState
from core.narrator import curves, fit, instruments
from core.narrator.pitfalls import pitfalls
from core.narrator.remark import Action, Remark, Severity
from core.narrator.seen import Seen
from core.recipe import Recipe

__all__ = ["RULES", "Action", "Remark", "Severity", "narrate", "pitfalls", "remarks"]

RULES: Final[tuple[Callable[[Seen], Remark | None], ...]] = (
    curves.not_finite,
    instruments.exploding,
    curves.loss_high,
    curves.loss_rising,
    curves.stuck,
    fit.one_class,
    instruments.rushing,
    curves.loss_swings,
    fit.overfitting,
    fit.too_little,
    fit.overfitted,
    curves.underfitting,
    curves.rate_low,
    instruments.vanishing,
    curves.settled,
    curves.plateau,
    fit.overconfident,
    fit.best,
    fit.learning,
    curves.begun,
)
"""The most important first: what ruins the run, what wastes it, what could be better, what is well."""


def narrate(recipe: Recipe, now: RunState) -> Remark | None:
    """The most important thing to say about the run created with `recipe`; None before there is anything."""
    return next(iter(remarks(recipe, now)), None)


def remarks(recipe: Recipe, now: RunState) -> tuple[Remark, ...]:
    """All that apply, the most important first. Of remarks that would turn the rate both ways, only the first."""
    seen = Seen.of(recipe, now)
    said: list[Remark] = []
    for rule in RULES:
        remark = rule(seen)
        if remark and _turn(remark, seen) * next(filter(None, (_turn(one, seen) for one in said)), 0) >= 0:
            said.append(remark)
    return tuple(said)


def _turn(remark: Remark, seen: "Seen") -> int:
    """1 where the rate would be raised, -1 where lowered, 0 where left alone."""
    if remark.action is None:
        return 0
    lr = dict(remark.action.changes).get("lr", remark.action.lr)
    return 0 if lr is None else 1 if lr > seen.recipe.lr else -1
