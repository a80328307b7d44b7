"""Runs for pages and routes: begin, steer, watch, name, delete and bring back."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import streamlit as st

from core.errors import StoreError
from core.events import Amend, Command, Pin, Pinned
from core.recipe import Recipe
from core.run import ACTIVE
from ui.services.house import access, check, keeps, opened
from ui.services.networks import tree

if TYPE_CHECKING:
    from collections.abc import Collection

    from core.history import Curve, RunState
    from core.run import Run, State


@dataclass(frozen=True, slots=True)
class Turn:
    """What a run in the queue waits for, as far as it is anybody's to know."""

    place: int
    """1 is next."""
    why: Literal["turn", "lost", "taken"]
    """As `core.engine.Wait.why`."""
    device: str
    who: str
    """The person or the run that trains there; '' if nobody does."""
    seconds: float | None
    """That this takes about, where it is known."""


def curve(run_id: str) -> "Curve":
    """The points of a run's curves, from the engine if it is running and from the store if not.

    Raises StoreError if there is no such run.
    """
    access().run(run_id)
    return opened().engine.curve(run_id)


def amend(run_id: str, wish: Amend) -> None:
    """Change a run at work: the next step obeys.

    Raises StoreError (`run.not_waiting`), RecipeError, and TrainingError if nothing would learn.
    """
    from core.errors import TrainingError
    from core.plan import plan

    run = access().run(run_id)
    if wish.rules is not None and not plan(tree(run.recipe), wish.rules).groups:
        raise TrainingError("training.nothing_learns", backbone=run.recipe.backbone)
    opened().engine.send(run_id, wish)


def readings(run_id: str, since: int) -> dict[str, Any]:
    """The newest reading of the instruments as plain data, if its step is after `since`; `done` once no more will come.

    Raises StoreError if there is no such run.
    """
    from core.readings import flags

    access().run(run_id)
    now = opened().engine.state(run_id)
    done = now.state not in ("queued", "running")
    last = now.readings[-1] if now.readings else None
    if last is None or last.step <= since:
        return {"done": done}
    return {
        "done": done,
        "step": last.step,
        "epoch": last.epoch,
        "blocks": {path: list(one) for path, one in last.blocks.items()},
        "flags": flags(last.blocks),
    }


def readings_url(run_id: str) -> str:
    """Where a browser asks for `readings`."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' if base else ''}{base}/api/runs/{quote(run_id, safe='')}/readings"


def run_folder(run_id: str) -> Path:
    """Where the files of a run lie. Raises StoreError if there is no such run."""
    access().run(run_id)
    return opened().store.folder(run_id)


def submit(recipe: Recipe) -> str:
    """Put a run into the queue; its id. Raises ThawError."""
    check(recipe)
    access().check_queue()
    access().check_disk()
    owner = access().owner()
    run_id = opened().engine.submit(recipe, owner=owner) if owner else opened().engine.submit(recipe)
    access().audit("run_made", run=run_id)
    return run_id


def resume(run_id: str) -> None:
    """Put a paused, interrupted, stopped or failed run back into the queue. Raises ThawError."""
    access().run(run_id)
    access().check_queue()
    access().check_disk()
    opened().engine.resume(run_id)
    access().audit("run_resumed", run=run_id)


def send(run_id: str, command: Command) -> None:
    """Tell a run something. Raises StoreError if there is no such run."""
    access().run(run_id)
    opened().engine.send(run_id, command)
    access().audit(f"run_{command.kind}", run=run_id)


def run(run_id: str) -> "Run":
    """One run as it stands. Raises StoreError (`run.unknown`)."""
    return access().run(run_id)


def runs(
    *, deleted: bool = False, states: "Collection[State] | None" = None, first: int = 0, many: int | None = None
) -> list["Run"]:
    """Runs of whoever asks, newest first; as `RunStore.runs`."""
    return access().runs(deleted=deleted, states=states, first=first, many=many)


def count_runs(*, deleted: bool = False, states: "Collection[State] | None" = None) -> int:
    """How many of them there are."""
    return access().count_runs(deleted=deleted, states=states)


def run_state(run_id: str) -> "RunState":
    """How far a run is and what it has reached. Raises StoreError (`run.unknown`)."""
    access().run(run_id)
    return opened().engine.state(run_id)


def turn(run_id: str) -> Turn:
    """What a run in the queue waits for. Raises StoreError if there is no such run."""
    access().run(run_id)
    wait = opened().engine.wait(run_id)
    seconds = opened().engine.state(wait.at_work).seconds_left if wait.at_work else None
    return Turn(wait.place or 1, wait.why, wait.device, _who(wait.at_work) if wait.at_work else "", seconds)


def _who(run_id: str) -> str:
    """Whose run that is, where it is somebody else's; else how it is called."""
    run = opened().store.run(run_id)
    if run.owner in ("", access().owner()):
        return run.name
    return next((person.name for person in access().accounts.people() if person.id == run.owner), "")


