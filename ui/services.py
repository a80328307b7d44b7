"""The only door from pages and routes to core: the engine, the store and the workspace of this process.

The server's lifespan opens it and closes it; a page asks it and keeps nothing. Knows no widget and no session: what is
answered here is the same for every browser tab.
"""

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from math import log10
from pathlib import Path
from shutil import rmtree
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import quote

import streamlit as st

from core.errors import ThawError
from core.recipe import Recipe, parse
from core.workspace import Workspace
from ui.jobs import Cancelled, Job, Jobs, Progress
from ui.tickets import Tickets

if TYPE_CHECKING:
    from core.engine import Engine
    from core.estimate import Estimate

    from core.backbones import Card
    from core.dataset import Dataset, Item
    from core.history import Curve
    from core.layers import Block, LayerTree
    from core.plan import Plan
    from core.store import RunStore

FIRST_BACKBONE = "thaw-small"
SIZES = (32, 48, 64, 96, 128, 160, 192, 224)
"""Image sizes that are proposed, in pixels."""
MANY = 64
"""Divisions kept in memory."""


@dataclass(slots=True)
class _House:
    engine: "Engine"
    store: "RunStore"
    workspace: Workspace
    tickets: Tickets
    pictures: dict[str, tuple["Dataset", dict[str, "Item"]]] = field(default_factory=dict)
    jobs: Jobs = field(default_factory=Jobs)
    sizes: dict[str, int] = field(default_factory=dict)
    stripes: dict[tuple[object, ...], dict[str, tuple[float, ...]]] = field(default_factory=dict)
    splits: dict[tuple[object, ...], dict[str, dict[str, int]]] = field(default_factory=dict)


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


# --- what pages ask: the draft ------------------------------------------------------------------------------------------


def first_draft() -> Recipe:
    """The draft that a new tab begins with: as last left in this workspace, else a small network that needs no download."""
    try:
        return parse(_draft_file().read_text("utf-8"))
    except (OSError, ThawError):
        return Recipe(backbone=FIRST_BACKBONE, image_size=64, epochs=12)


def keep_draft(recipe: Recipe) -> None:
    """Remember the draft for the next tab and the next reload. A full disk costs only that."""
    file = _draft_file()
    part = file.with_suffix(".part")
    with suppress(OSError):
        part.write_text(recipe.to_json(), "utf-8")
        part.replace(file)


def _draft_file() -> Path:
    return _here().workspace.root / "draft.json"


# --- what pages ask: pictures -------------------------------------------------------------------------------------------


def demo_ids() -> tuple[str, ...]:
    """Ids of the sets that need no network, `demo:digits` and so on."""
    from core.dataset import DEMOS

    return tuple(f"demo:{name}" for name in DEMOS)


def dataset_ids() -> tuple[str, ...]:
    """Ids of the sets that a person brought, newest first."""
    from core.dataset import list_datasets

    found = [one for one in list_datasets(_here().workspace) if not one.id.startswith("demo:")]
    return tuple(one.id for one in sorted(found, key=lambda one: one.created, reverse=True))


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
        here.jobs.start("demo", dataset_id, lambda progress, cancelled: dataset(dataset_id))
    elif job.error is not None:
        raise job.error
    return None


def dataset_bytes(dataset_id: str) -> int:
    """What its pictures take on the disk."""
    data, here = dataset(dataset_id), _here()
    if data.id not in here.sizes:
        here.sizes[data.id] = sum(entry.stat().st_size for entry in os.scandir(data.folder) if entry.is_file())
    return here.sizes[data.id]


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
    known = (data.fingerprint, recipe.val_fraction, recipe.test_fraction, recipe.split_seed)
    cached = _here().splits
    if known not in cached:
        parts = split(data, val_fraction=recipe.val_fraction, test_fraction=recipe.test_fraction, seed=recipe.split_seed)
        if len(cached) >= MANY:
            cached.clear()
        cached[known] = {
            name: dict(Counter(data.classes[data.items[i].label] for i in getattr(parts, name)))
            for name in ("train", "val", "test")
        }
    return cached[known]


def start_import(source: Path, name: str, *, upload: bool = False) -> Job:
    """Import `source` in the background; the result is a Dataset. What was uploaded is deleted when it is done."""
    from core.dataset import import_dataset

    here = _here()

    def work(progress: Progress, cancelled: Cancelled) -> "Dataset":
        try:
            made = import_dataset(source, here.workspace, name=name, progress=progress, cancelled=cancelled)
            forget_pictures(made.id)
            return made
        finally:
            if upload:
                rmtree(source if source.is_dir() else source.parent, ignore_errors=True)

    return here.jobs.start("import", name or source.name, work)


