"""Runs as the pages list them: which there are, which have a model, and what can be done with one."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from core.errors import StoreError
from core.events import Pause
from core.run import ACTIVE, Run, State
from ui import services

if TYPE_CHECKING:
    from core.history import RunState

WITH_MODEL = frozenset[State]({"finished", "stopped"})
"""States of runs that ended with the best weights restored and tested; but see `has_model`."""
MOST_OFFERED = 50
"""Runs that a box offers; older ones are opened from the list of all."""


def runs(first: int = 0, many: int | None = None) -> list[Run]:
    """Runs that are not in the bin, newest first; at most `many`, after leaving out `first`."""
    return services.runs(first=first, many=many)


def count() -> int:
    """How many there are."""
    return services.count_runs()


def binned() -> list[Run]:
    """The runs in the bin."""
    return services.runs(deleted=True)


def empty_bin() -> None:
    """Delete the runs in the bin and their files for good."""
    services.empty_bin()


def has_model(run: Run) -> bool:
    """It ended with a model to look at; one that was stopped before its first step has none."""
    return run.state == "finished" or (run.state == "stopped" and run.best_epoch is not None)


def with_model(also: str | None = None) -> list[Run]:
    """The newest runs that have a tested model, newest first, and the run `also` if it has one."""
    asked = find(also)
    more = [asked] if asked is not None and not asked.deleted else []
    return _newest_first(list(filter(has_model, [*services.runs(states=WITH_MODEL, many=MOST_OFFERED), *more])))


def to_try(also: str | None = None) -> list[Run]:
    """The same, and the newest of those of which a moment was kept."""
    kept = sorted({file.parent.name for file in services.workspace().runs.glob("*/kept-*.safetensors")}, reverse=True)
    there = (run for run in map(find, kept) if run is not None and not run.deleted)
    return _newest_first([*with_model(also), *islice(there, MOST_OFFERED)])


def _newest_first(runs: Sequence[Run]) -> list[Run]:
    """Each once. Ids begin with their time."""
    by_id = {run.id: run for run in runs}
    return [by_id[one] for one in sorted(by_id, reverse=True)]


def find(run_id: str | None) -> Run | None:
    """The run of that id, in the bin or not; None if there is none."""
    try:
        return services.run(run_id) if run_id else None
    except StoreError:
        return None


def active() -> list[Run]:
    """The runs that wait or run."""
    return services.runs(states=ACTIVE)


def run_state(run_id: str) -> "RunState":
    """All that the run has said so far. Raises StoreError."""
    return services.run_state(run_id)


def resume(run_id: str) -> None:
    """Let a run go on from its last checkpoint. Raises StoreError (`run.not_resumable`, `run.no_checkpoint`)."""
    services.resume(run_id)


def pause(run_id: str) -> None:
    """Ask a run to save itself and wait. Raises StoreError."""
    services.send(run_id, Pause())


def rename(run_id: str, name: str) -> None:
    """Give a run another name. Raises StoreError (`run.name_empty`)."""
    services.rename(run_id, name)


def delete(run_id: str) -> None:
    """Put a run into the bin. Raises StoreError (`run.busy`)."""
    services.delete(run_id)


def restore(run_id: str) -> None:
    """Take a run out of the bin."""
    services.restore(run_id)


def can_resume(run: Run) -> bool:
    """It stopped on the way and can go on: not one that a person ended on purpose, nor one that failed before it learned."""
    return run.state in {"paused", "interrupted"} or (run.state == "failed" and run.step > 0)
