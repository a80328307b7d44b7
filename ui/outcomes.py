"""What the pages about runs ask: what came out, which pictures lie behind a figure, how runs differ, what a model answers.

A part of the door to core that `services` is. Knows no widget and no session; what is slow is a job.
"""

import base64
import hashlib
import io
import json
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
import streamlit as st
from PIL import Image

from core.errors import StoreError, ThawError
from core.events import Pause, Scores
from core.heavy import load_torch
from core.pins import FILE
from core.recipe import Recipe
from core.run import ACTIVE, Run, State
from ui import services
from ui.jobs import Cancelled, Job, Progress

if TYPE_CHECKING:
    import numpy as np

    from core.export import ExportReport
    from core.history import RunState
    from core.model import Model

WITH_MODEL = frozenset[State]({"finished", "stopped"})
"""States of runs that ended with the best weights restored and tested; but see `has_model`."""
MODEL, ONNX, REPORT = "model.safetensors", "model.onnx", "model.onnx.json"
MOST_OFFERED = 50
"""Runs that a box offers; older ones are opened from the list of all."""
TOP = 5
KEPT = 16
"""Questions whose answers stay in memory."""
MOST_PICTURES = 24
"""Pictures that are answered at a time."""


# --- runs ---------------------------------------------------------------------------------------------------------------


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


# --- what came out ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model said about one picture."""

    sha256: str
    name: str
    true: int
    predicted: int
    sure: float
    """Probability of the class it named."""
    top: tuple[tuple[int, float], ...]
    """The likeliest classes with their probabilities."""


def predictions(run_id: str) -> tuple[Prediction, ...]:
    """The tested pictures of a run; none if its file is gone or unreadable."""
    file = services.run_folder(run_id) / "test.json"
    try:
        return _predictions(file, file.stat().st_mtime_ns)
    except OSError:
        return ()


@lru_cache(maxsize=4)
def _predictions(file: Path, changed: int) -> tuple[Prediction, ...]:
    try:
        rows = orjson.loads(file.read_bytes())["items"]
        return tuple(_prediction(row) for row in rows)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ()


def _prediction(row: dict[str, Any]) -> Prediction:
    top = tuple((one["class"], one["probability"]) for one in row["top"])
    return Prediction(row["sha256"], row["name"], row["label"], row["predicted"], row["confidence"], top)


def behind(found: Sequence[Prediction], cell: tuple[int, int | None] | None) -> list[Prediction]:
    """The pictures behind a cell (class, class named); with None as the second, those of the class that were missed.

    Without a cell all mistakes. Mistakes come most sure first, right answers least sure first: the telling ones in front.
    """
    if cell is None:
        picked = [one for one in found if one.true != one.predicted]
    elif cell[1] is None:
        picked = [one for one in found if one.true == cell[0] != one.predicted]
    else:
        picked = [one for one in found if (one.true, one.predicted) == cell]
    return sorted(picked, key=lambda one: one.sure if one.true == one.predicted else -one.sure)


def right(scores: Scores) -> int:
    """Pictures named right."""
    return sum(one.found for one in scores.per_class)


def majority_class(scores: Scores) -> str:
    """The class whose share is the baseline, if the figures tell which one it was; else ''."""
    fits = [one.name for one in scores.per_class if math.isclose(one.support, scores.majority_accuracy * scores.images)]
    return fits[0] if len(fits) == 1 else ""


def interval(right: int, images: int) -> tuple[float, float]:
    """Where the accuracy on endlessly many such pictures lies, with 95 % confidence: Wilson 1927."""
    if images == 0:
        return 0.0, 1.0
    z, share = 1.959964, right / images
    middle = share + z * z / (2 * images)
    spread = z * math.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    scale = 1 + z * z / images
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


# --- how runs differ ----------------------------------------------------------------------------------------------------


def differences(recipes: Sequence[Recipe]) -> dict[str, list[Any]]:
    """Settings that are not the same in all of `recipes`: field to one value each, in the order of the recipe."""
    flat = [_flat(recipe.model_dump(mode="json")) for recipe in recipes]
    return {
        field: [one[field] for one in flat]
        for field in (flat[0] if flat else ())
        if field != "name" and any(one[field] != flat[0][field] for one in flat)
    }


