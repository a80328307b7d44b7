"""Run: one run as it stands, the states it can be in and which may follow which. Knows no database.

A run id is a ULID made here; everything that turns an id into a path goes through `checked_id`.
"""

import re
import secrets
import time
from dataclasses import dataclass
from typing import Final, Literal

from core.errors import StoreError
from core.recipe import Recipe
from core.words import Value

State = Literal["queued", "running", "paused", "interrupted", "stopped", "finished", "failed", "discarded"]
STATES: Final[tuple[State, ...]] = (
    "queued",
    "running",
    "paused",
    "interrupted",
    "stopped",
    "finished",
    "failed",
    "discarded",
)
_WAITING: Final = frozenset[State]({"paused", "interrupted", "stopped", "failed"})
BEFORE: Final[dict[State, frozenset[State]]] = {
    "queued": _WAITING,
    "running": frozenset({"queued"}),
    "paused": frozenset({"queued", "running"}),
    "interrupted": frozenset({"queued", "running"}),
    "stopped": frozenset({"running"}),
    "finished": frozenset({"running"}),
    "failed": frozenset({"queued", "running", "interrupted"}),
    "discarded": _WAITING | {"queued", "running"},
}
"""For each state the states from which it can be reached: the one table of what may happen to a run."""
RESUMABLE: Final = BEFORE["queued"]
ACTIVE: Final = frozenset[State]({"queued", "running"})


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it stood when it was read."""

    id: str
    name: str
    recipe: Recipe
    state: State
    created: str
    """ISO 8601, UTC, as all times here."""
    started: str | None
    """When its first attempt began."""
    ended: str | None
    """When its last attempt ended; None while it waits or runs."""
    seconds: float
    """Of work so far, pauses left out."""
    error: tuple[str, dict[str, Value]] | None
    """Code and values of a failure's two sentences."""
    deleted: bool
    """It lies in the bin."""
    boot: str
    """The process that last queued or ran it."""
    epoch: int
    """Whole epochs done."""
    step: int
    best_epoch: int | None
    best_val_accuracy: float | None
    """Validation accuracy of the best epoch by the recipe's metric."""
    test_accuracy: float | None
    """On the sealed test split; None if there is none or it was not reached."""
    owner: str = ""
    """Id of the person who made it; '' where there are no accounts."""


def new_id(now_ms: int | None = None) -> str:
    """A ULID: 48 bits of time and 80 of chance in Crockford's base 32. Made here, never taken from a person or a file."""
    number = ((int(time.time() * 1000) if now_ms is None else now_ms) & (2**48 - 1)) << 80 | secrets.randbits(80)
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> 5 * place & 31] for place in reversed(range(26)))


def checked_id(text: str) -> str:
    """`text` if it has the form of a run id, so that it can be part of a path. Raises StoreError (`run.unknown`)."""
    if not re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", text):
        raise StoreError("run.unknown", run=text[:60])
    return text
