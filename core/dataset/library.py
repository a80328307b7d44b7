"""Library: the data sets of a workspace. Knows ids and demo names; nothing of how images are read."""

import difflib
import re
import shutil
from functools import lru_cache
from pathlib import Path

from core.dataset.demos import DEMOS, generate
from core.dataset.importing import Cancelled, Progress
from core.dataset.record import MANIFEST, Dataset, read_manifest
from core.errors import DataError
from core.workspace import Workspace

ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def open_dataset(
    workspace: Workspace, id_or_demo: str, *, progress: Progress | None = None, cancelled: Cancelled | None = None
) -> Dataset:
    """The data set `id_or_demo`; a demo (`demo:NAME` or its id `demo-NAME`) is made when it is first asked for.

    Raises DataError (`dataset.unknown`, `dataset.damaged`, `data.cancelled`, `data.disk_full`).
    """
    key = id_or_demo.removeprefix("demo:").removeprefix("demo-")
    if id_or_demo != key and key in DEMOS:
        return _demo(workspace, key, progress, cancelled)
    folder = workspace.datasets / id_or_demo
    if not ID.fullmatch(id_or_demo) or not folder.is_dir():
        known = [dataset.id for dataset in list_datasets(workspace)] + [f"demo:{name}" for name in DEMOS]
        near = difflib.get_close_matches(id_or_demo, known, 1) or [f"demo:{next(iter(DEMOS))}"]
        raise DataError("dataset.unknown", id=id_or_demo, near=near[0])
    return _read(folder)[0]


def list_datasets(workspace: Workspace) -> tuple[Dataset, ...]:
    """Every data set that can be read, the newest first; demos that were made are among them (`Dataset.demo`)."""
    found: list[Dataset] = []
    for folder in workspace.datasets.iterdir():
        if ID.fullmatch(folder.name) and (folder / MANIFEST).is_file():
            try:
                found.append(_read(folder)[0])
            except DataError:
                continue  # open_dataset says what is wrong with it
    return tuple(sorted(found, key=lambda dataset: (dataset.created, dataset.id), reverse=True))


def delete_dataset(workspace: Workspace, id: str) -> None:
    """Remove a data set with its images. Raises DataError (`dataset.unknown`)."""
    folder = workspace.datasets / id
    if not ID.fullmatch(id) or not folder.is_dir():
        raise DataError("dataset.unknown", id=id, near=f"demo:{next(iter(DEMOS))}")
    bin = workspace.datasets / f".import-deleted-{id}"
    shutil.rmtree(bin, ignore_errors=True)
    folder.rename(bin)  # gone at once for everyone, whatever happens while its files are removed
    shutil.rmtree(bin, ignore_errors=True)


def _demo(workspace: Workspace, key: str, progress: Progress | None, cancelled: Cancelled | None) -> Dataset:
    folder = workspace.datasets / f"demo-{key}"
    try:
        dataset, recipe = _read(folder)
    except DataError:
        recipe = ""
    if recipe == DEMOS[key].version and all(dataset.path(item).is_file() for item in dataset.items):
        return dataset
    return generate(key, workspace, progress=progress, cancelled=cancelled)


def _read(folder: Path) -> tuple[Dataset, str]:
    try:
        written = (folder / MANIFEST).stat()
    except OSError as error:
        raise DataError("dataset.damaged", id=folder.name) from error
    return _read_once(folder, written.st_mtime_ns, written.st_size, written.st_ino)


@lru_cache(maxsize=64)
def _read_once(folder: Path, changed: int, size: int, inode: int) -> tuple[Dataset, str]:
    """A manifest is read again only if it changed: pages ask several times a second."""
    return read_manifest(folder)
