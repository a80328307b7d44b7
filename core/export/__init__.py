"""A finished run's model as a file that other programs open: safetensors or ONNX, checked before anyone gets it.

Knows formats by name and how an export is checked and put in its place; what a format looks like inside is its own file's.
Nothing here imports torch: a server asks `export_apart`, which works in a process of its own.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

from core.errors import ExportError, ThawError

FORMATS = {"safetensors": ".safetensors", "onnx": ".onnx"}
"""Names of the formats, each a module here with `write(run_folder, part) -> Check`, and their file suffixes."""
MODEL_FILE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Check:
    """How an export was compared with the app's own model."""

    images: int
    """Pictures that both were asked about; 0 where the file is the app's own and only its integrity was checked."""
    source: str
    """'dataset' (pictures of the run's own data set), 'generated' (the data set is gone) or '' (none needed)."""
    largest_difference: float
    """Of any probability of any class, in [0, 1]."""
    same_top1: int
    """Pictures for which both name the same class first."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """An exported file and what is known about it."""

    path: Path
    format: str
    bytes: int
    sha256: str
    images_checked: int
    images_source: str
    largest_difference: float
    same_top1: int


def export_model(run_folder: Path, format: str, out: Path) -> ExportReport:
    """Write the model of the run in `run_folder` to `out`, whole and checked or not at all.

    Imports torch, and while ONNX is made it changes parts of torch that other threads use: a training in the same process
    dies of it (measured with torch 2.15). Beside a training call `export_apart`.
    Raises ExportError: `export.unknown_format`, `export.no_model`, `export.disagrees`, `export.unsupported`,
    `export.too_large`, `export.cannot_write`.
    """
    if format not in FORMATS:
        raise ExportError("export.unknown_format", format=format, known=", ".join(FORMATS))
    if not (run_folder / MODEL_FILE).is_file():
        raise ExportError("export.no_model", run=run_folder.name)
    part = out.with_name(f".{out.name}.{os.getpid()}.tmp")  # so that one left by a crash is swept up
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        check: Check = import_module(f"core.export.{format}").write(run_folder, part)
        _settle(part)
        part.replace(out)
        found = out.stat().st_size, digest(out)
    except OSError as error:
        raise ExportError("export.cannot_write", path=str(out), reason=error.strerror or str(error)) from error
    finally:
        with suppress(OSError):  # not there, or its folder is none: nothing to tidy up
            part.unlink()
    return ExportReport(
        path=out,
        format=format,
        bytes=found[0],
        sha256=found[1],
        images_checked=check.images,
        images_source=check.source,
        largest_difference=check.largest_difference,
        same_top1=check.same_top1,
    )


def export_apart(run_folder: Path, format: str, out: Path, *, cancelled: Callable[[], bool] = lambda: False) -> ExportReport:
    """As `export_model`, in a process of its own, so that a training or a page in this one goes on undisturbed.

    Raises what `export_model` raises, `export.cancelled`, and `export.crashed` if the process dies.
    """
    command = [sys.executable, "-m", "core.export", str(run_folder), format, str(out)]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=nothing, stdout=pipe, stderr=pipe) as child:  # noqa: S603 - our own module
        try:
            said, complaint = _hear(child, cancelled)
        finally:
            child.kill()  # whatever ended the waiting; one that has ended is not met
    if said is None:
        raise ExportError("export.cancelled", format=format)
    try:
        answer = json.loads(said.decode("utf-8").strip().rpartition("\n")[2])
    except ValueError as error:
        last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
        raise ExportError("export.crashed", status=child.returncode, reason=last or "-") from error
    if "code" in answer:
        raise ExportError(answer["code"], **answer["values"])
    return ExportReport(**{**answer, "path": Path(answer["path"])})


def _hear(child: subprocess.Popen[bytes], cancelled: Callable[[], bool]) -> tuple[bytes | None, bytes]:
    """What the child wrote until its end; None if it is to end because of `cancelled`."""
    while True:
        try:
            return child.communicate(timeout=0.2)
        except subprocess.TimeoutExpired:
            if cancelled():
                return None, b""


def answer(run_folder: Path, format: str, out: Path) -> str:
    """What the child of `export_apart` says: one line of JSON, a report or a failure."""
    try:
        report = export_model(run_folder, format, out)
    except ThawError as error:
        return json.dumps({"code": error.code, "values": error.values})
    return json.dumps({**asdict(report), "path": str(report.path)})


def digest(file: Path) -> str:
    """SHA-256 of `file`, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _settle(file: Path) -> None:
    """Force `file` to the disk."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
