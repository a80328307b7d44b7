"""Table: what a run is in the table of runs, and what moves it from state to state, in a transaction of the caller's."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from core import durable
from core.errors import StoreError
from core.events import Ended, EpochDone, Event, Started, StepDone, Tested
from core.recipe import Recipe
from core.run import ACTIVE, BEFORE, Run, State

COLUMNS = (
    "id, name, recipe, state, boot, created, started, ended, deleted, seconds, epoch, step, best_epoch, best_val_accuracy, "
    "test_accuracy, error_code, error_values, owner"
)


def run_of(row: sqlite3.Row) -> Run:
    """The run of a row of `COLUMNS`. Raises StoreError (`store.damaged`)."""
    values: dict[str, Any] = dict(row)
    code, details = values.pop("error_code"), values.pop("error_values")
    try:
        values["recipe"] = _recipe(values["recipe"])
        error = None if code is None else (code, json.loads(details or "{}"))
    except ValueError as wrong:
        raise StoreError("store.damaged", path=str(values["id"])) from wrong
    values["deleted"] = values["deleted"] is not None
    return Run(**values, error=error)


@lru_cache(maxsize=64)
def _recipe(sealed: str) -> Recipe:
    """Of the same text the same object: pages ask for the same runs again and again."""
    return Recipe.model_validate_json(durable.unsealed(sealed.encode()))


def where(deleted: bool, states: Collection[State] | None, owner: str | None) -> tuple[str, tuple[str, ...]]:
    """A condition on rows of runs, and its values."""
    parts = ["deleted IS NOT NULL" if deleted else "deleted IS NULL"]
    values: list[str] = []
    if states is not None:
        parts.append(f"state IN ({', '.join('?' * len(states))})")
        values += sorted(states)
    if owner is not None:
        parts.append("owner = ?")
        values.append(owner)
    return " AND ".join(parts), tuple(values)


def move(db: sqlite3.Connection, run_id: str, new: State, sources: Collection[State], *, boot: str) -> bool:
    """A run that is in one of `sources` goes to `new`, for the process `boot`; False if it is in none of them."""
    before = {f"before{number}": state for number, state in enumerate(sorted(sources))}
    marks = ", ".join(f":{name}" for name in before)
    moved = db.execute(
        f"""UPDATE run SET state = :new,
            boot = CASE WHEN :active THEN :boot ELSE boot END,
            place = CASE WHEN :new = 'queued' THEN (SELECT max(place) + 1 FROM run) ELSE place END,
            turn = CASE WHEN :new = 'running' THEN (SELECT max(turn) + 1 FROM run) ELSE turn END,
            fixed = NULL,
            started = CASE WHEN :new = 'running' THEN coalesce(started, :now) ELSE started END,
            ended = CASE WHEN :active THEN NULL ELSE :now END,
            error_code = CASE WHEN :active THEN NULL ELSE error_code END,
            error_values = CASE WHEN :active THEN NULL ELSE error_values END
            WHERE id = :id AND (:new <> 'running' OR boot = :boot) AND state IN ({marks})""",  # noqa: S608
        {"new": new, "active": new in ACTIVE, "boot": boot, "now": now(), "id": run_id, **before},
    ).rowcount
    if moved and new not in ACTIVE:
        db.execute("DELETE FROM command WHERE run = ?", (run_id,))
    return bool(moved)


def summarise(db: sqlite3.Connection, run_id: str, events: Sequence[Event], states: Collection[State], *, boot: str) -> None:
    """Keep the row's summary in step with its events, so that a list of runs reads no history. An end also moves it.

    Raises StoreError (`run.not_active`) if it is in none of `states`.
    """
    changes: dict[str, object] = {}
    for event in events:
        if event.clock:
            changes["seconds"] = event.clock
        if isinstance(event, Started | StepDone):
            changes["step"] = event.step
        if isinstance(event, EpochDone):
            changes |= {"epoch": event.epoch, "step": event.step}
            if event.best:
                changes |= {"best_epoch": event.epoch, "best_val_accuracy": event.val_accuracy}
        elif isinstance(event, Tested) and event.split == "test":
            changes["test_accuracy"] = event.scores.accuracy
        elif isinstance(event, Ended):
            if not move(db, run_id, event.outcome, BEFORE[event.outcome] & set(states), boot=boot):
                raise StoreError("run.not_active", run=run_id)
            if event.code:
                changes |= {"error_code": event.code, "error_values": json.dumps(event.values)}
    if changes:
        assigned = ", ".join(f"{column} = :{column}" for column in changes)
        db.execute(f"UPDATE run SET {assigned} WHERE id = :id", {**changes, "id": run_id})  # noqa: S608


def now() -> str:
    """This moment as it is written in rows: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
