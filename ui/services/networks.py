"""Networks for pages: backbones, their trees and weights, the draft of a recipe, what it will take, rates that suit it."""

import hashlib
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ThawError
from core.heavy import load_torch
from core.recipe import Recipe, parse
from ui import warmup
from ui.jobs import Cancelled, Job, Progress
from ui.services.house import access, check, opened, remembered
from ui.services.sets import dataset, split_counts

if TYPE_CHECKING:
    import pandas as pd

    from core.backbones import Card
    from core.estimate import Costs, Estimate
    from core.layers import LayerTree
    from core.plan import Plan


FIRST_BACKBONE = "thaw-small"
FIRST_EPOCHS = 12


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


def _settled(recipe: Recipe) -> Recipe:
    """On the device and on the version of its data set that a run would take that was started now."""
    from core.dataset import pinned

    here = opened()
    on = here.engine.device if recipe.device == "auto" else recipe.device
    return recipe.changed(device=on, dataset=pinned(here.workspace, recipe.dataset))


def find_rate(recipe: Recipe, part: str | None) -> Job:
    """Try learning rates on the draft in the background; the result is a `core.training.finder.Found`."""
    here, recipe = opened(), _settled(recipe)
    check(recipe)

    def work(progress: Progress, cancelled: Cancelled) -> Any:
        load_torch()
        from core.training.finder import find_rate as find

        return find(recipe, workspace=here.workspace, part=part, progress=progress, cancelled=cancelled)

    old = find_job(recipe, part)
    if old is not None:
        here.jobs.forget(old)
    return here.jobs.start("finder", _find_name(recipe, part), work)


def find_job(recipe: Recipe, part: str | None) -> Job | None:
    """The search for a rate that was made with this draft, whatever its own rate and length."""
    return opened().jobs.find("finder", _find_name(recipe, part))


def _find_name(recipe: Recipe, part: str | None) -> str:
    settled = _settled(recipe).changed(name="", lr=1e-3, epochs=10_000, schedule="constant", patience=0, metric="accuracy")
    return hashlib.sha256(f"{settled.to_json()} {part}".encode()).hexdigest()


def sweep_rates(recipe: Recipe) -> Job:
    """Try a hundred rates of the draft's head at once in the background; the result is a `core.training.rates.RateSweep`."""
    here, recipe = opened(), _settled(recipe)
    check(recipe)

    def work(progress: Progress, cancelled: Cancelled) -> Any:
        load_torch()
        from core.training.rates import sweep_rates as sweep

        return sweep(recipe, workspace=here.workspace, progress=progress, cancelled=cancelled)

    old = sweep_job(recipe)
    if old is not None:
        here.jobs.forget(old)
    return here.jobs.start("sweep", _sweep_name(recipe), work)


def sweep_job(recipe: Recipe) -> Job | None:
    """The sweep that was made with this draft, whatever its own rate."""
    return opened().jobs.find("sweep", _sweep_name(recipe))


def _sweep_name(recipe: Recipe) -> str:
    settled = _settled(recipe).changed(name="", strategy="custom", lr=1e-3, film=(), instruments=False)
    return hashlib.sha256(settled.to_json().encode()).hexdigest()


def first_draft() -> Recipe:
    """The draft that a new tab begins with: as last left in this workspace, else a small network that needs no download."""
    try:
        return parse(_draft_file().read_text("utf-8"))
    except (OSError, ThawError):
        return Recipe(
            backbone=FIRST_BACKBONE, weights=backbone(FIRST_BACKBONE).weights[0], image_size=64, epochs=FIRST_EPOCHS
        )


def keep_draft(recipe: Recipe) -> None:
    """Remember the draft for the next tab and the next reload. A full disk costs only that."""
    file = _draft_file()
    part = file.with_suffix(".part")
    with suppress(OSError):
        part.write_text(recipe.to_json(), "utf-8")
        part.replace(file)


def _draft_file() -> Path:
    owner = access().owner()
    return opened().workspace.root / (f"draft-{owner}.json" if owner else "draft.json")


