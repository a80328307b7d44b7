"""What several commands do: open the workspace, find a run, bring data, write a file."""

import argparse
import errno
import json
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from core.console import Screen
from core.errors import DataError, StoreError
from core.export import MODEL_FILE
from core.store import Run, RunStore
from core.workspace import Workspace, default_root, open_workspace

if TYPE_CHECKING:
    from core.dataset import Dataset


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[RunStore]:
    """The store of the workspace that was asked for. Raises StoreError (`workspace.unusable`) for an empty name, too."""
    if args.workspace == "":  # an unset variable of a shell; as a path it would be the folder that one is in
        raise StoreError("workspace.unusable", path="''", reason=os.strerror(errno.ENOENT))
    store = RunStore(open_workspace(args.workspace))
    try:
        yield store
    finally:
        store.close()


def find(store: RunStore, text: str, *, with_model: bool = False) -> Run:
    """The run that a person means: an id or the beginning of one, a name, or `last`, if told of those that have a model.

    Raises StoreError (`run.unknown`, `run.none`, `run.ambiguous`).
    """
    found = store.runs()
    if not found:
        raise StoreError("run.none")
    if text == "last":
        return next((run for run in found if with_model and (store.folder(run.id) / MODEL_FILE).is_file()), found[0])
    meant = [run for run in found if run.name == text]
    if not meant and text:
        meant = [run for run in found if run.id.startswith(text.upper())]
    if not meant:
        raise StoreError("run.unknown", run=text[:60] or "''")
    if len(meant) > 1:
        raise StoreError("run.ambiguous", run=text[:60], n=len(meant), ids=", ".join(run.id for run in meant[:5]))
    return meant[0]


def check_data(text: str, workspace: Workspace) -> None:
    """Find out before anything slow is loaded that there is no such data. Raises DataError."""
    from core.dataset import DEMOS, open_dataset

    if text.startswith("demo:"):
        if text.removeprefix("demo:") not in DEMOS:  # or "demo:street@VERSION", which is looked for
            open_dataset(workspace, text)
    elif not text:  # as above
        raise DataError("data.missing", path="''")
    elif not Path(text).expanduser().exists() and not _is_id(text, workspace):
        raise DataError("data.missing", path=text)


def bring(text: str, workspace: Workspace, screen: Screen) -> "Dataset":
    """The data that a person means: a demo, a zip or folder, or the id of a set in the workspace."""
    from core.dataset import import_dataset, open_dataset

    path = Path(text).expanduser()
    progress = screen.progress("cli.preparing.data")
    if text.startswith("demo:") or (_is_id(text, workspace) and not path.exists()):
        return open_dataset(workspace, text, progress=progress)
    return open_dataset(workspace, import_dataset(path, workspace, progress=progress).id)


def _is_id(text: str, workspace: Workspace) -> bool:
    from core.dataset import list_datasets

    return any(dataset.id == text.partition("@")[0] for dataset in list_datasets(workspace))


def dataset_id(dataset: "Dataset") -> str:
    """How a recipe names it, with its version if there ever was an edit."""
    from core.dataset import read_edits

    name = f"demo:{dataset.demo}" if dataset.demo else dataset.id
    return f"{name}@{dataset.version}" if read_edits(dataset.folder) else name


def model_file(store: RunStore, run: Run) -> Path:
    """Where the model of a run lies. Raises StoreError (`run.no_model`, `run.failed_no_model`)."""
    file = store.folder(run.id) / MODEL_FILE
    if not file.is_file():
        raise StoreError("run.failed_no_model" if run.state == "failed" else "run.no_model", run=run.name)
    return file


def start_up() -> float:
    """Load what trains, before the clock of a run begins; gives the seconds since this process was started."""
    import core.training  # noqa: F401

    return time.time() - float(psutil.Process(os.getpid()).create_time())


def workspace_flag(workspace: Workspace) -> str:
    """How to say `workspace` again, where it is not the default one."""
    return "" if workspace.root == default_root().absolute() else f"--workspace {shlex.quote(str(workspace.root))}"


def check_writable(file: str | None) -> None:
    """Find out before a long run that its report has no place. Raises DataError (`cli.unwritable`)."""
    if file is None:
        return
    path, part = _target(file)
    try:
        if path.is_dir():
            raise IsADirectoryError(file)
        part.touch()  # only trying tells: root is refused by no permission, but by some file systems
        part.unlink()
    except OSError as error:
        raise DataError("cli.unwritable", path=file) from error


def write_json(file: str, content: dict[str, Any]) -> None:
    """Whole or not at all. Raises DataError (`cli.unwritable`)."""
    path, part = _target(file)
    try:
        part.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise DataError("cli.unwritable", path=file) from error


def _target(file: str) -> tuple[Path, Path]:
    """Where a report goes, and the file beside it that becomes it."""
    path = Path(file).expanduser().absolute()
    return path, path.with_name(f".{path.name}.{os.getpid()}.part")
