"""The only door from pages and routes to core: the engine, the store and the workspace of this process.

The server's lifespan opens it and closes it; a page asks it and keeps nothing. Knows no widget and no session: what is
answered here is the same for every browser tab.
"""

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import streamlit as st

from core.errors import AccessError, ThawError
from core.events import Amend, Command
from core.recipe import Recipe, parse
from core.workspace import Workspace
from ui import warmup
from ui.access import Access, unknown
from ui.jobs import Cancelled, Job, Jobs, Progress
from ui.tickets import Tickets

if TYPE_CHECKING:
    import pandas as pd

    from core.backbones import Card
    from core.dataset import Dataset, Item
    from core.engine import Engine
    from core.estimate import Estimate
    from core.history import Curve, RunState
    from core.layers import LayerTree
    from core.plan import Plan
    from core.run import Run
    from core.store import RunStore

FIRST_BACKBONE = "thaw-small"
MANY = 256
"""Answers kept in memory."""
T = TypeVar("T")


@dataclass(slots=True)
class _House:
    engine: "Engine"
    store: "RunStore"
    workspace: Workspace
    tickets: Tickets
    access: Access
    pictures: dict[str, tuple["Dataset", dict[str, "Item"]]] = field(default_factory=dict)
    jobs: Jobs = field(default_factory=Jobs)
    memory: dict[Hashable, Any] = field(default_factory=dict)


_house: _House | None = None


# --- opened by the server, asked by everybody ---------------------------------------------------------------------------


def open(engine: "Engine", store: "RunStore", workspace: Workspace, *, gate: bool = False) -> None:
    """Hand in what this process owns. Called once by the server's lifespan, and by tests with fakes.

    With `gate` nobody gets in without an account; else only where there are accounts.
    """
    global _house
    _house = _House(engine, store, workspace, Tickets(workspace.uploads), Access(workspace, store, required=gate))


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


def _here() -> _House:
    if _house is None:
        raise ThawError("server.not_open")
    return _house


def engine() -> "Engine":
    """The one engine of this process. Raises ThawError (`server.not_open`) outside the server.

    Knows no people: pages and routes ask the functions below, which do.
    """
    return _here().engine


def health() -> dict[str, Any]:
    """As `Engine.health`, and in `notices` what a start found and mended."""
    rescued = store().rescued
    notices = []
    if rescued and rescued.copied:
        values = {"copied": rescued.copied[:16].replace("T", " "), "found": rescued.found, "kept": rescued.kept}
        notices.append({"code": "store.rescued", "values": values})
    elif rescued:
        notices.append({"code": "store.rebuilt", "values": {"found": rescued.found, "kept": rescued.kept}})
    return {**engine().health(), "notices": notices}


def store() -> "RunStore":
    """The store of runs; knows no people either."""
    return _here().store


def access() -> Access:
    """Who asks, and what is theirs."""
    return _here().access


def workspace() -> Workspace:
    """The folder that holds everything a person makes."""
    return _here().workspace


# --- what routes ask ----------------------------------------------------------------------------------------------------


def tickets() -> Tickets:
    """Rights to upload, given out by pages and checked by the upload route."""
    return _here().tickets


def new_ticket() -> str:
    """A right to upload for whoever asks."""
    return _here().tickets.new(access().owner())


def upload_folder(token: str) -> Path | None:
    """The folder that a right of whoever asks opens, or None."""
    return _here().tickets.folder(token, access().owner())


def curve(run_id: str) -> "Curve":
    """The points of a run's curves, from the engine if it is running and from the store if not.

    Raises StoreError if there is no such run.
    """
    access().run(run_id)
    return _here().engine.curve(run_id)


def amend(run_id: str, wish: Amend) -> None:
    """Change a run at work: the next step obeys.

    Raises StoreError (`run.not_waiting`), RecipeError, and TrainingError if nothing would learn.
    """
    from core.errors import TrainingError
    from core.plan import plan

    run = access().run(run_id)
    if wish.rules is not None and not plan(tree(run.recipe), wish.rules).groups:
        raise TrainingError("training.nothing_learns", backbone=run.recipe.backbone)
    _here().engine.send(run_id, wish)


