"""Apart: an import's reading, done by a process that may die. If it does, the next one finds out which file it was.

Starts readers (core/dataset/reader.py), listens to their journals, ends those that hang. Opens nothing of what they read.
"""

import logging
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from core import sandbox
from core.dataset import journal
from core.dataset.quarantine import Candidate
from core.dataset.record import Skipped
from core.errors import DataError

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]
POLL_SECONDS = 0.05
FILE_SECONDS = 20.0
"""No file ended for so long, by the clock and by what the reader has computed since: one of them does not end. The slowest
picture that is let in (16 bits, 50 megapixels) takes 5.4 s; a slow disk or busy machine takes time and computes nothing."""
SILENT_SECONDS = 600.0
"""Nothing was heard for so long, whatever the reader does: a listing of 200,000 files on a slow network disk may take it. No
limit stands on an import that goes on: 50,000 pictures from such a disk take hours, in a process of little priority that has
limits of its own (reader.CPU_SECONDS) and that its owner may call off."""
DEATHS = 40
NOTHING = journal.Head("", 0, (), ())
LOG = "reader.log"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Taken:
    """What readers said of a source."""

    head: journal.Head = NOTHING
    images: list[Candidate] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    failure: journal.Failure | None = None
    done: bool = False
    reading: set[tuple[str, str]] = field(default_factory=set)
    """(name, stamp) of files that were begun and have not ended."""

    def hear(self, step: journal.Step) -> None:
        """Add one step."""
        match step:
            case journal.Head():
                self.head = step
            case journal.Begun(name, stamp):
                self.reading.add((name, stamp))
            case journal.Outcome(stamp, what):
                self.reading.discard((what.name, stamp))
                if isinstance(what, Candidate):
                    self.images.append(what)
                else:
                    self.skipped.append(what)
            case journal.Failure():
                self.failure = step
            case journal.Done():
                self.done = True

    @property
    def ended(self) -> int:
        """Files that are done with."""
        return len(self.images) + len(self.skipped)


def take_apart(
    source: Path, folder: Path, progress: Progress | None, cancelled: Cancelled | None, sole: bool = False
) -> Taken:
    """The images of `source` as files in `folder`, and what became of every file; goes on with what lies in `folder`.

    `sole` as in `open_source`. `cancelled` may raise to end it, too. Raises DataError as `reader.read`, `data.cancelled`,
    `data.reader_died`, and OSError if nothing can be written.
    """
    for _ in range(DEATHS):
        place = journal.following(folder)
        taken, status = _one_reader(source, folder, place, progress, cancelled, sole)
        if taken.failure is not None:
            values = dict(taken.failure.values)
            if number := int(values.pop("errno", 0)):
                raise OSError(number, str(values["reason"]))
            raise DataError(taken.failure.code, **values)
        if taken.done:
            return taken
        log.warning("the reader of %s ended with %s at %s: %s", source.name, status, taken.reading, _last_words(folder))
        if not taken.reading:
            break
        if len(taken.reading) == 1:  # it was alone with it
            name, stamp = taken.reading.pop()
            journal.append(place, journal.Outcome(stamp, Skipped(name, "image.reader_died", {"name": name})))
    raise DataError("data.reader_died", name=source.name)


def _one_reader(
    source: Path, folder: Path, place: Path, progress: Progress | None, cancelled: Cancelled | None, sole: bool
) -> tuple[Taken, int | None]:
    taken, listener = Taken(), journal.Listener(place)
    command = sandbox.command("core.dataset.reader", str(source), str(folder), str(place), *(["--sole"] if sole else []))
    with (
        (folder / LOG).open("wb") as complaints,
        subprocess.Popen(  # noqa: S603 - our own module, in a list
            command,
            cwd=sandbox.root(),
            env=sandbox.environment(),
            stdin=subprocess.PIPE,  # it ends when we do
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        ) as child,
    ):
        try:
            silence = _Silence(child.pid)
            status: int | None = None
            while status is None:
                with suppress(subprocess.TimeoutExpired):
                    status = child.wait(POLL_SECONDS)
                for step in listener.news():
                    silence = _Silence(child.pid)
                    taken.hear(step)
                    if progress and isinstance(step, journal.Outcome):
                        progress(taken.ended, taken.head.files)
                if cancelled and cancelled():
                    raise DataError("data.cancelled")
                if silence.too_long(reading=len(taken.reading)):
                    break
        finally:
            child.kill()
    return taken, child.returncode


class _Silence:
    """Since a reader was last heard."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._since, self._computed = time.monotonic(), _computed(pid)

    def too_long(self, *, reading: int) -> bool:
        """`reading`: so many files it has begun."""
        waited = time.monotonic() - self._since
        if waited > SILENT_SECONDS:
            return True
        most = reading * FILE_SECONDS
        return reading > 0 and waited > FILE_SECONDS and _computed(self._pid) - self._computed > most


def _computed(pid: int) -> float:
    """Seconds that a process has computed; 0 if it is no more."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _last_words(folder: Path) -> str:
    return (folder / LOG).read_text("utf-8", errors="replace").strip().rpartition("\n")[2][:300]