def backbones() -> tuple["Card", ...]:
    """The cards of all backbones."""
    from core.backbones import cards

    return cards(opened().workspace)


def backbone(name: str) -> "Card":
    """One card. Raises RecipeError (`backbone.unknown`)."""
    from core.backbones import card

    return card(name, opened().workspace)


def classes_of(recipe: Recipe) -> int:
    """Classes of the chosen data set; ten as long as none is chosen, so that a network can be looked at."""
    try:
        return len(dataset(recipe.dataset).classes) if recipe.dataset else 10
    except ThawError:
        return 10


def tree(recipe: Recipe) -> "LayerTree":
    """The layer tree of the draft's backbone with a head for its classes. Raises RecipeError."""
    from core.backbones import layer_tree

    return layer_tree(
        recipe.backbone, classes=classes_of(recipe), image_size=recipe.image_size, workspace=opened().workspace
    )


def keep_weights(name: str, data: bytes) -> Path:
    """Keep a weights file that came through the browser; the same content lies there once. Raises AccessError."""
    access().check_disk(len(data))
    folder = opened().workspace.weights / "own" / access().owner()
    folder.mkdir(parents=True, exist_ok=True)
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in Path(name).stem)[:60]
    file = folder / f"{stem or 'weights'}-{hashlib.sha256(data).hexdigest()[:12]}.safetensors"
    if not file.exists():
        part = file.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            part.write_bytes(data)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    return file


def start_fetch(name: str) -> Job:
    """Download the pretrained weights of a backbone in the background."""
    from core.backbones import fetch

    here = opened()

    def work(progress: Progress, cancelled: Cancelled) -> Path:
        return fetch(name, here.workspace, progress=progress, cancelled=cancelled)

    return here.jobs.start("weights", name, work)


def estimate(recipe: Recipe, made: "LayerTree", planned: "Plan") -> "Estimate":
    """Memory and time of the draft on this machine, as runs here have taught; no time until its costs are measured."""
    from core.estimate import estimate as reckon
    from core.pace import corrected

    recipe = _settled(recipe)
    images = sum(split_counts(recipe)["train"].values()) if recipe.dataset else 1000
    told = reckon(made, planned, recipe, images=images, costs=costs(recipe, made))
    return corrected(told, recipe, opened().workspace)


def forecast(recipe: Recipe, made: "LayerTree") -> "Estimate":
    """As `estimate`, of the whole run with all that begins to learn on the way."""
    from core.estimate import forecast as reckon
    from core.pace import corrected

    recipe = _settled(recipe)
    images = sum(split_counts(recipe)["train"].values()) if recipe.dataset else 1000
    told = reckon(made, recipe, images=images, costs=costs(recipe, made))
    return corrected(told, recipe, opened().workspace)


def costs(recipe: Recipe, made: "LayerTree") -> "Costs | None":
    """Of the draft's network; None until measured, which waits for torch and for runs: beside them it would tell nothing."""
    from core.estimate import known_costs

    recipe = _settled(recipe)
    known = known_costs(recipe)
    if known is None and warmup.done.is_set() and _costs_job(recipe) is None:

        def work(progress: Progress, cancelled: Cancelled) -> "Costs":
            from core.training.costs import measure_costs

            return measure_costs(recipe, made, opened().workspace)

        if not opened().store.count(states={"running"}):
            opened().jobs.start("costs", _costs_name(recipe), work)
    return known


def measures(recipe: Recipe, made: "LayerTree") -> bool:
    """The costs of the draft's network will be known in a moment."""
    if costs(recipe, made) is not None:
        return False
    job = _costs_job(_settled(recipe))
    return not warmup.done.is_set() if job is None else job.state == "running"


def _costs_job(recipe: Recipe) -> Job | None:
    return opened().jobs.find("costs", _costs_name(recipe))


def _costs_name(recipe: Recipe) -> str:
    from core.estimate import costs_key

    return ", ".join(map(str, costs_key(recipe)))