def readings(run_id: str, since: int) -> dict[str, Any]:
    """The newest reading of the instruments as plain data, if its step is after `since`; `done` once no more will come.

    Raises StoreError if there is no such run.
    """
    from core.readings import flags

    access().run(run_id)
    now = _here().engine.state(run_id)
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


def rates(recipe: Recipe) -> "pd.DataFrame":
    """The learning rate of each parameter group over the epochs of the draft: index in epochs, one column a group.

    Raises RecipeError.
    """
    import pandas as pd

    from core.schedule import curves

    made = tree(recipe)

    def draw() -> "pd.DataFrame":
        images = sum(split_counts(recipe)["train"].values()) if recipe.dataset else 1000
        steps = max(1, round(images / (recipe.batch_size * recipe.accumulate)))
        at, lines = curves(made, recipe, steps)
        return pd.DataFrame(lines, index=pd.Index(at, name="epoch"), dtype=float)

    return remembered(("rates", recipe.changed(name="", seed=0).to_json()), draw)


def find_rate(recipe: Recipe, part: str | None) -> Job:
    """Try learning rates on the draft in the background; the result is a `core.training.finder.Found`."""
    here = _here()
    _check(recipe)

    def work(progress: Progress, cancelled: Cancelled) -> Any:
        from core.training.finder import find_rate as find

        return find(recipe, workspace=here.workspace, part=part, progress=progress, cancelled=cancelled)

    old = find_job(recipe, part)
    if old is not None:
        here.jobs.forget(old)
    return here.jobs.start("finder", _find_name(recipe, part), work)


def find_job(recipe: Recipe, part: str | None) -> Job | None:
    """The search for a rate that was made with this draft, whatever its own rate and length."""
    return _here().jobs.find("finder", _find_name(recipe, part))


def _find_name(recipe: Recipe, part: str | None) -> str:
    settled = recipe.changed(name="", lr=1e-3, epochs=10_000, schedule="constant", patience=0, metric="accuracy")
    return hashlib.sha256(f"{settled.to_json()} {part}".encode()).hexdigest()


def sweep_rates(recipe: Recipe) -> Job:
    """Try a hundred rates of the draft's head at once in the background; the result is a `core.training.rates.RateSweep`."""
    here = _here()
    _check(recipe)

    def work(progress: Progress, cancelled: Cancelled) -> Any:
        from core.training.rates import sweep_rates as sweep

        return sweep(recipe, workspace=here.workspace, progress=progress, cancelled=cancelled)

    old = sweep_job(recipe)
    if old is not None:
        here.jobs.forget(old)
    return here.jobs.start("sweep", _sweep_name(recipe), work)


def sweep_job(recipe: Recipe) -> Job | None:
    """The sweep that was made with this draft, whatever its own rate."""
    return _here().jobs.find("sweep", _sweep_name(recipe))


def _sweep_name(recipe: Recipe) -> str:
    settled = recipe.changed(name="", strategy="custom", lr=1e-3, film=(), instruments=False)
    return hashlib.sha256(settled.to_json().encode()).hexdigest()


