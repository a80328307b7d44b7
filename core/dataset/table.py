"""Table: a CSV that names images and their classes. Knows columns and separators.

Finds files in a list of names, never on a disk.
"""

import codecs
import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.dataset import names
from core.dataset.record import SEALED, Skipped, Split
from core.words import Value

SUFFIXES = (".csv", ".tsv")
MAX_TABLE_BYTES = 64 * 2**20
FILE_COLUMNS = (
    "file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_name", "imagename", "image_file",
    "image_path", "imagepath", "img", "img_name", "img_path", "image_id", "imageid", "img_id", "photo", "picture", "name",
    "id", "文件", "文件名", "图片", "图像", "图片名", "路径",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "class", "class_name", "classname", "category", "category_name", "target", "label_name", "species",
    "breed", "diagnosis", "dx", "tag", "class_id", "label_id", "category_id", "y", "标签", "类别", "分类", "类",
)  # fmt: skip
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "usage", "data_set", "dataset", "划分", "集合", "数据集")
SPLIT_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trn", "训练", "训练集"), "train"),
    **dict.fromkeys(
        ("val", "valid", "validation", "validate", "dev", "development", "验证", "验证集"),
        "val",
    ),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "eval", "evaluation", "测试", "测试集"), "test"),
}
"""How people call the three splits, in small letters."""
_ADDED = re.compile(r"[ _.-]*(images?|imgs?|pictures|photos|sets?|data|split|files)$")
"""What they write behind that: `train_images`, `Test Set`."""


@dataclass(slots=True)
class Rows:
    """What tables say: `labels` of the names they found, and rows that lead nowhere."""

    labels: dict[str, tuple[str, Split | None]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    conflicts: set[str] = field(default_factory=set)
    """Names that two rows give different classes."""
    strange: Counter[str] = field(default_factory=Counter)
    """Words in the column of splits that name none, and in how many rows."""

    def add(self, name: str, label: str, split: Split | None) -> None:
        """What a row says. Of two splits for one name the sealed one stays."""
        known, given = self.labels.get(name, (label, split))
        if known != label:
            self.conflicts.add(name)
        self.labels[name] = (label, min(given, split, key=SEALED.__getitem__))


def as_split(name: str) -> Split | None:
    """The split that `name` stands for, or None."""
    bare = name.strip().casefold()
    return SPLIT_NAMES.get(bare) or SPLIT_NAMES.get(_ADDED.sub("", bare))


def read_tables(tables: Sequence[tuple[str, bytes]], files: Sequence[str]) -> Rows | None:
    """What `tables` (name, bytes) say about `files`, or None if no table has a file and a label column with a hit.

    A file that two rows give different classes is left out, with the reason; so are rows without a file or a label. One
    that two rows give different splits is kept for the test.
    """
    finder = _Finder(files)
    found = Rows()
    for table, data in tables:
        part = _read(table, data, finder)
        if part.labels:
            for name, (label, split) in part.labels.items():
                found.add(name, label, split)
            found.conflicts |= part.conflicts
            found.skipped += part.skipped
            found.strange += part.strange
    hit = bool(found.labels)
    for name in sorted(found.conflicts, key=names.natural):
        del found.labels[name]
        found.skipped.append(Skipped(name, "data.two_labels", {"name": name}))
    return found if hit else None


def _read(table: str, data: bytes, finder: "_Finder") -> Rows:
    rows = Rows()
    lines = _parse(_text(data))
    first = lines[0][1] if lines else []
    columns, begin = _columns(first), 1
    if columns is None and len(first) == 2 and finder.find(first[0], table):
        columns, begin = (0, 1, None), 0  # no header: a file and its class
    if columns is None:
        return rows
    file_column, label_column, split_column = columns
    whole = next((split for part in reversed(names.parts(table)) if (split := as_split(part.rsplit(".", 1)[0]))), None)
    for number, line in lines[begin:]:
        cells = [cell.strip() for cell in line]
        file = cells[file_column] if file_column < len(cells) else ""
        label = cells[label_column] if label_column < len(cells) else ""
        if not file and not label:
            continue
        hits = finder.find(file, table)
        where: dict[str, Value] = {"name": file or "?", "table": table, "row": number}
        if len(hits) != 1:
            code = "data.ambiguous_file" if hits else "data.missing_file"
            rows.skipped.append(Skipped(file or "?", code, {**where, "n": len(hits)} if hits else where))
        elif not label:
            rows.skipped.append(Skipped(hits[0], "data.no_label", {**where, "name": hits[0]}))
        else:
            given = cells[split_column] if split_column is not None and split_column < len(cells) else ""
            rows.add(hits[0], label, as_split(given) or whole)
            rows.strange[given] += bool(given) and as_split(given) is None
    return rows


def _text(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return names.readable([data.removeprefix(codecs.BOM_UTF8)], otherwise="cp1252")[0]


def _parse(text: str) -> list[tuple[int, list[str]]]:
    """Rows that are not empty: their number, as a spreadsheet counts, and their cells.

    The separator is the one that gives the first line the most useful columns.
    """
    head = next((line for line in text.splitlines() if line.strip()), "")
    separators = sorted(",;\t", key=lambda mark: (_columns(_cells(head, mark)) is None, -head.count(mark)))
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=separators[0])
    try:
        return [(number, line) for number, line in enumerate(reader, start=1) if any(cell.strip() for cell in line)]
    except csv.Error:
        return []


def _cells(line: str, mark: str) -> list[str]:
    try:
        return next(csv.reader([line.replace("\0", "")], delimiter=mark), [])
    except csv.Error:
        return []


def _columns(header: Sequence[str]) -> tuple[int, int, int | None] | None:
    """Positions of the file, the label and (if any) the split column, or None."""
    cells = [cell.strip().casefold().replace(" ", "_").replace("-", "_") for cell in header]
    file, label, split = (
        next((cells.index(known) for known in column if known in cells), None)
        for column in (FILE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)
    )
    return None if file is None or label is None else (file, label, split)


class _Finder:
    """Files by what a table may call them: a path from the table or the root, a file name, a name without its suffix."""

    def __init__(self, files: Sequence[str]) -> None:
        self.by_path: dict[str, list[str]] = defaultdict(list)
        self.by_name: dict[str, list[str]] = defaultdict(list)
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        for file in files:
            key = names.folded(file)
            self.by_path[key].append(file)
            self.by_name[key.rsplit("/", 1)[-1]].append(file)
            self.by_stem[key.rsplit("/", 1)[-1].rsplit(".", 1)[0]].append(file)

    def find(self, said: str, table: str) -> list[str]:
        """The files meant by `said` in `table`: the most exact kind of match, () if none."""
        key = names.folded(said)
        beside = "/".join((*names.parts(names.folded(table))[:-1], key))
        last = key.rsplit("/", 1)[-1]
        exact = self.by_path.get(beside) or self.by_path.get(key)
        hits = exact or self._under(self.by_name.get(last, []), key) or self.by_stem.get(last, []) if key else []
        return [hit for hit in hits if hit.endswith(said)] or hits  # twins that differ in capitals alone

    def _under(self, files: list[str], key: str) -> list[str]:
        """Of files with the right last name, those whose path ends as the table says, else all."""
        ending = [file for file in files if names.folded(file).endswith("/" + key)]
        return ending or files
