"""Published weights on this machine: found, verified, or downloaded so that a half or changed file is never taken for whole.

Our own few lines on urllib, because torch.hub compares eight digits of a hash, only once, and unpickles what it got.
No torch here. `THAW_WEIGHTS_MIRROR` (https://server/folder) replaces the address of all files but for their names.
"""

import hashlib
import http.client
import json
import os
import re
import shutil
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from core.backbones.facts import Card
from core.errors import WeightsError
from core.locks import Hold, take
from core.workspace import Workspace

CHUNK = 1 << 20
STALL_SECONDS = 30.0
"""A server that says nothing for so long has stalled."""
ATTEMPTS = 4
"""So many in a row may bring nothing; each goes on where the one before was cut off."""
PAUSE_SECONDS = 1.0
"""Before the second of them; doubled before each further one."""
TOLERANCE = 0.01
"""Share by which a file may differ from the published size, which is rounded; a login page is far from it."""
SPARE_BYTES = 64 * 2**20
"""Room that a download leaves on the disk."""

_waiting: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def find(card: Card, workspace: Workspace) -> Path | None:
    """Where the file of `card` lies: in the workspace, or where torch keeps its downloads. Not verified."""
    if not card.file:
        return None
    return next((path for path in (workspace.weights / card.file, _hub() / card.file) if path.is_file()), None)


