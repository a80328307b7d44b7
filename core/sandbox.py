"""Sandbox: a child process that reads what strangers made, and is given next to nothing for it.

Its Python starts clean; from `lock_up` on it has little memory and time, starts no program, opens no socket and writes only
where it is told. Knows nothing of what is read there.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORBIDDEN = ("subprocess.", "socket.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "ctypes.dlopen")
CHANGES = frozenset(
    ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown")
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PASSED_ON = frozenset({"PATH", "SYSTEMROOT", "TMPDIR", "LD_LIBRARY_PATH"})


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a child that runs `module` of this package."""
    return [sys.executable, "-m", module, *arguments]


def environment() -> dict[str, str]:
    """What such a child learns of our environment: where programs lie, and nothing that a person has set."""
    kept = {name: value for name, value in os.environ.items() if name in PASSED_ON}
    return {**kept, "PYTHONPATH": str(root()), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}


def root() -> Path:
    """The folder that holds our packages, where such a child starts."""
    return Path(__file__).resolve().parents[1]


def lock_up(
    writable: Callable[[str], bool], *, memory_bytes: int, file_bytes: int, files: int, cpu_seconds: int | None = None
) -> None:
    """From now on: no more than that, no other program, no socket, nothing written but where `writable` says yes.

    `memory_bytes` on top of what the process has taken so far; `file_bytes` the largest file, `files` that are open at once.
    """
    sys.addaudithook(_Guard(writable))
    if sys.platform == "win32":
        return
    import resource

    limits = {resource.RLIMIT_FSIZE: file_bytes, resource.RLIMIT_NOFILE: files, resource.RLIMIT_CORE: 0}
    if cpu_seconds is not None:
        limits[resource.RLIMIT_CPU] = cpu_seconds
    if sys.platform == "linux":
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limits[resource.RLIMIT_AS] = taken + memory_bytes
    for what, most in limits.items():
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def compute_at_most(seconds: int) -> None:
    """Lower what `lock_up` gave: the process ends once it has computed for so long in all."""
    if sys.platform == "win32":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    most = seconds if hard == resource.RLIM_INFINITY else min(seconds, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))


class _Guard:
    """An audit hook: Python asks it before it does anything that reaches outside."""

    def __init__(self, writable: Callable[[str], bool]) -> None:
        self._writable = writable

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN):
            raise PermissionError(event)
        if event == "open" and len(args) == 3 and self._writes(args[1], args[2]):
            self._check(event, args[0])
        elif event in CHANGES:
            for path in args[: 2 if event in {"os.rename", "os.link", "os.symlink"} else 1]:
                self._check(event, path)

    @staticmethod
    def _writes(mode: object, flags: object) -> bool:
        if isinstance(mode, str):
            return bool(set(mode) & set("wax+"))
        return isinstance(flags, int) and bool(flags & WRITES)

    def _check(self, event: str, path: object) -> None:
        if isinstance(path, int):  # an open file was asked about when it was opened
            return
        if not isinstance(path, str | bytes | os.PathLike) or not self._writable(os.path.abspath(os.fsdecode(path))):
            raise PermissionError(f"{event} {path!r}")
