"""The only door from pages and routes to core: the engine, the store and the workspace of this process.

The server's lifespan opens it and closes it; a page asks it and keeps nothing. Knows no widget and no session: what is
answered here is the same for every browser tab.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ThawError
from core.recipe import Recipe, parse
from core.workspace import Workspace
from ui.jobs import Jobs
from ui.tickets import Tickets

if TYPE_CHECKING:
    from core.dataset import Dataset, Item
    from core.engine import Engine
    from core.history import Curve
    from core.store import RunStore


@dataclass(slots=True)
class _House:
    engine: "Engine"
    store: "RunStore"
    workspace: Workspace
    tickets: Tickets
    pictures: dict[str, tuple["Dataset", dict[str, "Item"]]] = field(default_factory=dict)
    jobs: Jobs = field(default_factory=Jobs)


_house: _House | None = None


# --- opened by the server, asked by everybody ---------------------------------------------------------------------------


def open(engine: "Engine", store: "RunStore", workspace: Workspace) -> None:
    """Hand in what this process owns. Called once by the server's lifespan, and by tests with fakes."""
    global _house
    _house = _House(engine, store, workspace, Tickets(workspace.uploads))


def close() -> None:
    """End the background jobs and forget everything that `open` was given; the engine is its owner's to stop."""
    global _house
    if _house is not None:
        _house.jobs.close()
    _house = None


def is_open() -> bool:
    """True between `open` and `close`."""
    return _house is not None


def _here() -> _House:
    if _house is None:
        raise ThawError("server.not_open")
    return _house


def engine() -> "Engine":
    """The one engine of this process. Raises ThawError (`server.not_open`) outside the server."""
    return _here().engine


def store() -> "RunStore":
    """The store of runs."""
    return _here().store


def workspace() -> Workspace:
    """The folder that holds everything a person makes."""
    return _here().workspace


# --- what routes ask ----------------------------------------------------------------------------------------------------


def tickets() -> Tickets:
    """Rights to upload, given out by pages and checked by the upload route."""
    return _here().tickets


def curve(run_id: str) -> "Curve":
    """The points of a run's curves, from the engine if it is running and from the store if not.

    Raises StoreError if there is no such run.
    """
    return _here().engine.curve(run_id)


def run_folder(run_id: str) -> Path:
    """Where the files of a run lie. Raises StoreError if there is no such run."""
    here = _here()
    here.store.run(run_id)
    return here.store.folder(run_id)


def picture(dataset_id: str, sha256: str) -> tuple["Dataset", "Item"] | None:
    """The item of a data set that has this content, or None. Raises DataError if there is no such data set."""
    from core.dataset import open_dataset

    here = _here()
    if dataset_id not in here.pictures:
        dataset = open_dataset(here.workspace, dataset_id)
        here.pictures[dataset_id] = dataset, {item.sha256: item for item in dataset.items}
    dataset, items = here.pictures[dataset_id]
    item = items.get(sha256)
    return None if item is None else (dataset, item)


def forget_pictures(dataset_id: str) -> None:
    """To be called when a data set is deleted or made anew."""
    _here().pictures.pop(dataset_id, None)


# --- what pages ask -----------------------------------------------------------------------------------------------------


def first_draft() -> Recipe:
    """The draft that a new tab begins with: as last left in this workspace, else a good first choice."""
    try:
        return parse(_draft_file().read_text("utf-8"))
    except (OSError, ThawError):
        return Recipe()


def keep_draft(recipe: Recipe) -> None:
    """Remember the draft for the next tab and the next reload. A full disk costs only that."""
    file = _draft_file()
    part = file.with_suffix(".part")
    with suppress(OSError):
        part.write_text(recipe.to_json(), "utf-8")
        part.replace(file)


def _draft_file() -> Path:
    return _here().workspace.root / "draft.json"


def dataset_name(dataset_id: str) -> str:
    """What a data set is called; '' if none is chosen or it is not there any more."""
    if not dataset_id:
        return ""
    try:
        return dataset(dataset_id).name
    except ThawError:
        return ""


def dataset(dataset_id: str) -> "Dataset":
    """The data set of that id. Raises DataError (`dataset.unknown`)."""
    from core.dataset import open_dataset

    return open_dataset(_here().workspace, dataset_id)
