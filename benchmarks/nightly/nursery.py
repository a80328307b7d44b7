"""Nursery: a process that has torch loaded and forks a training process whenever it is asked.

So killing one costs little. Its children say on a pipe what was acknowledged to them. Linux and macOS only.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.nightly.proof import ROOT


@dataclass
class Child:
    """A training process and what it has said: `lines` of (seconds since its first word, word, values)."""

    pid: int
    pipe: Any
    nursery: "Nursery"
    lines: list[tuple[float, str, list[Any]]] = field(default_factory=list)
    begin: float = field(default_factory=time.monotonic)
    _rest: bytes = b""
    _code: int | None = None

    def listen(self, seconds: float) -> bool:
        """Take in what it says within `seconds`; False once it has ended."""
        import select

        end = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.pipe], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return True
            data = os.read(self.pipe, 65536)
            if not data:
                return False
            self._rest += data
            *whole, self._rest = self._rest.split(b"\n")
            for line in whole:
                word, *values = json.loads(line)
                self.lines.append((time.monotonic() - self.begin, word, values))
            if time.monotonic() >= end:
                return True

    def said(self, word: str) -> list[list[Any]]:
        """The values of every such word."""
        return [values for _, told, values in self.lines if told == word]

    @property
    def in_save(self) -> bool:
        """As far as one could hear it was writing a checkpoint at the end."""
        return len(self.said("save")) > len(self.said("saved"))

    def kill(self) -> bool:
        """SIGKILL, then whatever it had still said; True if it was alive and this has ended it."""
        os.kill(self.pid, 9)  # nobody else's: the nursery keeps the number until it is asked for the status
        while self.listen(10.0):
            pass
        return self._end() == -9

    def close(self) -> None:
        """Let go of the pipe, and of what is left of a process that has ended."""
        os.close(self.pipe)
        self._end()

    def _end(self) -> int:
        if self._code is None:
            self._code = self.nursery.ask([self.pid])
        return self._code


class Nursery:
    """Use as a context. `start` gives a `Child` that drives a queued run of a workspace."""

    def __enter__(self) -> "Nursery":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.nightly.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return self

    def start(self, workspace: Path, run_id: str, save_seconds: float) -> Child:
        """A process that takes the queue of the dead over and drives that run."""
        read, write = os.pipe()
        os.set_inheritable(write, True)
        ours = f"/proc/{os.getpid()}/fd/{write}"
        pid = self.ask([ours, str(workspace), run_id, save_seconds])
        os.close(write)
        return Child(pid, read, self)

    def ask(self, request: list[Any]) -> int:
        """The pid of a new child; or, asked for one that has ended or is about to, its exit status (-9: killed)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


# --- in the nursery, and in its children ------------------------------------------------------------------------------


def _requests() -> Iterator[list[Any]]:
    for line in sys.stdin.buffer:
        yield json.loads(line)


def _live(pipe: int, workspace: str, run_id: str, save_seconds: float) -> None:
    """Drive the run and tell what is acknowledged, each with one write: whoever reads never sees half a line of the last."""
    from core import checkpoint
    from core.drive import drive
    from core.store import RunStore
    from core.training import shelf
    from core.workspace import open_workspace

    def say(word: str, *values: object) -> None:
        os.write(pipe, json.dumps([word, *values]).encode() + b"\n")

    shelf.SAVE_SECONDS = save_seconds
    save = checkpoint.save

    def telling(path: Path, *given: Any, **named: Any) -> Any:
        say("save", path.name)
        written = save(path, *given, **named)
        say("saved", path.name, written.sha256)
        return written

    checkpoint.save = telling
    store = RunStore(open_workspace(workspace))
    append = store.append

    def acknowledged(run: str, events: Any, **named: Any) -> int:
        events = list(events)
        seq = append(run, events, **named)
        steps = [event.step for event in events if event.kind == "step"]
        marks = [[event.step, event.file, event.sha256] for event in events if event.kind == "saved"]
        over = [event.outcome for event in events if event.kind == "ended"]
        say("event", seq, len(events), steps[-1] if steps else 0, marks, over)
        return seq

    store.append = acknowledged  # type: ignore[method-assign]
    store.adopt()
    say("begin")
    ended = drive(store, run_id)
    say("end", ended.outcome if ended else None)
    store.close()


def _main() -> None:
    import core.training
    from core.dataset import pixels  # noqa: F401

    core.training.torch.set_num_threads(1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for request in _requests():
        answer = _bear(*request) if len(request) > 1 else os.waitstatus_to_exitcode(os.waitpid(request[0], 0)[1])
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _bear(ours: str, workspace: str, run_id: str, save_seconds: float) -> int:
    """The pid of a child that drives the run."""
    pipe = os.open(ours, os.O_WRONLY)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _live(pipe, workspace, run_id, save_seconds)
            code = 0
        finally:
            os._exit(code)
    os.close(pipe)
    return pid


if __name__ == "__main__":
    _main()
