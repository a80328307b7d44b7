"""Import: from a zip or folder to a data set of the workspace. Every image is decoded once, every unusable file is listed.

Never changes a file of the person. A data set appears whole or not at all: it is written beside its place and renamed. There
lies, too, what a killed import has done so far, to be gone on with.
"""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from core import locks
from core.container import usable_cores
from core.dataset.apart import Cancelled, Progress, take_apart
from core.dataset.publishing import publish
from core.dataset.quarantine import Candidate
from core.dataset.record import Dataset, Notice, Skipped
from core.dataset.taking import Labelled, take
from core.errors import DataError, Interrupted
from core.workspace import Workspace

STALE_SECONDS = 7 * 24 * 3600
FORSAKEN_SECONDS = 3600
"""For what nobody can go on with: a demo whose drawing was cut short is drawn anew."""
JOB = "job.json"
LOCK = "lock"
FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An import that was begun and neither ended nor cancelled."""

    source: Path
    name: str
    owner: str


def import_dataset(
    source: Path,
    workspace: Workspace,
    *,
    name: str = "",
    owner: str = "",
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Dataset:
    """The images of `source` (a zip or a folder: one folder a class, split folders, or a CSV), copied into the workspace.

    `progress` hears (files done, files). Strangers' bytes are read by a process of its own, which has limits and may die. An
    import that was killed, or that `cancelled` ended by raising Interrupted, goes on where it was when the same is imported
    again (`unfinished`). The same content a second time is the data set that exists, with what this import kept out; but two
    owners have one each, so that neither deletes or changes the other's. Raises DataError: what `source.open_source` raises,
    `data.no_space`, `data.cancelled`, `data.disk_full`, `workspace.unusable`, `data.reader_died`, and Refused
    (`data.no_images`, `data.none_usable`, `data.one_class`, `data.too_few`).
    """
    source = source.absolute()
    with _staging(workspace, Unfinished(source, name, owner)) as folder:
        taken = take_apart(source, folder, progress, cancelled, source.is_relative_to(workspace.uploads))
        title = name.strip() or taken.head.source.removesuffix(".zip").removesuffix(".ZIP")
        return publish(
            taken.images, (*taken.head.skipped, *taken.skipped), folder, workspace,
            name=title, source=taken.head.source, notices=taken.head.notices, owner=owner, cancelled=cancelled,
        )  # fmt: skip


def build(
    files: Sequence[Labelled],
    workspace: Workspace,
    *,
    name: str,
    source: str,
    skipped: Sequence[Skipped] = (),
    notices: Sequence[Notice] = (),
    id: str = "",
    recipe: str = "",
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Dataset:
    """Read, check and store our own `files`, in this process; `id` '' makes it from content. Raises as `import_dataset`."""
    with _staging(workspace) as folder:
        found: list[Candidate] = []
        bad = list(skipped)
        for done, (_, what) in enumerate(take(files, folder, threads=usable_cores()), 1):
            if isinstance(what, Candidate):
                found.append(what)
            else:
                bad.append(what)
            if progress:
                progress(done, len(files))
            if cancelled and cancelled():
                raise DataError("data.cancelled")
        return publish(
            found, bad, folder, workspace,
            name=name, source=source, notices=notices, id=id, recipe=recipe, cancelled=cancelled,
        )  # fmt: skip


def unfinished(workspace: Workspace) -> tuple[Unfinished, ...]:
    """Imports that a crash or the end of the server cut short, and whose source is still there."""
    found = [job for folder in workspace.datasets.glob(".import-*") if not _held(folder) and (job := _job(folder))]
    return tuple(job for job in found if job.source.exists())


@contextmanager
def _staging(workspace: Workspace, job: Unfinished | None = None) -> Iterator[Path]:
    """A folder beside the data sets: that of the same job if it was cut short. Gone at the end, unless Interrupted."""
    with _spoken(workspace):
        _sweep(workspace)
        folder, hold = (_go_on(workspace, job) if job else None) or _begin(workspace)
        keep = False
        try:
            if job:
                _note(job, folder)
            yield folder
        except Interrupted:
            keep = True
            raise
        finally:
            if not keep:
                with suppress(OSError):
                    (folder / JOB).unlink()  # nobody goes on with it from here
                shutil.rmtree(folder, ignore_errors=True)
            hold.release()


@contextmanager
def _spoken(workspace: Workspace) -> Iterator[None]:
    """What the disk says, in our words."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DataError("data.disk_full", path=str(workspace.root)) from error
        reason = error.strerror or str(error)
        raise DataError("workspace.unusable", path=str(workspace.root), reason=reason) from error


def _begin(workspace: Workspace) -> tuple[Path, locks.Hold]:
    folder = Path(tempfile.mkdtemp(prefix=".import-", dir=workspace.datasets))
    try:
        return folder, locks.born_locked(folder / LOCK)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _note(job: Unfinished, folder: Path) -> None:
    """From now on the job is known to be unfinished."""
    draft = folder / f".{JOB}"
    draft.write_bytes(orjson.dumps([os.fsencode(job.source).hex(), job.name, job.owner]))
    draft.replace(folder / JOB)


def _go_on(workspace: Workspace, job: Unfinished) -> tuple[Path, locks.Hold] | None:
    """The folder of the same job, now ours; None if there is none that nobody is at work in."""
    for folder in workspace.datasets.glob(".import-*"):
        if _job(folder) != job:
            continue
        try:
            hold = locks.take(folder / LOCK)
        except OSError:  # it has just ended
            continue
        if hold and _job(folder) == job:
            return folder, hold
        if hold:
            hold.release()
    return None


def _job(folder: Path) -> Unfinished | None:
    try:
        source, name, owner = orjson.loads((folder / JOB).read_bytes())
        return Unfinished(Path(os.fsdecode(bytes.fromhex(source))), str(name), str(owner))
    except (OSError, ValueError, TypeError):
        return None


def _held(folder: Path) -> bool:
    return locks.is_held(folder / LOCK)


def _sweep(workspace: Workspace) -> None:
    """Remove what was begun long ago and will not be gone on with."""
    for old in workspace.datasets.glob(".import-*"):
        with suppress(FileNotFoundError):
            may = STALE_SECONDS if (old / JOB).exists() else FORSAKEN_SECONDS
            if time.time() - old.stat().st_mtime > may and not _held(old):
                shutil.rmtree(old, ignore_errors=True)
