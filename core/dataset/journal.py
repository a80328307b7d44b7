"""Journal: what an import has done so far, a line a step, so that another process can hear it and go on after a crash.

Knows a file of lines; nothing of how images are read. A line that was cut by a crash does not count, nor one that no reader
writes.
"""

import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from core.dataset.quarantine import Candidate
from core.dataset.record import SHA256, SPLITS, Notice, Skipped, read_part
from core.images import SUFFIXES, Facts


@dataclass(frozen=True, slots=True)
class Begun:
    """A file is being read: of those without an outcome one has ended the reader."""

    name: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file: an image of the set, or kept out. `stamp` changes when the file does."""

    stamp: str
    what: Candidate | Skipped


@dataclass(frozen=True, slots=True)
class Head:
    """What a source holds, before one of its files is read."""

    source: str
    files: int
    skipped: tuple[Skipped, ...]
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """The import cannot be: the code and values of a DataError."""

    code: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """Every file has its outcome."""


Step = Head | Begun | Outcome | Failure | Done


class Journal:
    """Written by a reader, from several threads. Each reader has one of its own, which begins with what others knew."""

    def __init__(self, path: Path, known: Iterable[Step] = ()) -> None:
        draft = path.with_name(f".{path.name}")
        draft.write_bytes(b"".join(map(_line, known)))
        draft.replace(path)
        self._lock = threading.Lock()
        self._file = path.open("ab", buffering=0)

    def write(self, step: Step) -> None:
        """Add a line; whoever reads the file sees it at once."""
        with self._lock:
            self._file.write(_line(step))

    def close(self) -> None:
        """Nothing more will be written."""
        self._file.close()


def steps(path: Path) -> list[Step]:
    """All whole steps at `path`, the oldest first."""
    return list(Listener(path).news())


def append(path: Path, step: Step) -> None:
    """One more line, by whoever outlived the reader; a line that the reader left unfinished goes."""
    data = path.read_bytes() if path.exists() else b""
    draft = path.with_name(f".{path.name}")
    draft.write_bytes(data[: data.rfind(b"\n") + 1] + _line(step))
    draft.replace(path)


class Listener:
    """Reads the journal at `path` while it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0

    def news(self) -> Iterator[Step]:
        """The steps since the last call; none as long as there is no such file."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1
        self._place += whole
        for line in data[:whole].splitlines():
            step = _step(line)
            if step is not None:
                yield step


def newest(folder: Path) -> Path | None:
    """The journal of the last reader in `folder`, or None."""
    return max(folder.glob("journal-*"), key=lambda path: path.name, default=None)


def following(folder: Path) -> Path:
    """Where the next reader writes."""
    last = newest(folder)
    return folder / f"journal-{int(last.name.removeprefix('journal-')) + 1 if last else 0:06d}"


def _line(step: Step) -> bytes:
    match step:
        case Begun(name, stamp):
            row: list[Any] = ["begun", name, stamp]
        case Outcome(stamp, Skipped(name, code, values, remains, part)):
            row = ["skipped", name, stamp, code, values, remains, *(astuple(part) if part else ())]
        case Outcome(stamp, Candidate() as one):
            facts = one.facts
            row = ["taken", one.name, stamp, one.label, one.split, one.sha256]
            row += [facts.width, facts.height, facts.suffix, facts.notes, b64encode(facts.sketch).decode()]
        case Head(source, files, skipped, notices):
            row = ["head", source, files, [[left.name, left.code, left.values] for left in skipped], notices]
        case Failure(code, values):
            row = ["failed", code, values]
        case Done():
            row = ["done"]
    return orjson.dumps(row) + b"\n"


def _step(line: bytes) -> Step | None:
    """None for what the reader never writes: the journal comes from a process that hostile files have passed through."""
    try:
        kind, *row = cast(list[Any], orjson.loads(line))
        match kind, row:
            case "begun", [str(name), str(stamp)]:
                return Begun(name, stamp)
            case "skipped", [str(name), str(stamp), str(code), dict(values), str(remains), *part]:
                if not remains or SHA256.fullmatch(remains):
                    return Outcome(stamp, Skipped(name, code, values, remains, read_part(part) if part else None))
            case "taken", [str(name), str(stamp), str(label), split, str(sha), *rest]:
                facts = _facts(rest)
                if (split is None or split in SPLITS) and SHA256.fullmatch(sha) and facts:
                    return Outcome(stamp, Candidate(name, label, split, sha, facts))
            case "head", [str(source), int(files), list(skipped), list(notices)]:
                left = tuple(Skipped(name, code, values) for name, code, values in skipped)
                return Head(source, files, left, tuple((code, values) for code, values in notices))
            case "failed", [str(code), dict(values)]:
                return Failure(code, values)
            case "done", []:
                return Done()
    except (ValueError, TypeError):
        return None
    return None


def _facts(row: list[Any]) -> Facts | None:
    match row:
        case [int(width), int(height), str(suffix), list(notes), str(sketch)] if suffix in SUFFIXES.values():
            return Facts(width, height, suffix, tuple(notes), b64decode(sketch, validate=True))
    return None
