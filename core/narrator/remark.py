"""Remark: one thing to say about a run or a recipe, and what a button under it does."""

from dataclasses import dataclass
from typing import Any, Literal

from core.recipe import BlockRule
from core.words import Value

Severity = Literal["good", "note", "warning"]


@dataclass(frozen=True, slots=True)
class Action:
    """What a button does."""

    kind: Literal["amend", "stop", "again"]
    """amend: change the run that is going; stop: stop it and keep the best; again: a new draft with changed fields."""
    lr: float | None = None
    """amend: the base rate from now on."""
    rules: tuple[BlockRule, ...] | None = None
    """amend: all that hold from now on."""
    changes: tuple[tuple[str, Any], ...] = ()
    """again: fields of the Recipe. A `strategy` wants `apply_strategy`, for it writes the rules."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say: `narrator.<code>.says`, and `narrator.<code>.action` on the button where there is an action."""

    code: str
    values: dict[str, Value]
    """For both. Figures are text already, but for `n`."""
    severity: Severity
    action: Action | None = None


def nats(value: float) -> str:
    """A loss as text: two decimals, or two digits where it is small."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def percent(share: float, digits: int = 1) -> str:
    """0.9731 as 97.3 %."""
    return f"{100 * share:.{digits}f} %"