def readings_url(run_id: str) -> str:
    """Where a browser asks for `readings`."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' if base else ''}{base}/api/runs/{quote(run_id, safe='')}/readings"


def run_folder(run_id: str) -> Path:
    """Where the files of a run lie. Raises StoreError if there is no such run."""
    access().run(run_id)
    return _here().store.folder(run_id)


def picture(dataset_id: str, sha256: str) -> tuple["Dataset", "Item"] | None:
    """The item of a data set that has this content, or None. Raises DataError if there is no such data set."""
    from core.dataset import open_dataset

    here = _here()
    here.access.check_dataset(dataset_id)
    if dataset_id not in here.pictures:
        dataset = open_dataset(here.workspace, dataset_id)
        here.pictures[dataset_id] = dataset, {item.sha256: item for item in (*dataset.left_out, *dataset.items)}
    dataset, items = here.pictures[dataset_id]
    item = items.get(sha256)
    return None if item is None else (dataset, item)


def forget_pictures(dataset_id: str) -> None:
    """To be called when a data set is deleted, made anew or decided about: all its versions and names are read again."""
    pictures = _here().pictures
    for known in [one for one in pictures if _bare(one) == _bare(dataset_id)]:
        pictures.pop(known, None)


def _bare(dataset_id: str) -> str:
    return dataset_id.partition("@")[0].replace("demo:", "demo-", 1)


def remembered(key: Hashable, make: Callable[[], T]) -> T:
    """What `make` gave when it was asked with this key before; the oldest answers are forgotten."""
    memory = _here().memory
    if key not in memory:
        made = make()
        while len(memory) >= MANY:
            memory.pop(next(iter(memory)), None)
        memory[key] = made
    answer: T = memory[key]
    return answer


# --- what pages ask: the draft ------------------------------------------------------------------------------------------


def first_draft() -> Recipe:
    """The draft that a new tab begins with: as last left in this workspace, else a small network that needs no download."""
    try:
        return parse(_draft_file().read_text("utf-8"))
    except (OSError, ThawError):
        return Recipe(backbone=FIRST_BACKBONE, weights=backbone(FIRST_BACKBONE).weights[0], image_size=64, epochs=12)


def keep_draft(recipe: Recipe) -> None:
    """Remember the draft for the next tab and the next reload. A full disk costs only that."""
    file = _draft_file()
    part = file.with_suffix(".part")
    with suppress(OSError):
        part.write_text(recipe.to_json(), "utf-8")
        part.replace(file)


def _draft_file() -> Path:
    owner = access().owner()
    return _here().workspace.root / (f"draft-{owner}.json" if owner else "draft.json")


# --- what pages ask: pictures -------------------------------------------------------------------------------------------


def demo_ids() -> tuple[str, ...]:
    """Ids of the sets that need no network, `demo:digits` and so on."""
    from core.dataset import DEMOS

    return tuple(f"demo:{name}" for name in DEMOS)


def dataset_ids() -> tuple[str, ...]:
    """Ids of the sets that this person may use beside the demos, newest first."""
    from core.dataset import list_datasets

    return tuple(access().datasets([one.id for one in list_datasets(_here().workspace) if one.demo is None]))


def dataset(dataset_id: str) -> "Dataset":
    """The data set of that id; a demo is made when it is first asked for. Raises DataError if there is none."""
    picture(dataset_id, "")
    return _here().pictures[dataset_id][0]


def dataset_if_ready(dataset_id: str) -> "Dataset | None":
    """The data set, or None while a demo is being made in the background. Raises DataError."""
    here = _here()
    if dataset_id in here.pictures or not dataset_id.startswith("demo:"):
        return dataset(dataset_id)
    job = here.jobs.find("demo", dataset_id)
    if job is None:
        here.jobs.start("demo", dataset_id, partial(_make_demo, dataset_id))
    elif job.error is not None:
        here.jobs.forget(job)
        raise job.error
    return None


def _make_demo(dataset_id: str, progress: Progress, cancelled: Cancelled) -> "Dataset":
    from core.dataset import open_dataset

    open_dataset(_here().workspace, dataset_id, progress=progress, cancelled=cancelled)
    return dataset(dataset_id)


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
            _here().jobs.start("demo", dataset_id, partial(_make_demo, dataset_id)).wait(120)

    _here().jobs.start("demos", "", one_by_one)


def demo_share(dataset_id: str) -> float:
    """How much of a demo has been made, in [0, 1]."""
    job = _here().jobs.find("demo", dataset_id)
    return job.share if job is not None else 0.0


def demo_sheets() -> dict[str, tuple[str, ...]] | None:
    """Small pictures of every demo as data addresses; None while they are being drawn, the first time."""
    job = _here().jobs.find("sheets") or _here().jobs.start("sheets", "", _draw_sheets)
    return job.result if job.state == "done" else {} if job.state == "failed" else None


def _draw_sheets(progress: Progress, cancelled: Cancelled) -> dict[str, tuple[str, ...]]:
    from core.dataset import DEMOS, sheet
    from core.images import thumbnail

    def address(data: bytes) -> str:
        return f"data:image/webp;base64,{base64.b64encode(thumbnail(data, 96)).decode()}"

    return {f"demo:{key}": tuple(address(data) for data in sheet(key, 12)) for key in DEMOS}


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

    Raises AccessError: `gate.server_folder` for a folder of the server, `gate.disk`.
    """
    from core.dataset import import_dataset

    here, person = _here(), access().person()
    if not access().keeps() and not (upload and source.resolve().is_relative_to(here.workspace.uploads.resolve())):
        raise AccessError("gate.server_folder")
    access().check_disk()
    owner = person.id if person else ""

    def work(progress: Progress, cancelled: Cancelled) -> "Dataset":
        try:
            made = import_dataset(source, here.workspace, name=name, owner=owner, progress=progress, cancelled=cancelled)
            forget_pictures(made.id)
            if person is not None:
                here.access.accounts.give(made.id, owner)
                here.access.wrote(person, "dataset_made", dataset=made.id, name=made.name)
            return made
        finally:
            if upload and source.is_relative_to(here.workspace.uploads):
                rmtree(here.workspace.uploads / source.relative_to(here.workspace.uploads).parts[0], ignore_errors=True)

    return here.jobs.start("import", name or source.name, work, owner=owner)


