"""Files of a run that a person takes along: the model, its ONNX file and what is known of it, and where they are served."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import streamlit as st

from core.run import Run
from ui import services
from ui.jobs import Cancelled, Job, Progress

if TYPE_CHECKING:
    from core.export import ExportReport

MODEL, ONNX, REPORT = "model.safetensors", "model.onnx", "model.onnx.json"


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
