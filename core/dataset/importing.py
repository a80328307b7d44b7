"""Import: from a zip or folder to a data set of the workspace. Every image is decoded once, every unusable file is listed.

Never changes a file of the person. A data set appears whole or not at all: it is written beside its place and renamed.
"""

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from core.dataset import names
from core.dataset.edits import FILE as EDITS
from core.dataset.layout import arrange, suffix
from core.dataset.quarantine import Candidate, alone, left_out, refusal, without_doubles, without_lonely
from core.dataset.record import MANIFEST, Dataset, Item, Notice, Skipped, Split, fingerprint, read_manifest, write_manifest
from core.dataset.source import MAX_FILE_BYTES, Entry, check_room, open_source
from core.dataset.summary import problems
from core.dataset.table import MAX_TABLE_BYTES
from core.dataset.table import SUFFIXES as TABLES
from core.errors import DataError
from core.images import inspect
from core.threads import usable_cores
from core.workspace import Workspace

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]
STALE_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Labelled:
    """One file that should become an image of a data set."""

    name: str
    label: str
    split: Split | None
    read: Callable[[], bytes]


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

    `progress` hears (files done, files). The same content a second time is the data set that exists, with what this
    import kept out; but two owners have one each, so that neither deletes or changes the other's. Raises DataError: what
    `source.open_source` raises, `data.cancelled`, `data.disk_full`, and Refused (`data.no_images`, `data.none_usable`,
    `data.one_class`, `data.too_few`).
    """
    with open_source(source) as opened:
        tables = [entry for entry in opened.entries if f".{suffix(entry.name)}" in TABLES]
        others = {entry.name: entry for entry in opened.entries if f".{suffix(entry.name)}" not in TABLES}
        skipped = list(opened.refused)
        texts = [(entry.name, data) for entry in tables if (data := _table(entry, skipped)) is not None]
        layout = arrange(list(others), opened.folders, texts)
        skipped += layout.skipped
        files: list[Labelled] = []
        for file, place in layout.places.items():
            if others[file].size > MAX_FILE_BYTES:
                size = others[file].size // 2**20
                skipped.append(
                    Skipped(file, "data.file_too_big", {"name": file, "size": size, "limit": MAX_FILE_BYTES // 2**20})
                )
            else:
                files.append(Labelled(file, place.label, place.split, others[file].read))
        check_room(opened.name, sum(others[file.name].size for file in files), workspace.datasets)
        title = name.strip() or opened.name.removesuffix(".zip").removesuffix(".ZIP")
        return build(
            files, workspace, name=title, source=opened.name, skipped=skipped, notices=layout.notices, owner=owner,
            progress=progress, cancelled=cancelled,
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
    owner: str = "",
    recipe: str = "",
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Dataset:
    """Read, check and store `files` as a data set; `id` '' makes it from content and owner. Raises as `import_dataset`."""
    with _staging(workspace) as folder:
        found, bad = _take(files, folder, progress, cancelled)
        kept, doubled = without_doubles(found)
        kept, lonely = without_lonely(kept)
        left = sorted((*skipped, *bad, *doubled, *(alone(one) for one in lonely)), key=lambda file: names.natural(file.name))
        classes = tuple(sorted({one.label for one in kept}, key=names.natural))
        if len(classes) < 2:
            raise refusal(source, [*kept, *lonely], left)
        numbers = {label: number for number, label in enumerate(classes)}
        items = tuple(
            Item(one.sha256, one.name, numbers[one.label], one.split, one.facts.width, one.facts.height, one.facts.suffix)
            for one in sorted(kept, key=lambda one: (numbers[one.label], names.natural(one.name)))
        )
        written = {f"{one.sha256}.{one.facts.suffix}" for one in found}
        for stray in written - {f"{item.sha256}.{item.suffix}" for item in items}:
            (folder / stray).unlink()
        content = fingerprint(classes, items)
        id = id or (hashlib.sha256(f"{content} {owner}".encode()).hexdigest() if owner else content)[:16]
        created = datetime.now(UTC).isoformat(timespec="seconds")
        dataset = Dataset(id, name, source, classes, items, tuple(left), (), workspace.datasets / id, created)
        said = (*notices, *left_out(lonely), *_handled(kept), *problems(dataset))
        dataset = replace(dataset, notices=said)
        write_manifest(dataset, folder, recipe=recipe)
        return _publish(dataset, folder, recipe)


def _table(entry: Entry, skipped: list[Skipped]) -> bytes | None:
    try:
        if entry.size > MAX_TABLE_BYTES:
            raise OSError(f"{entry.size // 2**20} MB")
        return entry.read()
    except OSError as error:
        skipped.append(_unreadable(entry.name, error))
        return None


def _unreadable(name: str, error: OSError) -> Skipped:
    return Skipped(name, "data.unreadable", {"name": name, "reason": error.strerror or str(error)})


@contextmanager
def _staging(workspace: Workspace) -> Iterator[Path]:
    """A folder beside the data sets, gone at the end whatever happens; those that a killed import left are swept."""
    for old in workspace.datasets.glob(".import-*"):
        if time.time() - old.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".import-", dir=workspace.datasets))
    try:
        yield folder
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise DataError("data.disk_full", path=str(workspace.root)) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take(
    files: Sequence[Labelled], folder: Path, progress: Progress | None, cancelled: Cancelled | None
) -> tuple[list[Candidate], list[Skipped]]:
    """Each file read, decoded to the end and written to `folder` under the hash of its bytes, in a pool of threads."""
    kept: list[Candidate] = []
    skipped: list[Skipped] = []
    waiting: deque[Future[Candidate | Skipped]] = deque()
    with ThreadPoolExecutor(usable_cores(), "import") as pool:

        def collect() -> None:
            one = waiting.popleft().result()
            if isinstance(one, Candidate):
                kept.append(one)
            else:
                skipped.append(one)
            if progress:
                progress(len(kept) + len(skipped), len(files))

        try:
            for file in files:
                if cancelled and cancelled():
                    raise DataError("data.cancelled")
                waiting.append(pool.submit(_take_one, file, folder))
                if len(waiting) > 4 * usable_cores():
                    collect()
            while waiting:
                collect()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return kept, skipped


def _take_one(file: Labelled, folder: Path) -> Candidate | Skipped:
    try:
        data = file.read()
    except OSError as error:
        return _unreadable(file.name, error)
    try:
        facts = inspect(data, name=file.name)
    except DataError as error:
        return Skipped(file.name, error.code, error.values)
    sha256 = hashlib.sha256(data).hexdigest()
    with suppress(FileExistsError), (folder / f"{sha256}.{facts.suffix}").open("xb") as out:
        out.write(data)
    return Candidate(file.name, file.label, file.split, sha256, facts)


def _handled(kept: Sequence[Candidate]) -> list[Notice]:
    """One notice for each way in which pictures were brought into shape, with how many."""
    notes = Counter(note for one in kept for note in one.facts.notes)
    return [(f"data.{note}", {"n": n}) for note, n in sorted(notes.items())]


def _publish(dataset: Dataset, folder: Path, recipe: str) -> Dataset:
    """Rename `folder` to the data set's place; a whole one that the same `recipe` made stays, and says what is new."""
    if dataset.folder.exists():
        if there := _whole(dataset.folder, recipe):
            return _told_anew(there, dataset, folder, recipe)
        with suppress(FileNotFoundError):  # what a person has decided outlives a set that is made anew
            shutil.copyfile(dataset.folder / EDITS, folder / EDITS)
        shutil.rmtree(dataset.folder)
    if hasattr(os, "sync"):
        os.sync()  # one flush of all files: a power cut after the rename finds them whole
    try:
        os.replace(folder, dataset.folder)
    except OSError:
        if there := _whole(dataset.folder, recipe):  # another import of the same content was faster
            return there
        raise
    return dataset


def _told_anew(there: Dataset, dataset: Dataset, folder: Path, recipe: str) -> Dataset:
    """`there` with the files that this import kept out, and its notices; images, names and their order stay."""
    if (there.skipped, there.notices) == (dataset.skipped, dataset.notices):
        return there
    told = replace(there, skipped=dataset.skipped, notices=dataset.notices)
    write_manifest(told, folder, recipe=recipe)
    os.replace(folder / MANIFEST, there.folder / MANIFEST)
    return told


def _whole(folder: Path, recipe: str) -> Dataset | None:
    try:
        dataset, made_by = read_manifest(folder)
    except DataError:
        return None
    return dataset if made_by == recipe and all(dataset.path(item).is_file() for item in dataset.items) else None
