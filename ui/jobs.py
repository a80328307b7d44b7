"""Work that takes longer than a page may: imports, downloads. One thread a job, its progress read by whoever looks.

Knows threads and errors; nothing of what is done. A job belongs to the process: it goes on when the tab is closed.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from core.errors import Interrupted, ThawError

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]
Work = Callable[[Progress, Cancelled], Any]

MOST_ENDED = 64
"""Jobs that have ended and are remembered, with what they gave."""
SETTLED_SECONDS = 2.0
"""Before that a pace says little."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Job:
    """One piece of work. Written by its thread, read by pages."""

    id: str
    kind: str
    """What is done: `import`, `weights`."""
    name: str
    """What it is done to, in the words of the person: a file name, a backbone."""
    owner: str = ""
    """Whose it is; '' for what is everybody's."""
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    done: int = 0
    total: int = 0
    result: Any = None
    error: ThawError | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _closing: bool = False
    _began: tuple[float, int] | None = None
    """When (monotonic, seconds) the first step was told, and how much was done by then."""
    _thread: threading.Thread | None = None

    @property
    def share(self) -> float:
        """How much is done, in [0, 1]; 0 as long as nobody knows of how much."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None in the first seconds, and where nobody knows."""
        if self._began is None or self.state != "running":
            return None
        seconds, steps = time.monotonic() - self._began[0], self.done - self._began[1]
        return seconds / steps * (self.total - self.done) if seconds > SETTLED_SECONDS and steps > 0 else None

    def cancel(self) -> None:
        """Ask it to end; the state tells when it has."""
        self._stop.set()

    def wait(self, timeout_seconds: float) -> bool:
        """True if it has ended within the time."""
        if self._thread is not None:
            self._thread.join(timeout_seconds)
        return self.state != "running"


class Jobs:
    """The jobs of this process, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def start(self, kind: str, name: str, work: Work, *, owner: str = "") -> Job:
        """Begin `work` in a thread; if the same kind of job of the same owner is running for the same name, that one."""
        with self._lock:
            for other in self._jobs.values():
                if (other.kind, other.name, other.owner, other.state) == (kind, name, owner, "running"):
                    return other
            ended = [other.id for other in self._jobs.values() if other.state != "running"]
            for old in ended[: max(len(ended) - MOST_ENDED, 0)]:
                del self._jobs[old]
            job = Job(secrets.token_hex(8), kind, name, owner)
            self._jobs[job.id] = job
            job._thread = threading.Thread(target=_run, args=(job, work), name=f"job-{kind}", daemon=True)
            job._thread.start()
        return job

    def find(self, kind: str, name: str | None = None, *, owner: str = "") -> Job | None:
        """The newest job of that kind and owner (and for that name), or None."""
        with self._lock:
            fits = [
                job for job in self._jobs.values() if (job.kind, job.owner) == (kind, owner) and name in (None, job.name)
            ]
        return fits[-1] if fits else None

    def get(self, job_id: str | None) -> Job | None:
        """The job of that id, or None."""
        return self._jobs.get(job_id or "")

    def forget(self, job: Job) -> None:
        """Leave out a job that has ended."""
        with self._lock:
            if job.state != "running":
                self._jobs.pop(job.id, None)

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Ask all to end and wait a little. Work that can go on later hears so when it asks (`Interrupted`)."""
        for job in list(self._jobs.values()):
            job._closing = True
            job.cancel()
        for job in list(self._jobs.values()):
            job.wait(timeout_seconds)


def _run(job: Job, work: Work) -> None:
    def progress(done: int, total: int) -> None:
        if job._began is None or total != job.total:
            job._began = (time.monotonic(), done)
        job.done, job.total = done, total

    def cancelled() -> bool:
        told = job._stop.is_set()  # first: whoever closes says so before
        if job._closing:
            raise Interrupted
        return told

    try:
        job.result = work(progress, cancelled)
        job.state = "cancelled" if job._stop.is_set() and job.result is None else "done"
    except Interrupted:
        job.state = "cancelled"
    except ThawError as error:
        job.error = error
        job.state = "cancelled" if job._stop.is_set() else "failed"
    except Exception as error:
        log.exception("job %s of %s failed", job.kind, job.name)
        job.error = ThawError("job.broken", reason=f"{type(error).__name__}: {error}"[:300])
        job.state = "failed"
