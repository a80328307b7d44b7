"""What the server owns and everybody asks: engine, store, workspace, jobs. Opened and closed by its lifespan."""

import faulthandler
import os
import signal
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import ThawError
from core.recipe import Recipe
from core.workspace import Workspace
from ui.access import Access
from ui.jobs import Jobs
from ui.tickets import Tickets

if TYPE_CHECKING:
    from core.dataset import Dataset, Item
    from core.engine import Engine
    from core.store import RunStore


MANY = 256
"""Answers kept in memory."""
T = TypeVar("T")


@dataclass(slots=True)
class House:
    """What one server owns."""

    engine: "Engine"
    store: "RunStore"
    workspace: Workspace
    tickets: Tickets
    access: Access
    pictures: dict[str, tuple["Dataset", dict[str, "Item"]]] = field(default_factory=dict)
    jobs: Jobs = field(default_factory=Jobs)
    memory: dict[Hashable, Any] = field(default_factory=dict)


_house: House | None = None
_status = 0


def open(engine: "Engine", store: "RunStore", workspace: Workspace, *, gate: bool = False) -> None:
    """Hand in what this process owns. Called once by the server's lifespan, and by tests with fakes.

    With `gate` nobody gets in without an account; else only where there are accounts.
    """
    global _house
    _house = House(engine, store, workspace, Tickets(workspace.uploads), Access(workspace, store, required=gate))


def close() -> None:
    """End the background jobs and forget everything that `open` was given; the engine is its owner's to stop."""
    global _house
    if _house is not None:
        _house.jobs.close()
        _house.access.accounts.close()
    _house = None


def is_open() -> bool:
    """True between `open` and `close`."""
    return _house is not None


def opened() -> House:
    """All of it. Raises ThawError (`server.not_open`)."""
    if _house is None:
        raise ThawError("server.not_open")
    return _house


def leave(status: int, seconds: float) -> None:
    """End this process as SIGTERM does, which saves what runs, with `status`; by force if it is still here after `seconds`.

    The force needs no interpreter: a thread that hangs cannot hold it up.
    """
    global _status
    _status = status
    faulthandler.dump_traceback_later(seconds, exit=True)
    os.kill(os.getpid(), signal.SIGTERM)


def exit_status() -> int:
    """What the process ends with, once it has been told to end."""
    return _status


def engine() -> "Engine":
    """The one engine of this process. Raises ThawError (`server.not_open`) outside the server.

    Knows no people: pages and routes ask the functions below, which do.
    """
    return opened().engine


def health() -> dict[str, Any]:
    """As `Engine.health`, and in `notices` what a start found and mended."""
    rescued = store().rescued
    notices = []
    if rescued:
        values = {"found": rescued.found, "kept": rescued.kept or "–"}
        if rescued.copied:
            values["copied"] = rescued.copied[:16].replace("T", " ")
        notices.append({"code": "store.rescued" if rescued.copied else "store.rebuilt", "values": values})
    if store().found:
        notices.append({"code": "store.found", "values": {"found": store().found}})
    return {**engine().health(), "notices": notices}


def store() -> "RunStore":
    """The store of runs; knows no people either."""
    return opened().store


def access() -> Access:
    """Who asks, and what is theirs."""
    return opened().access


def workspace() -> Workspace:
    """The folder that holds everything a person makes."""
    return opened().workspace


def tickets() -> Tickets:
    """Rights to upload, given out by pages and checked by the upload route."""
    return opened().tickets


def remembered(key: Hashable, make: Callable[[], T]) -> T:
    """What `make` gave when it was asked with this key before; the oldest answers are forgotten."""
    memory = opened().memory
    if key not in memory:
        made = make()
        while len(memory) >= MANY:
            memory.pop(next(iter(memory)), None)
        memory[key] = made
    answer: T = memory[key]
    return answer


def jobs() -> Jobs:
    """Imports and downloads of this process."""
    return opened().jobs


def keeps() -> bool:
    """True if whoever asks keeps this machine, and may name its folders and files."""
    return access().keeps()


def check(recipe: Recipe) -> None:
    """Raises ThawError if the recipe uses what is not for whoever asks."""
    if recipe.dataset:
        access().check_dataset(recipe.dataset)
    access().check_weights(recipe.weights)
