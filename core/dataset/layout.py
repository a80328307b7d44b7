"""Layout: from the names in a source to the class and the split of each image. Pure but for reading the tables it is given.

Three layouts, found in this order: a table (CSV) that names files and classes; split folders that hold class folders, or
the other way round; one folder a class. Folders that hold nothing but one folder are opened.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.dataset import names
from core.dataset.record import Notice, Skipped, Split
from core.dataset.table import Rows, as_split, read_tables

READ = ("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "bmp", "dib", "tif", "tiff", "gif")
NOT_READ = ("heic", "heif", "avif", "svg", "psd", "ico", "jp2", "jxl", "dcm", "raw", "dng", "cr2", "nef", "arw")
IMAGES = frozenset((*READ, *NOT_READ))
"""Suffixes of images, those that cannot be read included: they are opened and listed with the reason."""
ARCHIVES = frozenset(("zip", "rar", "7z", "tar", "gz", "tgz", "bz2", "xz"))
STRANGE_WORDS = 5
"""Unknown words for a split that are told, the most frequent first."""
TABLE_SHARE = 0.5
"""A table wins over folders if it speaks of at least this share of the images, or if the folders name no two classes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image belongs."""

    label: str
    split: Split | None


@dataclass(frozen=True, slots=True)
class Layout:
    """`places` by name of file, and what was left out or is worth a word."""

    places: dict[str, Place]
    skipped: tuple[Skipped, ...]
    notices: tuple[Notice, ...]


def suffix(name: str) -> str:
    """'jpg' of 'a/b.JPG'; '' without one."""
    last = name.rsplit("/", 1)[-1]
    return last.rsplit(".", 1)[-1].lower() if "." in last.strip(".") else ""


def arrange(files: Sequence[str], folders: Sequence[str], tables: Sequence[tuple[str, bytes]]) -> Layout:
    """The layout of `files` (names, tables left out) and `folders` (names ending in '/')."""
    images = [file for file in files if suffix(file) in IMAGES or not suffix(file)]
    skipped = [_not_an_image(file) for file in files if suffix(file) not in IMAGES and suffix(file)]
    by_folder = _folders(images, folders)
    rows = read_tables(tables, images) if tables else None
    if rows is None or not _table_wins(rows, by_folder, images):
        skipped += [Skipped(name, "data.table_unused", {"name": name}) for name, _ in tables]
        return Layout(by_folder.places, (*by_folder.skipped, *skipped), by_folder.notices)
    spoken = rows.labels.keys() | {left.name for left in rows.skipped}
    silent = [Skipped(file, "data.not_in_table", {"name": file}) for file in images if file not in spoken]
    places = {name: Place(label, split) for name, (label, split) in rows.labels.items()}
    strange: tuple[Notice, ...] = tuple(
        ("data.unknown_split", {"word": word, "n": n}) for word, n in rows.strange.most_common(STRANGE_WORDS)
    )
    return Layout(places, (*rows.skipped, *silent, *skipped), strange)


def _not_an_image(file: str) -> Skipped:
    code = "data.nested_archive" if suffix(file) in ARCHIVES else "data.not_an_image"
    return Skipped(file, code, {"name": file})


def _table_wins(rows: Rows, by_folder: Layout, images: Sequence[str]) -> bool:
    classes = {place.label for place in by_folder.places.values()}
    return len(classes) < 2 or len(rows.labels) >= TABLE_SHARE * len(images)


def _folders(images: Sequence[str], folders: Sequence[str]) -> Layout:
    known = [file for file in images if suffix(file)] or list(images)
    root = _root([names.parts(file) for file in known])
    inside = {file: names.parts(file)[len(root) :] for file in images if names.parts(file)[: len(root)] == root}
    label_at, split_at = _levels(list(inside.values()))
    places: dict[str, Place] = {}
    skipped: list[Skipped] = []
    for file in images:
        parts = inside.get(file, ())
        split = as_split(parts[split_at]) if split_at is not None and len(parts) > split_at + 1 else None
        if len(parts) < label_at + 2 or (split_at is not None and split is None):
            code = (
                "data.outside_split" if split_at is not None and len(parts) > 1 and split is None else "data.outside_class"
            )
            skipped.append(Skipped(file, code, {"name": file}))
        else:
            places[file] = Place(parts[label_at], split)
    empty = _empty([names.parts(folder) for folder in folders], root, label_at, {place.label for place in places.values()})
    notices: tuple[Notice, ...] = tuple(("data.empty_class", {"name": name}) for name in empty)
    return Layout(places, tuple(skipped), notices)


def _root(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The folders to open first: a lone folder whose images lie mostly deeper. Pictures beside it are left outside."""
    root: tuple[str, ...] = ()
    while True:
        inside = [path[len(root) :] for path in paths if path[: len(root)] == root]
        lone = {path[0] for path in inside if len(path) >= 2}
        direct = sum(1 for path in inside if len(path) == 2)
        if len(lone) != 1 or 2 * direct >= len(inside):
            return root
        root = (*root, lone.pop())


def _levels(paths: Sequence[tuple[str, ...]]) -> tuple[int, int | None]:
    """Levels of the class folder and of the split folder (None without given splits).

    Split folders are believed if all folders at their level are such, or two different ones are: a class may be called
    'train', and then its images lie right in it.
    """
    outer = {path[0] for path in paths if len(path) >= 3}
    top = {path[0] for path in paths if len(path) >= 2}
    if _are_splits(outer, top):
        return 1, 0
    inner = {path[1] for path in paths if len(path) >= 3}
    if paths and all(len(path) >= 3 for path in paths if len(path) >= 2) and _are_splits(inner, inner):
        return 0, 1
    return 0, None


def _are_splits(deep: set[str], level: set[str]) -> bool:
    splits = {as_split(name) for name in deep} - {None}
    return len(splits) >= 2 or (bool(splits) and all(as_split(name) for name in level))


def _empty(folders: Sequence[tuple[str, ...]], root: tuple[str, ...], label_at: int, used: set[str]) -> list[str]:
    """Class folders without any image."""
    depth = len(root) + label_at
    known = {path[depth] for path in folders if path[: len(root)] == root and len(path) == depth + 1}
    return sorted((name for name in known if name not in used), key=names.natural)
