"""Taking: files of a source, each read, decoded to the end and written to a folder under the hash of its bytes."""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.dataset.quarantine import Candidate
from core.dataset.record import PART_SUFFIX, Part, Skipped, Split, remains_name
from core.errors import DataError
from core.images import inspect, remains, visible

Outcome = Candidate | Skipped
REMAINS_SIDE = 160


@dataclass(frozen=True, slots=True)
class Labelled:
    """One file that should become an image of a data set."""

    name: str
    label: str
    split: Split | None
    read: Callable[[], bytes]
    stamp: str = ""
    """Changes when the file does."""


def take(
    files: Sequence[Labelled], folder: Path, *, threads: int, begin: Callable[[Labelled], None] = lambda _: None
) -> Iterator[tuple[Labelled, Outcome]]:
    """What becomes of each of `files`, in their order; `begin` hears of each before it is read. Raises OSError."""
    waiting: deque[tuple[Labelled, Future[Outcome]]] = deque()

    def one(file: Labelled) -> Outcome:
        begin(file)
        return take_one(file, folder)

    with ThreadPoolExecutor(threads, "import") as pool:
        try:
            for file in files:
                waiting.append((file, pool.submit(one, file)))
                if len(waiting) > 4 * threads:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def take_one(file: Labelled, folder: Path) -> Outcome:
    """Read, check and write one file. Raises OSError if it cannot be written."""
    try:
        data = file.read()
    except OSError as error:
        return unreadable(file.name, error)
    try:
        facts = inspect(data, name=file.name)
    except DataError as error:
        part = _keep_part(data, file, folder) if error.code == "image.damaged" else None
        return Skipped(file.name, error.code, error.values, _keep_remains(data, folder), part)
    sha256 = hashlib.sha256(data).hexdigest()
    _write(folder / f"{sha256}.{facts.suffix}", data)
    return Candidate(file.name, file.label, file.split, sha256, facts)


def _keep_remains(data: bytes, folder: Path) -> str:
    """Write a small picture of what can be seen of a refused file; its hash, or '' if nothing can."""
    seen = remains(data, REMAINS_SIDE)
    if seen is None:
        return ""
    sha256 = hashlib.sha256(data).hexdigest()
    _write(folder / remains_name(sha256), seen)
    return sha256


def _keep_part(data: bytes, file: Labelled, folder: Path) -> Part | None:
    """Write what can be seen of a JPEG that breaks off, as an image under the hash of its own bytes."""
    seen = visible(data)
    if seen is None:
        return None
    sha256 = hashlib.sha256(seen.data).hexdigest()
    _write(folder / f"{sha256}.{PART_SUFFIX}", seen.data)
    return Part(sha256, seen.width, seen.height, round(seen.share, 3), file.label, file.split)


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: what a killed reader was writing must not pass for an image."""
    draft = path.with_name(f".{threading.get_ident()}.part")
    draft.write_bytes(data)
    draft.replace(path)


def unreadable(name: str, error: OSError) -> Skipped:
    """Why a file is kept out that the system does not give."""
    return Skipped(name, "data.unreadable", {"name": name, "reason": error.strerror or str(error)})


def whole(found: Iterable[Outcome], folder: Path) -> set[str]:
    """Of what was written to `folder` the hashes of what lies there as it was: a power cut may have emptied files."""
    names: set[tuple[str, str]] = set()
    for one in found:
        if isinstance(one, Candidate):
            names.add((one.sha256, one.facts.suffix))
        elif one.part is not None:
            names.add((one.part.sha256, PART_SUFFIX))
    return {sha256 for sha256, suffix in names if _is_whole(folder / f"{sha256}.{suffix}", sha256)}


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return True
        path.unlink()
    except FileNotFoundError:
        return False
    return False