def _flat(document: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {above + name: value}
    return flat


# --- what a model answers -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Guess:
    """What the model says about one picture that a person gave, or why it could not be looked at."""

    name: str
    picture: str = ""
    """Data URL of what the model sees: the square of its size."""
    side: int = 0
    classes: int = 0
    """How many the model can choose from."""
    bars: tuple[tuple[str, float], ...] = ()
    """(class, probability), the likeliest first."""
    error: ThawError | None = None


def predict(run_id: str, pictures: Sequence[tuple[str, bytes]], kept: str = "") -> Job:
    """Let the model of a run look at (name, bytes) pictures; gives a list of Guess. The same question is asked once.

    `kept` is the file of a moment that is asked instead. A run that went on has another model, and is asked anew.
    """
    file = services.run_folder(run_id) / (kept if FILE.fullmatch(kept) else MODEL)
    changed = file.stat().st_mtime_ns if file.is_file() else 0
    digest = hashlib.sha256(f"{run_id}/{kept}/{changed}".encode())
    for name, data in pictures:
        digest.update(name.encode("utf-8", "replace") + hashlib.sha256(data).digest())
    question, jobs = digest.hexdigest(), services.jobs()
    known = jobs.find("predict", question)
    if known is not None and known.state in ("running", "done"):
        return known
    asked = list(pictures)[:MOST_PICTURES]

    def work(progress: Progress, cancelled: Cancelled) -> list[Guess]:
        model = _model(file, file.stat().st_mtime_ns) if file.is_file() else None
        if model is None:
            raise ThawError("export.no_model", run=run_id)
        guesses = []
        for number, (name, data) in enumerate(asked, 1):
            guesses.append(_guess(model, name, data))
            progress(number, len(asked))
        return guesses

    job = jobs.start("predict", question, work)
    _asked.append(job)
    if len(_asked) > KEPT:
        jobs.forget(_asked.popleft())
    return job


_asked: deque[Job] = deque()
_loading = threading.Lock()


def _model(file: Path, changed: int) -> "Model":
    """The model in memory, loaded once whoever asks; the last two are kept."""
    with _loading:
        return _loaded(file, changed)


@lru_cache(maxsize=2)
def _loaded(file: Path, changed: int) -> "Model":
    load_torch()
    from core.model import load_model

    return load_model(file)


def _guess(model: "Model", name: str, data: bytes) -> Guess:
    from core.images import decode

    try:
        pixels = decode(data, model.image_size, model.fit, name=name)
    except ThawError as error:
        return Guess(name, error=error)
    (shares,) = model.predict([data])
    order = sorted(range(len(shares)), key=lambda at: -shares[at])[:TOP]
    bars = tuple((model.classes[at], float(shares[at])) for at in order)
    return Guess(name, picture=_data_url(pixels), side=model.image_size, classes=len(model.classes), bars=bars)


def _data_url(pixels: "np.ndarray") -> str:
    """A picture (H, W, 3) uint8 as an address that needs no server; a small one without loss, for its pixels are shown."""
    body = io.BytesIO()
    small = len(pixels) < 160
    Image.fromarray(pixels).save(body, "WEBP", lossless=small, quality=50 if small else 90, method=2)
    return "data:image/webp;base64," + base64.b64encode(body.getvalue()).decode()


# --- taking a model along -----------------------------------------------------------------------------------------------


def export(run_id: str) -> Job:
    """Write and check the ONNX file of a run in a process of its own; the result is an ExportReport."""
    from core.export import export_apart

    folder = services.run_folder(run_id)

    def work(progress: Progress, cancelled: Cancelled) -> "ExportReport":
        mark = _mark(folder)  # before: the run may get another model meanwhile
        report = export_apart(folder, "onnx", folder / ONNX, cancelled=cancelled)
        said = {**asdict(report), "path": ONNX, "of": mark}
        (folder / REPORT).write_text(json.dumps(said), "utf-8")
        return report

    return services.jobs().start("export", run_id, work)


def export_job(run_id: str) -> Job | None:
    """The newest export of a run in this process. Raises StoreError (`run.unknown`)."""
    services.run(run_id)
    return services.jobs().find("export", run_id)


def exported(run_id: str) -> "ExportReport | None":
    """What is known about the ONNX file of a run; None if there is none, or if the file or the model is another one now."""
    from core.export import ExportReport

    folder = services.run_folder(run_id)
    try:
        said = json.loads((folder / REPORT).read_text("utf-8"))
        of = said.pop("of")
        report = ExportReport(**{**said, "path": folder / ONNX})
        return report if report.path.stat().st_size == report.bytes and of == _mark(folder) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _mark(folder: Path) -> list[int]:
    """What changes when the run goes on and gets another model."""
    found = (folder / MODEL).stat()
    return [found.st_size, found.st_mtime_ns]


def weights_bytes(run_id: str) -> int | None:
    """Size of the run's own weights file; None if it has none."""
    file = services.run_folder(run_id) / MODEL
    return file.stat().st_size if file.is_file() else None


def download_url(run_id: str, file: str) -> str:
    """Where a file of a run is served."""
    return f"{_base()}/api/download/{run_id}/{file}"


def image_url(dataset_id: str, sha256: str) -> str:
    """Where a picture of a data set is served in full."""
    return f"{_base()}/api/image/{quote(dataset_id, safe='')}/{sha256}"


def _base() -> str:
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""


def usage(run: Run) -> str:
    """A few lines of Python that use the ONNX file of a run."""
    from core.export.usage import usage as lines

    return lines(run.recipe.image_size, run.recipe.fit, file=f"thaw-{run.id[-8:].lower()}-{ONNX}")