def running_import() -> Job | None:
    """The newest import of whoever asks, if it is still at work."""
    job = _here().jobs.find("import", owner=access().owner())
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
    delete(_here().workspace, dataset_id)
    if access().on:
        access().accounts.give(dataset_id, "")
    access().audit("dataset_deleted", dataset=dataset_id)


def jobs() -> Jobs:
    """Imports and downloads of this process."""
    return _here().jobs


# --- what pages ask: networks -------------------------------------------------------------------------------------------


def backbones() -> tuple["Card", ...]:
    """The cards of all backbones."""
    from core.backbones import cards

    return cards(_here().workspace)


def backbone(name: str) -> "Card":
    """One card. Raises RecipeError (`backbone.unknown`)."""
    from core.backbones import card

    return card(name, _here().workspace)


def classes_of(recipe: Recipe) -> int:
    """Classes of the chosen data set; ten as long as none is chosen, so that a network can be looked at."""
    try:
        return len(dataset(recipe.dataset).classes) if recipe.dataset else 10
    except ThawError:
        return 10


def tree(recipe: Recipe) -> "LayerTree":
    """The layer tree of the draft's backbone with a head for its classes. Raises RecipeError."""
    from core.backbones import layer_tree

    return layer_tree(recipe.backbone, classes=classes_of(recipe), image_size=recipe.image_size, workspace=_here().workspace)


def keep_weights(name: str, data: bytes) -> Path:
    """Keep a weights file that came through the browser; the same content lies there once. Raises AccessError."""
    access().check_disk(len(data))
    folder = _here().workspace.weights / "own"
    folder.mkdir(parents=True, exist_ok=True)
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in Path(name).stem)[:60]
    file = folder / f"{stem or 'weights'}-{hashlib.sha256(data).hexdigest()[:12]}.safetensors"
    if not file.exists():
        part = file.with_suffix(".part")
        part.write_bytes(data)
        part.replace(file)
    return file


def start_fetch(name: str) -> Job:
    """Download the pretrained weights of a backbone in the background."""
    from core.backbones import fetch

    here = _here()

    def work(progress: Progress, cancelled: Cancelled) -> Path:
        return fetch(name, here.workspace, progress=progress, cancelled=cancelled)

    return here.jobs.start("weights", name, work)


def estimate(recipe: Recipe, made: "LayerTree", planned: "Plan") -> "Estimate":
    """Memory and time of the draft on this machine; the time is None until the machine's speed has been measured."""
    from core.estimate import estimate as reckon

    images = sum(split_counts(recipe)["train"].values()) if recipe.dataset else 1000
    return reckon(made, planned, recipe, images=images, flops_per_second=speed(recipe.device))


