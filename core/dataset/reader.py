"""Reader: the process that opens what a person brings. `python -m core.dataset.reader SOURCE FOLDER JOURNAL [--sole]`.

It gives a stranger's archives, tables and pictures to parsers in C; so it is locked up (core/sandbox.py), may die, and says
what it does in a journal. It writes images under their hashes to FOLDER and nothing else anywhere.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core import sandbox
from core.container import available_bytes, usable_cores
from core.dataset import journal, names
from core.dataset.layout import arrange, suffix
from core.dataset.quarantine import Candidate
from core.dataset.record import Part, Skipped
from core.dataset.source import MAX_ENTRIES, MAX_FILE_BYTES, Entry, Source, check_room, open_source
from core.dataset.table import MAX_TABLE_BYTES
from core.dataset.table import SUFFIXES as TABLES
from core.dataset.taking import Labelled, take, unreadable, whole
from core.errors import DataError
from core.words import Value

THREADS = 8
MEMORY_BYTES = 2 * 2**30
"""For each thread: the largest picture that is let in takes 1.7 GB while its depth is brought to eight bits."""
OPEN_FILES = 256
SOLE = "--sole"
CPU_SECONDS, FILE_CPU_SECONDS = 1800, 2
"""What a reader may compute in all, and more for each file: a photo takes 0.02 s, the slowest picture that is let in 5.4 s.
Where that is not enough the next reader goes on, as after any death."""
NICE = 5
"""Pages come first."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a source holds: the files that may become images, and their sizes in bytes."""

    head: journal.Head
    files: tuple[Labelled, ...]
    sizes: dict[str, int]


def survey(opened: Source) -> Survey:
    """Find class and split of every file of a source; its tables are read for it, its pictures are not."""
    tables = [entry for entry in opened.entries if f".{suffix(entry.name)}" in TABLES]
    others = {entry.name: entry for entry in opened.entries if f".{suffix(entry.name)}" not in TABLES}
    skipped = list(opened.refused)
    texts = [(entry.name, data) for entry in tables if (data := _table(entry, skipped)) is not None]
    layout = arrange(list(others), opened.folders, texts)
    skipped += layout.skipped
    files: list[Labelled] = []
    for name, place in layout.places.items():
        entry = others[name]
        if entry.size > MAX_FILE_BYTES:
            values: dict[str, Value] = {"name": name, "size": entry.size // 2**20, "limit": MAX_FILE_BYTES // 2**20}
            skipped.append(Skipped(name, "data.file_too_big", values))
        else:
            files.append(Labelled(name, place.label, place.split, entry.read, entry.stamp))
    head = journal.Head(opened.name, len(files), tuple(skipped), layout.notices)
    return Survey(head, tuple(files), {file.name: others[file.name].size for file in files})


def _table(entry: Entry, skipped: list[Skipped]) -> bytes | None:
    try:
        if entry.size > MAX_TABLE_BYTES:
            raise OSError(f"{entry.size // 2**20} MB")
        return entry.read()
    except OSError as error:
        skipped.append(unreadable(entry.name, error))
        return None


def read(
    source: Path,
    folder: Path,
    place: Path,
    *,
    threads: int,
    sole: bool = False,
    listed: Callable[[int], None] = lambda _: None,
) -> None:
    """Take the images of `source` into `folder`, and write what becomes of each file to the journal at `place`.

    `sole` as in `open_source`; `listed` hears how many files will be read.

    What the journal of an earlier reader says counts, as far as files are unchanged. Files at which an earlier reader died
    come first, one at a time: if it is one of them, it will be known which. Raises DataError as `open_source` and
    `check_room`, and OSError if nothing can be written.
    """
    last = journal.newest(folder)
    earlier = journal.steps(last) if last else []
    with open_source(source, sole=sole) as opened:
        found = survey(opened)
        known, suspects = _known(found.files, earlier, folder)
        check_room(opened.name, sum(size for name, size in found.sizes.items() if name not in known), folder)
        log = journal.Journal(place, [found.head, *known.values()])
        rest = [file for file in found.files if file.name not in known]
        listed(len(rest))
        alone = [file for file in rest if (file.name, file.stamp) in suspects]
        together = [file for file in rest if (file.name, file.stamp) not in suspects]
        for files, lanes in ((alone, 1), (together, threads)):
            for file, what in take(
                files, folder, threads=lanes, begin=lambda file: log.write(journal.Begun(file.name, file.stamp))
            ):
                log.write(journal.Outcome(file.stamp, what))
        log.write(journal.Done())
        log.close()


def _known(
    files: Sequence[Labelled], earlier: Sequence[journal.Step], folder: Path
) -> tuple[dict[str, journal.Outcome], set[tuple[str, str]]]:
    """Outcomes that still hold, by name of file, in the classes of today; and what was begun and never ended."""
    ended = {(step.what.name, step.stamp): step for step in earlier if isinstance(step, journal.Outcome)}
    suspects = {(step.name, step.stamp) for step in earlier if isinstance(step, journal.Begun)} - ended.keys()
    there = whole((step.what for step in ended.values()), folder)
    known: dict[str, journal.Outcome] = {}
    for file in files:
        match ended.get((file.name, file.stamp)):
            case journal.Outcome(stamp, Candidate() as one) if one.sha256 in there:
                now = Candidate(file.name, file.label, file.split, one.sha256, one.facts)
                known[file.name] = journal.Outcome(stamp, now)
            case journal.Outcome(stamp, Skipped(_, code, _, _, None)) as outcome if code.startswith("image."):
                known[file.name] = outcome
            case journal.Outcome(stamp, Skipped(_, _, _, _, Part() as part) as what) if part.sha256 in there:
                part = replace(part, label=file.label, split=file.split)
                known[file.name] = journal.Outcome(stamp, replace(what, part=part))
    return known, suspects


def main(source: str, folder: str, place: str, *options: str) -> int:
    """What the process does; its standard input is a pipe that breaks when whoever started it dies."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(NICE)
    threads = max(1, min(usable_cores(), THREADS, available_bytes() // MEMORY_BYTES))
    inside = os.path.join(os.path.abspath(folder), "")
    sandbox.lock_up(
        lambda path: path.startswith(inside),
        memory_bytes=threads * MEMORY_BYTES,
        file_bytes=2 * MAX_FILE_BYTES,
        files=OPEN_FILES,
        cpu_seconds=_cpu_seconds(MAX_ENTRIES),
    )
    try:
        read(
            Path(source), Path(folder), Path(place),
            threads=threads, sole=SOLE in options, listed=lambda many: sandbox.compute_at_most(_cpu_seconds(many)),
        )  # fmt: skip
    except DataError as error:
        journal.append(Path(place), _failure(error.code, error.values))
    except OSError as error:
        values: dict[str, Value] = {"path": folder, "reason": error.strerror or str(error), "errno": error.errno or 0}
        journal.append(Path(place), _failure("workspace.unusable", values))
    return 0


def _cpu_seconds(files: int) -> int:
    return CPU_SECONDS + FILE_CPU_SECONDS * files


def _failure(code: str, values: dict[str, Value]) -> journal.Failure:
    return journal.Failure(code, {key: names.spoken(v) if isinstance(v, str) else v for key, v in values.items()})


def _leave_with_parent() -> None:
    while os.read(0, 1):  # not `sys.stdin`: Python waits a second for its lock when it ends
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