def fetch(
    card: Card,
    workspace: Workspace,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """The verified file of `card`, downloaded if it is not here or damaged.

    Each call compares the whole file's SHA-256 with the digits in its name and, from the second on, with what it was.
    Raises WeightsError: `weights.no_pretrained`, `.offline`, `.refused`, `.wrong_size`, `.cut`, `.damaged`, `.no_space`,
    `.unwritable`, `.bad_address`, `.cancelled`.
    """
    if not card.file:
        raise WeightsError("weights.no_pretrained", name=card.name, kinds=", ".join(card.weights))
    folder = workspace.weights
    with _waiting[card.file]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in (folder / card.file, _hub() / card.file):
                if path.is_file() and _verified(path, workspace):
                    return path
            return _Download(card, workspace, progress, cancelled).run()
        except OSError as error:
            raise WeightsError("weights.unwritable", folder=str(folder), reason=error.strerror or str(error)) from error


def digits(file: str) -> str:
    """The first digits of the SHA-256 that torchvision writes into a file's name."""
    found = re.search(r"-([0-9a-f]{8,64})\.pth$", file)
    return found[1] if found else ""


def _hub() -> Path:
    """Where torch.hub keeps its downloads."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch") / "hub" / "checkpoints"


def _verified(path: Path, workspace: Workspace) -> bool:
    """The file has the digits of its name and is what it was when it was first seen."""
    digest = _sha256(path)
    record = workspace.weights / f"{path.name}.json"
    try:
        known = json.loads(record.read_text("utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if not digits(path.name) or not digest.startswith(digits(path.name)) or known not in (None, digest):
        return False
    if known is None:
        _record(record, digest, path)
    return True


def _record(record: Path, digest: str, path: Path) -> None:
    part = record.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps({"sha256": digest, "bytes": path.stat().st_size}), "utf-8")
    part.replace(record)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Cut(Exception):
    """The connection ended before the file did."""


class _Download:
    """One file on its way into the workspace. What has come stays in `<file>.part`, and the next attempt goes on there."""

    def __init__(
        self,
        card: Card,
        workspace: Workspace,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        mirror = os.environ.get("THAW_WEIGHTS_MIRROR", "").strip()
        self.card = card
        self.workspace = workspace
        self.url = f"{mirror.rstrip('/')}/{card.file}" if mirror else card.url
        self.file = workspace.weights / card.file
        self.part = workspace.weights / f"{card.file}.part"
        self.progress = progress or (lambda done, total: None)
        self.cancelled = cancelled or (lambda: False)
        self.heard = False
        """Something has come in this run."""

    def run(self) -> Path:
        """The verified file."""
        if not self.url.startswith(("https://", "http://")):
            raise WeightsError("weights.bad_address", url=self.url)
        with self._alone():
            if not (self.file.is_file() and _verified(self.file, self.workspace)):
                self._transfer()
                self._finish()
        return self.file

    def _alone(self) -> Hold:
        """No other process loads this file."""
        while True:
            hold = take(self.file.with_name(f".{self.file.name}.lock"), timeout_seconds=0.5)
            if hold is not None:
                return hold
            self._obey()

    def _transfer(self) -> None:
        """All bytes into the part file, in as many attempts as it takes."""
        failures = 0
        while True:
            before = self._here()
            try:
                self._attempt()
                return
            except _Cut as error:
                failures = 1 if self._here() > before else failures + 1
                if failures >= ATTEMPTS:
                    done, total = _megabytes(self._here()), _megabytes(self.card.weights_bytes)
                    raise WeightsError("weights.cut", file=self.file.name, done=done, total=total) from error
            self._wait(PAUSE_SECONDS * 2 ** (failures - 1))

    def _attempt(self) -> None:
        """One connection. Raises _Cut if it ends early."""
        have = self._here()
        headers = {"User-Agent": "thaw", "Accept-Encoding": "identity"}
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310 - the scheme was checked
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            with urllib.request.urlopen(request, timeout=STALL_SECONDS) as answer:  # noqa: S310 - the scheme was checked
                start, total = _range(answer, have)
                self._expect(start, total)
                with self.part.open("ab" if start else "wb") as file:
                    self._receive(answer, file, start, total)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
                self.part.unlink()
                raise _Cut from error
            if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _Cut from error
            raise WeightsError("weights.refused", url=self.url, status=error.code, reason=str(error.reason)) from error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            if isinstance(error, urllib.error.URLError) and not self.heard:
                raise self._offline() from error
            raise _Cut from error

    def _offline(self) -> WeightsError:
        host, folder = urllib.parse.urlsplit(self.url).netloc, str(self.file.parent)
        return WeightsError("weights.offline", name=self.card.name, host=host, file=self.file.name, folder=folder)

    def _expect(self, start: int, total: int) -> None:
        """Raises WeightsError if what comes cannot be the file, or has no room."""
        published = self.card.weights_bytes
        if total and abs(total - published) > TOLERANCE * published:
            raise WeightsError("weights.wrong_size", url=self.url, there=_megabytes(total), here=_megabytes(published))
        need, free = (total or published) - start + SPARE_BYTES, shutil.disk_usage(self.file.parent).free
        if need > free:
            folder = str(self.file.parent)
            raise WeightsError("weights.no_space", folder=folder, need=_megabytes(need), free=_megabytes(free))

    def _receive(self, answer: http.client.HTTPResponse, file: BinaryIO, done: int, total: int) -> None:
        limit = total or int(self.card.weights_bytes * (1 + TOLERANCE))
        while done < limit:
            self._obey()
            chunk = answer.read1(CHUNK)
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            self.heard = True
            self.progress(done, total or self.card.weights_bytes)
        if done < total:
            raise _Cut
        file.flush()
        os.fsync(file.fileno())

    def _finish(self) -> None:
        """The part file becomes the file, if it is what its name says."""
        digest = _sha256(self.part)
        if not digits(self.file.name) or not digest.startswith(digits(self.file.name)):
            self.part.unlink()
            raise WeightsError("weights.damaged", file=self.file.name, url=self.url)
        os.replace(self.part, self.file)
        _record(self.workspace.weights / f"{self.file.name}.json", digest, self.file)

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _obey(self) -> None:
        if self.cancelled():
            raise WeightsError("weights.cancelled", name=self.card.name)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._obey()
            time.sleep(min(0.1, seconds))


def _range(answer: http.client.HTTPResponse, have: int) -> tuple[int, int]:
    """Where in the file the answer begins, and the size of all of it (0: not said)."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range") or "")
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT and found and int(found[1]) == have:
        return have, int(found[2])
    return 0, int(answer.headers.get("Content-Length") or 0)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
