"""Vitals: whether the threads that train are alive and get on, by the monotonic clock. Knows no store and no torch."""

import faulthandler
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

LEAST_SECONDS = 60.0
"""Silence shorter than this is nothing."""
FIRST_SECONDS = 600.0
"""Before the second step nobody knows how long one takes."""
TIMES = 20
"""So many ordinary steps of silence are too many."""
REMEMBERED = 64
STALLS_FILE = "stalls.txt"


@dataclass
class Pulse:
    """Of one thread: when it was last heard, and how long a step of its run takes."""

    clock: Callable[[], float] = time.monotonic
    run: str = ""
    """Id of the run at work; '' between two."""
    step: int = 0
    last: float = 0.0
    _stepped: float | None = None
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def begin(self, run: str) -> None:
        """A run is taken."""
        self.run, self.step, self.last, self._stepped = run, 0, self.clock(), None
        self._seconds.clear()

    def beat(self, step: int | None = None) -> None:
        """It said something; `step` if that was the end of one."""
        self.last = self.clock()
        if step is not None:
            if self._stepped is not None:
                self._seconds.append(self.last - self._stepped)
            self._stepped, self.step = self.last, step

    def end(self) -> None:
        """Nothing is at work."""
        self.run = ""

    def silent_seconds(self) -> float:
        """Since it was last heard; 0 while nothing is at work."""
        return self.clock() - self.last if self.run else 0.0

    @property
    def patience_seconds(self) -> float:
        """How long it may be silent."""
        if not self._seconds:
            return FIRST_SECONDS
        return max(LEAST_SECONDS, TIMES * statistics.median(list(self._seconds)))

    @property
    def stalled(self) -> bool:
        """It has been silent for too long."""
        return self.silent_seconds() > self.patience_seconds


def write_stacks(folder: Path) -> str:
    """Append where every thread stands to a file in `folder`; gives its path, or '-' if it cannot be written."""
    file = folder / STALLS_FILE
    try:
        with file.open("a", encoding="utf-8") as out:
            out.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {threading.active_count()} threads\n")
            out.flush()
            faulthandler.dump_traceback(out, all_threads=True)
    except OSError:
        return "-"
    return str(file)
