"""Process: what the system lets this process do, set once at its start. Knows no workspace."""

import errno
import os
import sys
from contextlib import suppress

from core.errors import StoreError, ThawError

PRIVATE = 0o077
"""Bits that nothing new gets: what is made here is its owner's alone. What is there already keeps its own."""
MAC_FILES = 10_240
"""Where the system says "any number", macOS still refuses more than this."""


def settle() -> None:
    """New files and folders are private, and as many files may be open at a time as the system allows."""
    os.umask(PRIVATE)
    _open_many()


def open_files() -> int | None:
    """How many files may be open at a time; None where the system has no such number."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def out_of_files(error: BaseException) -> ThawError | None:
    """What a person can do if `error` says that too many files are open; None if it says something else."""
    if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
        return StoreError("process.files", limit=open_files() or "–")
    return None


def _open_many() -> None:
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAC_FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a container may forbid it; then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
