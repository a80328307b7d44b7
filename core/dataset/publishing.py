"""Publishing: from images that were taken to a data set of the workspace. It appears whole or not at all."""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core.dataset import names
from core.dataset.edits import FILE as EDITS
from core.dataset.edits import read_edits
from core.dataset.layout import suffix
from core.dataset.likeness import groups
from core.dataset.quarantine import Candidate, alone, left_out, refusal, without_doubles, without_lonely
from core.dataset.record import (
    MANIFEST,
    PART_SUFFIX,
    Dataset,
    Item,
    Notice,
    Skipped,
    fingerprint,
    in_groups,
    read_manifest,
    remains_name,
    write_manifest,
)
from core.dataset.summary import problems
from core.durable import flush_folder
from core.errors import DataError
from core.workspace import Workspace

ALIASES = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "mpo": "jpg", "dib": "bmp", "tiff": "tif"}
"""Further ends of names of files that hold what they say."""
REMAINS = 200
"""Small pictures of refused files that a set keeps."""
KINDS = {"jpg": "JPEG", "png": "PNG", "webp": "WebP", "bmp": "BMP", "tif": "TIFF", "gif": "GIF"}


def publish(
    found: Sequence[Candidate],
    skipped: Sequence[Skipped],
    folder: Path,
    workspace: Workspace,
    *,
    name: str,
    source: str,
    notices: Sequence[Notice] = (),
    id: str = "",
    owner: str = "",
    recipe: str = "",
    cancelled: Callable[[], bool] | None = None,
) -> Dataset:
    """Make the images `found`, whose bytes lie in `folder`, a data set: `folder` becomes its place, or is not needed.

    `id` '' makes it from content and owner; which images are copies of each other is no part of that, so that the same
    content is the same set to any version of Thaw. Raises as `import_dataset`, and OSError.
    """
    kept, doubled = without_doubles(found)
    kept, lonely = without_lonely(kept)
    left = sorted((*skipped, *doubled, *(alone(one) for one in lonely)), key=lambda file: names.natural(file.name))
    left = _with_some_remains(left)
    classes = tuple(sorted({one.label for one in kept}, key=names.natural))
    if len(classes) < 2:
        raise refusal(source, [*kept, *lonely], left)
    numbers = {label: number for number, label in enumerate(classes)}
    kept.sort(key=lambda one: (numbers[one.label], names.natural(one.name)))
    items = tuple(
        Item(one.sha256, one.name, numbers[one.label], one.split, one.facts.width, one.facts.height, one.facts.suffix)
        for one in kept
    )
    content = fingerprint(classes, items)
    items = in_groups(items, groups([one.facts.sketch for one in kept], cancelled or (lambda: False)))
    id = id or (hashlib.sha256(f"{content} {owner}".encode()).hexdigest() if owner else content)[:16]
    created = datetime.now(UTC).isoformat(timespec="seconds")
    dataset = Dataset(id, name, source, classes, items, tuple(left), (), workspace.datasets / id, created)
    said = (*notices, *left_out(lonely), *_unsafe(left), *_misnamed(kept), *_handled(kept), *problems(dataset))
    dataset = replace(dataset, notices=said)
    write_manifest(dataset, folder, recipe=recipe)
    return _move(dataset, folder, recipe)


def _with_some_remains(left: Sequence[Skipped]) -> list[Skipped]:
    """`left`, of which the first REMAINS have their small picture: nobody looks at more, and each takes room."""
    kept = [at for at, one in enumerate(left) if one.remains][:REMAINS]
    return [one if at in kept else replace(one, remains="", part=None) for at, one in enumerate(left)]


def _unsafe(left: Sequence[Skipped]) -> list[Notice]:
    """How many entries of an archive were refused for their paths."""
    n = sum(1 for one in left if one.code == "data.unsafe_name")
    return [("data.unsafe_names", {"n": n})] if n else []