def left_behind() -> tuple[int, int]:
    """How many runs that the last server left go on here, and how many it takes a person to go on with."""
    engine = opened().engine
    resumed = sum(_state(run_id) in ACTIVE for run_id in engine.resumed)
    return resumed, sum(_state(run_id) == "failed" for run_id in engine.given_up)


def _state(run_id: str) -> "State | None":
    """None for a run that is in the bin, or somebody else's, or gone."""
    try:
        found = access().run(run_id)
    except StoreError:
        return None
    return None if found.deleted else found.state


def low_disk(coming_bytes: int) -> int | None:
    """Bytes that are free where that is too little for a checkpoint of that size; else None."""
    from core.room import low_disk

    return low_disk(opened().workspace, coming_bytes)


def active_runs() -> tuple["Run", ...]:
    """Runs that are at work or wait, the oldest first."""
    return tuple(reversed(runs(states=ACTIVE)))


def pin(run_id: str, name: str) -> None:
    """Keep the model of a run at work as it is now. Raises StoreError (`run.not_waiting`, `run.name_empty`), AccessError."""
    access().run(run_id)
    access().check_disk()
    name = " ".join(name.split())[:80]
    if not name:
        raise StoreError("run.name_empty")
    opened().engine.send(run_id, Pin(name=name))
    access().audit("run_pin", run=run_id)


def pins(run_id: str) -> tuple[Pinned, ...]:
    """The moments of a run that are kept, oldest first. Raises StoreError if there is no such run."""
    from core.pins import here

    return here(run_folder(run_id), opened().engine.state(run_id).pins)


def unpin(run_id: str, file: str) -> None:
    """Let a moment go for good. Raises StoreError (`run.no_pin`)."""
    from core.pins import let_go

    let_go(run_folder(run_id), file)
    access().audit("run_unpinned", run=run_id)


def rename(run_id: str, name: str) -> None:
    """Give a run another name. Raises StoreError (`run.name_empty`)."""
    access().run(run_id)
    opened().store.rename(run_id, name)


def delete(run_id: str) -> None:
    """Put a run into the bin. Raises StoreError (`run.busy`)."""
    access().run(run_id)
    opened().store.delete(run_id)
    access().audit("run_binned", run=run_id)


def restore(run_id: str) -> None:
    """Take a run out of the bin."""
    access().run(run_id)
    opened().store.restore(run_id)
    access().audit("run_restored", run=run_id)


def empty_bin() -> int:
    """Delete the runs that whoever asks sees in the bin for good, files too; gives how many."""
    many = opened().store.empty_bin() if keeps() else opened().store.empty_bin(access().owner())
    access().audit("bin_emptied", runs=many)
    return many


def models_of(name: str) -> dict[str, Path]:
    """Models of finished and stopped runs with that backbone: name of the run to file, the newest first."""
    store = opened().store
    ended = [one for one in runs() if one.state in ("finished", "stopped") and one.recipe.backbone == name]
    files = {one.name: store.folder(one.id) / "model.safetensors" for one in reversed(ended)}
    return {run_name: file for run_name, file in reversed(files.items()) if file.is_file()}
