"""Library: the data sets of a workspace. Knows ids and demo names; nothing of how images are read."""

import difflib
import re
import shutil
from functools import lru_cache
from pathlib import Path

from core.dataset.apart import Cancelled, Progress
from core.dataset.demos import DEMOS, generate
from core.dataset.edits import Edit, edited, read_edits, standing, versions
from core.dataset.record import MANIFEST, Dataset, read_manifest
from core.errors import DataError
from core.workspace import Workspace

ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_latest: dict[Path, tuple[Dataset | None, tuple[Edit, ...], Dataset]] = {}
"""Of each folder the last set with edits, and from what it was made."""


def open_dataset(
    workspace: Workspace, id_or_demo: str, *, progress: Progress | None = None, cancelled: Cancelled | None = None
) -> Dataset:
    """The data set `id_or_demo` with its edits; a demo (`demo:NAME` or its id `demo-NAME`) is made when it is asked for.

    `ID@VERSION` is the set as it was in that version, `ID@original` as it was imported. Raises DataError
    (`dataset.unknown`, `dataset.no_version`, `dataset.damaged`, `data.cancelled`, `data.disk_full`).
    """
    name, _, version = id_or_demo.partition("@")
    imported = open_imported(workspace, name, progress=progress, cancelled=cancelled)
    edits = read_edits(imported.folder)
    if not version:
        return _now(imported.folder, imported, edits)
    for now in versions(edits):
        if now.version == version:
            return edited(imported, now)
    raise DataError("dataset.no_version", version=version[:20], name=imported.name)


def open_imported(
    workspace: Workspace, id_or_demo: str, *, progress: Progress | None = None, cancelled: Cancelled | None = None
) -> Dataset:
    """As `open_dataset`, without any edit: what `edits.decide` is told about."""
    key = id_or_demo.removeprefix("demo:").removeprefix("demo-")
    if id_or_demo != key and key in DEMOS:
        return _demo(workspace, key, progress, cancelled)
    folder = workspace.datasets / id_or_demo
    if not ID.fullmatch(id_or_demo) or not folder.is_dir():
        known = [dataset.id for dataset in list_datasets(workspace)] + [f"demo:{name}" for name in DEMOS]
        near = difflib.get_close_matches(id_or_demo, known, 1) or [f"demo:{next(iter(DEMOS))}"]
        raise DataError("dataset.unknown", id=id_or_demo, near=near[0])
    return _read(folder)[0]


def open_like(workspace: Workspace, id_or_demo: str, fingerprint: str) -> Dataset:
    """The version of a data set that has this fingerprint, else the one that its name says. Raises as `open_dataset`."""
    said = open_dataset(workspace, id_or_demo)
    if said.fingerprint == fingerprint:
        return said
    imported = open_imported(workspace, id_or_demo.partition("@")[0])
    found = (edited(imported, now) for now in versions(read_edits(imported.folder)))
    return next((dataset for dataset in found if dataset.fingerprint == fingerprint), said)


def pinned(workspace: Workspace, id_or_demo: str) -> str:
    """The name of what a run that begins now learns from: with its version, if there ever was an edit."""
    name, _, version = id_or_demo.partition("@")
    if version or not name:
        return id_or_demo
    demo = name.removeprefix("demo:") if name.startswith("demo:") else ""
    edits = read_edits(workspace.datasets / (f"demo-{demo}" if demo else name)) if demo or ID.fullmatch(name) else ()
    return f"{name}@{standing(edits).version}" if edits else name


def list_datasets(workspace: Workspace) -> tuple[Dataset, ...]:
    """Every data set that can be read, the newest first; demos that were made are among them (`Dataset.demo`)."""
    found: list[Dataset] = []
    for folder in workspace.datasets.iterdir():
        if ID.fullmatch(folder.name) and (folder / MANIFEST).is_file():
            try:
                dataset = _read(folder)[0]
                found.append(_now(folder, dataset, read_edits(folder)))
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
    _latest.pop(folder, None)
    folder.rename(bin)  # gone at once for everyone, whatever happens while its files are removed
    shutil.rmtree(bin, ignore_errors=True)


def drawn(workspace: Workspace, demo: str) -> Dataset | None:
    """A demo (an id, `demo:NAME`) as it was made before, without edits; None if it is not there as this version makes it."""
    key = demo.removeprefix("demo:")
    try:
        dataset, recipe = _read(workspace.datasets / f"demo-{key}")
    except DataError:
        return None
    whole = key in DEMOS and recipe == DEMOS[key].version and all(dataset.path(item).is_file() for item in dataset.items)
    return dataset if whole else None


def _demo(workspace: Workspace, key: str, progress: Progress | None, cancelled: Cancelled | None) -> Dataset:
    found = drawn(workspace, key)
    return generate(key, workspace, progress=progress, cancelled=cancelled) if found is None else found


def _now(folder: Path, imported: Dataset, edits: tuple[Edit, ...]) -> Dataset:
    """`imported` with its `edits`, laid over it once: pages ask several times a second."""
    if not edits:
        return imported
    seen, before, made = _latest.get(folder, (None, (), imported))
    if seen is not imported or before != edits:
        made = edited(imported, standing(edits))
        _latest[folder] = imported, edits, made
    return made


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