def _misnamed(kept: Sequence[Candidate]) -> list[Notice]:
    """One notice for each pair of what names of files say and what the files are, with how many; the most frequent first."""
    pairs = Counter((suffix(one.name), one.facts.suffix) for one in kept if suffix(one.name))
    wrong = sorted((-n, says, is_a) for (says, is_a), n in pairs.items() if ALIASES.get(says, says) != is_a)
    return [("data.misnamed", {"n": -n, "says": f".{says}", "kind": KINDS[is_a]}) for n, says, is_a in wrong]


def _handled(kept: Sequence[Candidate]) -> list[Notice]:
    """One notice for each way in which pictures were brought into shape, with how many."""
    notes = Counter(note for one in kept for note in one.facts.notes)
    return [(f"data.{note}", {"n": n}) for note, n in sorted(notes.items())]


def _move(dataset: Dataset, folder: Path, recipe: str) -> Dataset:
    """Rename `folder` to the data set's place; a whole one that the same `recipe` made stays, and says what is new."""
    aside: Path | None = None
    if dataset.folder.exists():
        if there := _whole(dataset.folder, recipe):
            return _told_anew(there, dataset, folder, recipe)
        with suppress(FileNotFoundError):  # what a person has decided outlives a set that is made anew
            shutil.copyfile(dataset.folder / EDITS, folder / EDITS)
        aside = folder.with_name(f"{folder.name}.old")
    if hasattr(os, "sync"):
        os.sync()  # one flush of all files: a power cut after the rename finds them whole
    wanted = {f"{item.sha256}.{item.suffix}" for item in dataset.items} | {MANIFEST, EDITS} | _beside(dataset)
    for stray in [path for path in folder.iterdir() if path.name not in wanted]:
        stray.unlink()
    try:
        if aside:
            os.replace(dataset.folder, aside)
        os.replace(folder, dataset.folder)
    except OSError:
        if there := _whole(dataset.folder, recipe):  # another import of the same content was faster
            return there
        if aside and aside.exists():
            os.replace(aside, dataset.folder)
        raise
    flush_folder(dataset.folder.parent)  # whoever brought it may delete it now
    if aside:
        shutil.rmtree(aside, ignore_errors=True)
    return dataset


def _beside(dataset: Dataset) -> set[str]:
    """Names of what lies with the images and is none: small pictures of refused files, and what can be seen of JPEGs."""
    seen = {remains_name(one.remains) for one in dataset.skipped if one.remains}
    return seen | {f"{one.part.sha256}.{PART_SUFFIX}" for one in dataset.skipped if one.part}


def _told_anew(there: Dataset, dataset: Dataset, folder: Path, recipe: str) -> Dataset:
    """`there` with the files that this import kept out, and its notices; images, names and their order stay.

    So does what a person has ever kept of a file: versions of the set hold it.
    """
    new = {one.part.sha256 for one in dataset.skipped if one.part}
    meant = {sha for edit in read_edits(there.folder) for sha in edit.images}
    old = [one for one in there.skipped if one.part and one.part.sha256 in meant - new]
    skipped = tuple(sorted((*dataset.skipped, *old), key=lambda file: names.natural(file.name)))
    if (there.skipped, there.notices) == (skipped, dataset.notices):
        return there
    told = replace(there, skipped=skipped, notices=dataset.notices)
    write_manifest(told, folder, recipe=recipe)
    for name in _beside(told):
        with suppress(FileNotFoundError):  # lost by a power cut: a page shows nothing in its place
            os.replace(folder / name, there.folder / name)
    os.replace(folder / MANIFEST, there.folder / MANIFEST)
    flush_folder(there.folder)
    return told


def _whole(folder: Path, recipe: str) -> Dataset | None:
    try:
        dataset, made_by = read_manifest(folder)
    except DataError:
        return None
    return dataset if made_by == recipe and all(dataset.path(item).is_file() for item in dataset.items) else None
