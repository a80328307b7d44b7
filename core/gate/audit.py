"""Audit: one line for each thing that somebody did, in `audit.jsonl` of the workspace. Only appended to; old files rotate.

Knows no words and no secrets: names, ids and acts, never a password, cookie or header.
"""

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from core import locks
from core.words import Value

NAME = "audit.jsonl"
MOST_BYTES = 5 * 2**20
"""Of one file; a line has about 150."""
KEPT = 9
"""Old files, `audit.1.jsonl` being the newest."""
WAIT_SECONDS = 5.0


class Audit:
    """The log of the workspace at `root`. Safe to use from several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.file = root / NAME
        self._lock = threading.Lock()

    def write(self, act: str, what: Mapping[str, Value], *, who: str = "", person: str = "") -> bool:
        """Append a line; False if it could not be written, which stops nobody from working.

        `who` is the name as it was then, `person` the id that stays.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": now, "act": act, "who": who, "person": person, **what}, ensure_ascii=False) + "\n"
        data = line.encode("utf-8", "backslashreplace")
        with suppress(OSError), self._lock:
            hold = locks.take(self.file.with_name(f".{NAME}.lock"), timeout_seconds=WAIT_SECONDS)
            if hold is None:
                return False
            with hold:
                self._rotate(len(data))
                handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
                try:
                    while data:
                        data = data[os.write(handle, data) :]
                    os.fsync(handle)
                finally:
                    os.close(handle)
                return True
        return False

    def read(self, skip: int = 0, most: int = 50) -> tuple[list[dict[str, Value]], int]:
        """The newest `most` lines after `skip` of them, newest first, and how many lines there are in all.

        One that cannot be read is left out of the first and counted in the second.
        """
        found: list[dict[str, Value]] = []
        total = 0
        for file in (self.file, *(self._old(number) for number in range(1, KEPT + 1))):
            try:
                lines = file.read_bytes().splitlines()
            except OSError:
                continue
            newest = max(skip - total, 0)
            for line in lines[::-1][newest : newest + most - len(found)] if newest < len(lines) else ():
                with suppress(ValueError):
                    said = json.loads(line)
                    if isinstance(said, dict):
                        found.append({str(key): value for key, value in said.items() if isinstance(value, Value)})
            total += len(lines)
        return found, total

    def _rotate(self, coming: int) -> None:
        if not self.file.exists() or self.file.stat().st_size + coming <= MOST_BYTES:
            return
        for number in range(KEPT, 0, -1):
            older = self._old(number)
            newer = self._old(number - 1) if number > 1 else self.file
            if newer.exists():
                os.replace(newer, older)

    def _old(self, number: int) -> Path:
        return self.file.with_name(f"audit.{number}.jsonl")
