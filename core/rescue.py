"""Rescue: copies of the database while it is whole, and the way back to the newest good one when it is not.

A copy lies in `backups/` with its SHA-256 in its name. A damaged database is never deleted or written to: it is set aside.
Knows files and times; nothing of runs.
"""

import hashlib
import os
import re
import shutil
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.database import Database
from core.durable import flush_folder

HOURLY, DAILY = 3, 7
"""Copies kept: the newest ones, and the newest of each day that has any."""
EVERY = timedelta(hours=1)
_NAME = re.compile(r"thaw-(\d{8}T\d{6})-([0-9a-f]{64})\.sqlite")


def keep_copy(database: Database, folder: Path, now: datetime | None = None) -> Path:
    """A copy of this moment in `folder`; older ones are thinned out. Raises StoreError, OSError."""
    now = now or datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".draft-{os.getpid()}.sqlite"
    draft.unlink(missing_ok=True)
    try:
        database.copy_to(draft)
        after = [_time(older) + timedelta(seconds=1) for older in copies(folder)[:1]]  # though the clock was put back
        copy = folder / f"thaw-{max([now, *after]):%Y%m%dT%H%M%S}-{_sha256(draft)}.sqlite"
        os.utime(draft, (now.timestamp(), now.timestamp()))
        os.replace(draft, copy)
    finally:
        draft.unlink(missing_ok=True)
    flush_folder(folder)
    for old in _superfluous(folder):
        old.unlink(missing_ok=True)
    return copy


def copy_due(folder: Path, now: datetime | None = None) -> bool:
    """The newest copy is older than `EVERY`, or of a time that is still to come, or there is none."""
    now = now or datetime.now(UTC)
    ages = [now.timestamp() - copy.stat().st_mtime for copy in copies(folder)[:1]]
    return not ages or not 0 <= ages[0] < EVERY.total_seconds()


def copies(folder: Path) -> list[Path]:
    """Every copy, the newest first. None is verified here."""
    return sorted((file for file in folder.glob("thaw-*.sqlite") if _NAME.fullmatch(file.name)), reverse=True)


def newest_good(folder: Path) -> Path | None:
    """The newest copy that still has its hash; None if there is none."""
    for copy in copies(folder):
        match = _NAME.fullmatch(copy.name)
        with suppress(OSError):
            if match and _sha256(copy) == match[2]:
                return copy
    return None


def set_aside(path: Path, now: datetime | None = None) -> Path:
    """Give a damaged database another name, its write-ahead log with it; gives that name. Nobody may have it open."""
    now = now or datetime.now(UTC)
    number = 0
    while (aside := path.with_name(f"{path.stem}.damaged-{now:%Y%m%dT%H%M%S}{f'-{number}' * bool(number)}.sqlite")).exists():
        number += 1
    for ending in ("", "-wal"):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{ending}", f"{aside}{ending}")
    with suppress(FileNotFoundError):
        os.unlink(f"{path}-shm")
    flush_folder(path.parent)
    return aside


def bring_back(path: Path, folder: Path) -> datetime | None:
    """Put the newest good copy at `path`, where nothing may lie; gives the copy's time, None if there is no good one."""
    copy = newest_good(folder)
    if copy is None:
        return None
    draft = path.with_name(f".{path.name}.draft")
    shutil.copyfile(copy, draft)
    with open(draft, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(draft, path)
    flush_folder(path.parent)
    return _time(copy)


def is_sound(path: Path, application: int) -> bool:
    """The file, which nobody has open, is a database of `application` and SQLite finds nothing wrong with it."""
    try:
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            owner = db.execute("PRAGMA application_id").fetchone()[0]
            return bool(owner == application and db.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")
        finally:
            db.close()
    except (sqlite3.Error, UnicodeDecodeError):
        return False


def _superfluous(folder: Path) -> list[Path]:
    """Neither among the newest nor the newest of one of the last days."""
    found = copies(folder)
    of_days: dict[str, Path] = {}
    for copy in found:
        of_days.setdefault(copy.name[5:13], copy)
    kept = {*found[:HOURLY], *list(of_days.values())[:DAILY]}
    return [copy for copy in found if copy not in kept]


def _time(copy: Path) -> datetime:
    return datetime.strptime(copy.name[5:20], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
