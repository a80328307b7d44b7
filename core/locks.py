"""Locks between processes: a file that one process holds for as long as it lives. The system lets go when it dies.

Knows files; nothing of what they protect. A process id in a file would lie after a crash, for ids are used again.
"""

import os
import secrets
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Hold:
    """A lock that is held until `release`, or until the process ends however it ends."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def take(path: Path, *, timeout_seconds: float = 0.0) -> Hold | None:
    """The lock of the file at `path` (made if it is not there), or None if another holder keeps it that long."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + timeout_seconds
    pause = 0.001
    while True:
        try:
            _lock(handle)
        except OSError:
            if time.monotonic() >= end:
                os.close(handle)
                return None
            time.sleep(pause)
            pause = min(pause * 2, 0.02)
        except BaseException:
            os.close(handle)
            raise
        else:
            return Hold(path, handle)


def born_locked(path: Path) -> Hold:
    """A new lock file that nobody ever sees unlocked while we hold it. `path` must be new."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    hold = take(draft)
    if hold is None:  # a name of 32 random bits is already held
        raise FileExistsError(draft)
    os.replace(draft, path)
    return Hold(path, hold._handle)


def is_held(path: Path) -> bool:
    """True while some process holds the lock of `path`."""
    if not path.exists():
        return False
    hold = take(path)
    if hold is None:
        return True
    hold.release()
    return False
