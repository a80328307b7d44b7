"""Data sets for pages and routes: the demos, what people bring, its pictures, how it is divided."""

import base64
import os
from collections import Counter
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING
from urllib.parse import quote

import streamlit as st

from core.errors import AccessError, Interrupted, ThawError
from core.recipe import Recipe
from ui import folders, warmup
from ui.access import unknown
from ui.jobs import Cancelled, Job, Progress
from ui.services.house import access, opened, remembered, workspace

if TYPE_CHECKING:
    from core.dataset import Dataset, Item, Skipped
    from core.gate import Person

MOST_SETS = 16
"""Data sets that are held in memory; more are read again."""


def new_ticket() -> str:
    """A right to upload for whoever asks."""
    return opened().tickets.new(access().owner())


def upload_folder(token: str) -> Path | None:
    """The folder that a right of whoever asks opens, or None."""
    return opened().tickets.folder(token, access().owner())


def picture(dataset_id: str, sha256: str) -> tuple["Dataset", "Item"] | None:
    """The item of a data set that has this content, or None. Raises DataError if there is no such data set."""
    dataset, items = _read(dataset_id)
    item = items.get(sha256)
    return None if item is None else (dataset, item)


def _read(dataset_id: str) -> tuple["Dataset", dict[str, "Item"]]:
    """The set and its items by content. The last few sets that were asked for are remembered."""
    from core.dataset import open_dataset

    here = opened()
    here.access.check_dataset(dataset_id)
    found = here.pictures.pop(dataset_id, None)
    if found is None:
        dataset = open_dataset(here.workspace, dataset_id)
        found = dataset, {item.sha256: item for item in (*dataset.left_out, *dataset.items)}
    here.pictures[dataset_id] = found
    for old in list(here.pictures)[:-MOST_SETS]:
        here.pictures.pop(old, None)
    return found


def forget_pictures(dataset_id: str) -> None:
    """To be called when a data set is deleted, made anew or decided about: all its versions and names are read again."""
    pictures = opened().pictures
    for known in [one for one in pictures if _bare(one) == _bare(dataset_id)]:
        pictures.pop(known, None)


def _bare(dataset_id: str) -> str:
    return dataset_id.partition("@")[0].replace("demo:", "demo-", 1)


def demo_ids() -> tuple[str, ...]:
    """Ids of the sets that need no network, `demo:digits` and so on."""
    from core.dataset import DEMOS

    return tuple(f"demo:{name}" for name in DEMOS)


def dataset_ids() -> tuple[str, ...]:
    """Ids of the sets that this person may use beside the demos, newest first."""
    from core.dataset import list_datasets

    return tuple(access().datasets([one.id for one in list_datasets(opened().workspace) if one.demo is None]))


def dataset(dataset_id: str) -> "Dataset":
    """The data set of that id; a demo is made when it is first asked for. Raises DataError if there is none."""
    return _read(dataset_id)[0]


def dataset_if_ready(dataset_id: str, *, at_once: bool = True) -> "Dataset | None":
    """The data set, or None while a demo is made in the background: at once, or when its turn comes. Raises DataError."""
    from core.dataset import drawn

    here = opened()
    there = dataset_id in here.pictures or not dataset_id.startswith("demo:")
    if there or drawn(here.workspace, dataset_id) is not None:
        return dataset(dataset_id)
    job = here.jobs.find("demo", dataset_id)
    if job is not None and job.error is not None:
        here.jobs.forget(job)
        raise job.error
    turns = here.jobs.find("demos")
    if at_once or turns is None or turns.state != "running":
        here.jobs.start("demo", dataset_id, partial(_draw_demo, dataset_id))  # the one that runs, if there is one
    return None


def _make_demo(dataset_id: str, progress: Progress, cancelled: Cancelled) -> "Dataset":
    from core.dataset import open_dataset

    open_dataset(opened().workspace, dataset_id, progress=progress, cancelled=cancelled)
    return dataset(dataset_id)


def _draw_demo(dataset_id: str, progress: Progress, cancelled: Cancelled) -> "Dataset":
    """In a process of its own: drawing beside pages and the first import of torch takes the interpreter from both."""
    from core.dataset.draw import draw_apart

    draw_apart(opened().workspace, dataset_id, progress, cancelled)
    return _make_demo(dataset_id, progress, cancelled)


def prepare_demos() -> None:
    """Draw the small pictures of the demos now, and make the sets one by one when the machine is warm, for a quick start."""
    demo_sheets()

    def one_by_one(progress: Progress, cancelled: Cancelled) -> None:
        while not warmup.done.wait(0.5):
            if cancelled():
                return
        for dataset_id in demo_ids():
            if cancelled():
                return
            opened().jobs.start("demo", dataset_id, partial(_draw_demo, dataset_id)).wait(120)

    opened().jobs.start("demos", "", one_by_one)


def demo_share(dataset_id: str) -> float:
    """How much of a demo has been made, in [0, 1]."""
    job = opened().jobs.find("demo", dataset_id)
    return job.share if job is not None else 0.0


def demo_sheets() -> dict[str, tuple[str, ...]] | None:
    """Small pictures of every demo as data addresses; None while they are being drawn, the first time."""
    job = opened().jobs.find("sheets") or opened().jobs.start("sheets", "", _draw_sheets)
    return job.result if job.state == "done" else {} if job.state == "failed" else None


def _draw_sheets(progress: Progress, cancelled: Cancelled) -> dict[str, tuple[str, ...]]:
    from core.dataset import DEMOS, sheet
    from core.images import thumbnail

    return {f"demo:{key}": tuple(_address(thumbnail(data, 96)) for data in sheet(key, 12)) for key in DEMOS}