def delete_dataset(dataset_id: str) -> None:
    """Delete a data set of the workspace; runs made with it keep their figures. Raises DataError."""
    from core.dataset import delete_dataset as delete

    forget_pictures(dataset_id)
    delete(_here().workspace, dataset_id)


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


def with_strategy(recipe: Recipe, strategy: str) -> Recipe:
    """The draft with the rules that a strategy writes onto the tree. Raises RecipeError."""
    from core.strategies import apply_strategy

    return apply_strategy(recipe, strategy, tree(recipe))


def with_backbone(recipe: Recipe, name: str) -> Recipe:
    """The draft with another backbone: its best weights on this machine, a size it can see, the strategy written anew."""
    chosen = backbone(name)
    weights = recipe.weights if recipe.weights in chosen.weights else best_weights(chosen)
    new = recipe.changed(backbone=name, weights=weights, rules=(), strategy="full")
    new = with_size(new, chosen)
    keep = recipe.strategy if recipe.strategy not in ("custom", "scratch") else "full"
    return with_strategy(new, keep)


def with_dataset(recipe: Recipe, dataset_id: str) -> Recipe:
    """The draft with another data set and an image size that suits it. Raises DataError."""
    dataset(dataset_id)
    return with_size(recipe.changed(dataset=dataset_id))


def with_weights(recipe: Recipe, weights: str) -> Recipe:
    """The draft started from other weights, its size and the rules of its strategy following. Raises RecipeError."""
    new = recipe.changed(weights=weights)
    if "random" not in (weights, recipe.weights) or weights == recipe.weights:
        return with_size(new)
    if recipe.strategy == "custom":
        return with_size(new)
    strategy = "full" if recipe.strategy == "scratch" else recipe.strategy
    return with_strategy(with_size(new), strategy)


def keep_weights(name: str, data: bytes) -> Path:
    """Keep a weights file that came through the browser; the same content lies there once."""
    folder = _here().workspace.weights / "own"
    folder.mkdir(parents=True, exist_ok=True)
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in Path(name).stem)[:60]
    file = folder / f"{stem or 'weights'}-{hashlib.sha256(data).hexdigest()[:12]}.safetensors"
    if not file.exists():
        part = file.with_suffix(".part")
        part.write_bytes(data)
        part.replace(file)
    return file


def stripes(recipe: Recipe) -> dict[str, tuple[float, ...]]:
    """For each strategy what it would let learn, stage by stage and the head last: 0 frozen, 1 at the full rate."""
    from core.plan import plan
    from core.strategies import STRATEGIES

    made = tree(recipe)
    known = (made.backbone, made.root.total, made.image_size, recipe.weights == "random")
    cached = _here().stripes
    if known not in cached:
        parts = [*made.stages, (made[made.head],)]
        cached[known] = {}
        for name in STRATEGIES:
            planned = plan(made, with_strategy(recipe, name).rules)
            scales = {parameter: group.lr_scale for group in planned.groups for parameter in group.parameters}
            cached[known][name] = tuple(_height(part, scales) for part in parts)
    return cached[known]


def _height(blocks: Iterable["Block"], scales: dict[str, float]) -> float:
    """The highest rate in some blocks on a scale on which a tenth is half: 0 where nothing learns."""
    best = max((scales.get(p.name, 0.0) for block in blocks for p in block.all_parameters()), default=0.0)
    return 0.0 if best <= 0 else round(min(1.0, max(0.15, 1 + log10(best) / 2)), 3)


def best_weights(chosen: "Card") -> str:
    """What to start from without asking: weights that lie on this machine, else none."""
    if chosen.local:
        return next((kind for kind in chosen.weights if kind != "random"), "random")
    return "random"


def with_size(recipe: Recipe, chosen: "Card | None" = None) -> Recipe:
    """The draft with an image size that suits its pictures and its backbone.

    Pretrained networks see best at the size they learned at; others as much as the pictures have to show.
    """
    chosen = chosen or backbone(recipe.backbone)
    if recipe.weights == "pretrained":
        return recipe.changed(image_size=chosen.image_size)
    side = median_side(recipe.dataset) if recipe.dataset else 64
    size = max((one for one in SIZES if one <= side), default=SIZES[0])
    return recipe.changed(image_size=max(size, chosen.min_size))


def median_side(dataset_id: str) -> float:
    """The shorter side of the median picture, in pixels."""
    return median(min(item.width, item.height) for item in dataset(dataset_id).items)


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
    return reckon(made, planned, recipe, images=images, flops_per_second=_speed(recipe.device))


def _speed(device: str) -> float | None:
    """Measured once in the background, as soon as torch is there."""
    from core.estimate import measure_speed

    job = _here().jobs.find("speed", device)
    if job is None and "torch" in sys.modules:
        _here().jobs.start("speed", device, lambda progress, cancelled: measure_speed(device))
    return float(job.result) if job is not None and job.state == "done" else None