def speed(device: str) -> float | None:
    """Calculations per second of a device; None until it was measured, in the background and as soon as torch is there."""
    from core.estimate import measure_speed

    job = _here().jobs.find("speed", device)
    if job is None and warmup.done.is_set():
        _here().jobs.start("speed", device, lambda progress, cancelled: measure_speed(device))
    return float(job.result) if job is not None and job.state == "done" else None


# --- what pages ask: runs -----------------------------------------------------------------------------------------------


def submit(recipe: Recipe) -> str:
    """Put a run into the queue; its id. Raises ThawError."""
    _check(recipe)
    access().check_queue()
    access().check_disk()
    owner = access().owner()
    run_id = _here().engine.submit(recipe, owner=owner) if owner else _here().engine.submit(recipe)
    access().audit("run_made", run=run_id)
    return run_id


def check_weights(weights: str) -> None:
    """Raises AccessError (`gate.weights_place`) if these weights are a file that whoever asks may not use."""
    access().check_weights(weights)


def keeps() -> bool:
    """True if whoever asks keeps this machine, and may name its folders and files."""
    return access().keeps()


def _check(recipe: Recipe) -> None:
    """Raises ThawError if the recipe uses what is not for whoever asks."""
    if recipe.dataset:
        access().check_dataset(recipe.dataset)
    access().check_weights(recipe.weights)


def resume(run_id: str) -> None:
    """Put a paused, interrupted, stopped or failed run back into the queue. Raises ThawError."""
    access().run(run_id)
    access().check_queue()
    access().check_disk()
    _here().engine.resume(run_id)
    access().audit("run_resumed", run=run_id)


def send(run_id: str, command: Command) -> None:
    """Tell a run something. Raises StoreError if there is no such run."""
    access().run(run_id)
    _here().engine.send(run_id, command)
    access().audit(f"run_{command.kind}", run=run_id)


def run(run_id: str) -> "Run":
    """One run as it stands. Raises StoreError (`run.unknown`)."""
    return access().run(run_id)


def runs(*, deleted: bool = False) -> list["Run"]:
    """The runs of whoever asks, newest first; those in the bin if `deleted`."""
    return access().runs(deleted=deleted)


def run_state(run_id: str) -> "RunState":
    """How far a run is and what it has reached. Raises StoreError (`run.unknown`)."""
    access().run(run_id)
    return _here().engine.state(run_id)


def models_of(name: str) -> dict[str, Path]:
    """Models of finished and stopped runs with that backbone: name of the run to file, the newest first."""
    store = _here().store
    ended = [one for one in runs() if one.state in ("finished", "stopped") and one.recipe.backbone == name]
    files = {one.name: store.folder(one.id) / "model.safetensors" for one in reversed(ended)}
    return {run_name: file for run_name, file in reversed(files.items()) if file.is_file()}


def place(run_id: str) -> int:
    """Place in the queue, 1 is next; 0 if it does not wait."""
    waiting = _here().engine.queue()
    return waiting.index(run_id) + 1 if run_id in waiting else 0


def active_runs() -> tuple["Run", ...]:
    """Runs that are at work or wait, the oldest first."""
    return tuple(reversed([one for one in runs() if one.state in ("queued", "running")]))


def rename(run_id: str, name: str) -> None:
    """Give a run another name. Raises StoreError (`run.name_empty`)."""
    access().run(run_id)
    _here().store.rename(run_id, name)


def delete(run_id: str) -> None:
    """Put a run into the bin. Raises StoreError (`run.busy`)."""
    access().run(run_id)
    _here().store.delete(run_id)
    access().audit("run_binned", run=run_id)


def restore(run_id: str) -> None:
    """Take a run out of the bin."""
    access().run(run_id)
    _here().store.restore(run_id)
    access().audit("run_restored", run=run_id)


def empty_bin() -> int:
    """Delete the runs that whoever asks sees in the bin for good, files too; gives how many."""
    many = _here().store.empty_bin() if keeps() else _here().store.empty_bin(access().owner())
    access().audit("bin_emptied", runs=many)
    return many