def _address(webp: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"


def remains(data: "Dataset", refused: "Skipped") -> str:
    """What can be seen of a refused file as a data address; '' if nothing."""
    try:
        return _address(data.remains(refused).read_bytes()) if refused.remains else ""
    except OSError:
        return ""


def dataset_bytes(dataset_id: str) -> int:
    """What its pictures take on the disk."""
    data = dataset(dataset_id)

    def weigh() -> int:
        return sum(entry.stat().st_size for entry in os.scandir(data.folder) if entry.is_file())

    return remembered(("bytes", data.id, data.created), weigh)


def dataset_name(dataset_id: str) -> str:
    """What a data set is called; '' if none is chosen or it is not there any more."""
    if not dataset_id:
        return ""
    try:
        return dataset(dataset_id).name
    except ThawError:
        return ""


def thumb_url(dataset_id: str, sha256: str, side: int = 128) -> str:
    """Where the small picture of an item is served, about `side` pixels wide."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' if base else ''}{base}/api/thumbs/{quote(dataset_id, safe='')}/{sha256}?side={side}"


def split_counts(recipe: Recipe) -> dict[str, dict[str, int]]:
    """How the draft divides its data set: split to class to number of images. Raises DataError."""
    from core.dataset.splits import split

    data = dataset(recipe.dataset)

    def count() -> dict[str, dict[str, int]]:
        parts = split(data, val_fraction=recipe.val_fraction, test_fraction=recipe.test_fraction, seed=recipe.split_seed)
        return {
            name: dict(Counter(data.classes[data.items[i].label] for i in getattr(parts, name)))
            for name in ("train", "val", "test")
        }

    return remembered(("splits", data.fingerprint, recipe.val_fraction, recipe.test_fraction, recipe.split_seed), count)


def validation_items(recipe: Recipe, most: int) -> "tuple[Item, ...]":
    """At most so many pictures of the draft's validation split, the classes by turns. Raises DataError."""
    from core.dataset.splits import split

    data = dataset(recipe.dataset)

    def pick() -> "tuple[Item, ...]":
        parts = split(data, val_fraction=recipe.val_fraction, test_fraction=recipe.test_fraction, seed=recipe.split_seed)
        seen: Counter[int] = Counter()
        ranked = []
        for index in parts.val:
            item = data.items[index]
            ranked.append((seen[item.label], item.label, index))
            seen[item.label] += 1
        return tuple(data.items[index] for *_, index in sorted(ranked)[:most])

    known = ("validation", data.fingerprint, recipe.val_fraction, recipe.test_fraction, recipe.split_seed, most)
    return remembered(known, pick)


def start_import(source: Path, name: str, *, upload: bool = False) -> Job:
    """Import `source` in the background; the result is a Dataset. What was uploaded is deleted when it is done.

    Raises AccessError: `gate.server_folder` and `gate.outside_folders` for a folder of the server, `gate.disk`.
    """
    here, person = opened(), access().person()
    if not (upload and source.resolve().is_relative_to(here.workspace.uploads.resolve())):
        source = server_folder(source)
    access().check_disk()
    return _import(source, name, person)


def reads_folders() -> bool:
    """True if a page may be told a folder of this machine: where people sign in it may not, whoever asks."""
    return not access().on and bool(folders.roots(workspace()))


def server_folder(source: Path) -> Path:
    """The place of `source`, links followed, if a page may read it. Raises AccessError as `start_import`."""
    if access().on:
        raise AccessError("gate.server_folder")
    return folders.checked(source, workspace())


def resume_imports() -> None:
    """Go on with the imports that the end of an earlier server cut short, for whoever began them."""
    from core.dataset import unfinished

    people = {person.id: person for person in access().accounts.people()}
    for job in unfinished(workspace()):
        if not job.owner or job.owner in people:
            _import(job.source, job.name, people.get(job.owner))


def _import(source: Path, name: str, person: "Person | None") -> Job:
    from core.dataset import import_dataset

    here, owner = opened(), person.id if person else ""
    uploads = here.workspace.uploads

    def work(progress: Progress, cancelled: Cancelled) -> "Dataset":
        done = True
        try:
            made = import_dataset(source, here.workspace, name=name, owner=owner, progress=progress, cancelled=cancelled)
            forget_pictures(made.id)
            if person is not None:
                here.access.accounts.give(made.id, owner)
                here.access.wrote(person, "dataset_made", dataset=made.id, name=made.name)
            return made
        except Interrupted:
            done = False  # the next server goes on with it
            raise
        finally:
            if done and source.is_relative_to(uploads):
                rmtree(uploads / source.relative_to(uploads).parts[0], ignore_errors=True)

    return here.jobs.start("import", name or source.name, work, owner=owner)


def running_import() -> Job | None:
    """The newest import of whoever asks, if it is still at work."""
    job = opened().jobs.find("import", owner=access().owner())
    return job if job is not None and job.state == "running" else None


def may_delete_dataset(dataset_id: str) -> bool:
    """True if whoever asks may delete it: a shared one stays its owner's."""
    return access().may_delete(dataset_id)


def delete_dataset(dataset_id: str) -> None:
    """Delete a data set of the workspace; runs made with it keep their figures. Raises DataError."""
    from core.dataset import delete_dataset as delete

    if not access().may_delete(dataset_id):
        raise unknown(dataset_id)
    forget_pictures(dataset_id)
    delete(opened().workspace, dataset_id)
    if access().on:
        access().accounts.give(dataset_id, "")
    access().audit("dataset_deleted", dataset=dataset_id)
