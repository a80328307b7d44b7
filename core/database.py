"""One SQLite file: one writer at a time in the whole machine, short readers, migrations that only go forward.

Knows files, locks and versions; nothing of runs. Every write and every checkpoint of the write-ahead log happens while a
lock file is held, so that no two connections ever write or checkpoint at one moment: SQLite before 3.51.3 can then lose data
(its "WAL-reset bug"), and Debian 12 has 3.40.
"""

import os
import queue
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from core import locks
from core.errors import StoreError

BUSY_SECONDS = 10.0
CACHE_KIB = 256
"""Pages that a connection holds in memory; SQLite's own 2,000 KiB are filled by each of them as the list of runs grows, and
the system keeps the file in memory anyway."""
THOROUGH_BYTES = 500 * 2**20
"""Up to this size a check compares indexes with tables, too."""

_BROKEN = ("no such table", "no such column", "Could not decode", "unsupported file format", "malformed", "too big")
"""What SQLite says, without a code of its own, about a file whose content was changed behind its back."""

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs"})
_MOUNTS = Path("/proc/mounts")


def _check_local(folder: Path) -> None:
    """Raises StoreError (`store.network`) if `folder` lies on a network drive, as far as Linux tells."""
    try:
        mounts = [line.split() for line in _MOUNTS.read_text("utf-8", errors="replace").splitlines()]
    except OSError:
        return
    real = folder.resolve()
    above = [(mount[1].replace("\\040", " "), mount[2]) for mount in mounts if len(mount) > 2]
    kinds = [(len(point), kind) for point, kind in above if real.is_relative_to(point)]
    kind = max(kinds, default=(0, ""))[1]
    if kind in _NETWORK:
        raise StoreError("store.network", path=str(folder), kind=kind)


class Database:
    """A file of `application` at version `len(migrations)`; `migrations[n]` holds the statements from version n to n + 1.

    Raises StoreError: `store.foreign` (a database of another program), `store.newer` (written by a newer version),
    `store.damaged`, `store.busy`, `store.full`, `store.unreadable`, `store.network` (locks do not hold on a network drive).
    """

    def __init__(self, path: Path, *, application: int, migrations: Sequence[Sequence[str]]) -> None:
        self.path = path
        self._gate = path.with_name(f".{path.name}.lock")
        self._lock = threading.RLock()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._closed = False
        _check_local(path.parent)
        with self._spoken():
            self._writer = self._connect()
        try:
            with self._spoken(), self._alone():
                self._prepare(application, migrations)
        except BaseException:
            self._writer.close()
            raise

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk when the block is left; undone if the block raises."""
        with self._spoken(), self._alone():
            db = self._writer
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def write_alone(self) -> Iterator[sqlite3.Connection]:
        """The writer outside a transaction, while nobody else writes."""
        with self._spoken(), self._alone():
            yield self._writer

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write. Fetch and leave: a long reader keeps the write-ahead log from being emptied."""
        with self._spoken():
            try:
                db = self._readers.get_nowait()
            except queue.Empty:
                db = self._connect(read_only=True)
            try:
                yield db
            finally:
                if self._closed:
                    db.close()
                else:
                    self._readers.put(db)

    def check(self) -> None:
        """Look the whole file through. Raises StoreError (`store.damaged`)."""
        thorough = self.path.stat().st_size <= THOROUGH_BYTES
        with self.read() as db:
            if db.execute(f"PRAGMA {'integrity' if thorough else 'quick'}_check(1)").fetchone()[0] != "ok":
                raise StoreError("store.damaged", path=str(self.path))

    def copy_to(self, target: Path) -> None:
        """A whole copy of this moment in the new file `target`, flushed to the disk. Raises StoreError."""
        with self.write_alone() as db:
            db.execute("VACUUM INTO ?", (str(target),))
        handle = os.open(target, os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def close(self) -> None:
        """Close every connection; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            while not self._readers.empty():
                self._readers.get_nowait().close()
            with self._spoken(), self._alone():  # the last one to close empties the write-ahead log
                self._writer.close()

    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        mode = "ro" if read_only else "rwc"
        db = sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA trusted_schema=OFF")
        db.execute(f"PRAGMA cache_size={-CACHE_KIB}")
        db.execute("PRAGMA query_only=ON" if read_only else "PRAGMA foreign_keys=ON")
        return db

    def _prepare(self, application: int, migrations: Sequence[Sequence[str]]) -> None:
        db = self._writer
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        owner = int(db.execute("PRAGMA application_id").fetchone()[0])
        tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        if owner != application and (owner or tables):
            raise StoreError("store.foreign", path=str(self.path))
        if version < 0 or (tables and not version):  # no migration leaves that
            raise StoreError("store.damaged", path=str(self.path))
        if version > len(migrations):
            raise StoreError("store.newer", path=str(self.path), found=version, known=len(migrations))
        db.execute("PRAGMA journal_mode=WAL")  # now that it is ours: the mode stays in the file
        db.execute("PRAGMA synchronous=FULL")
        if 0 < version < len(migrations):
            copy = self.path.with_name(f"{self.path.stem}.v{version}{self.path.suffix}")
            copy.unlink(missing_ok=True)
            db.execute("VACUUM INTO ?", (str(copy),))
        for number in range(version, len(migrations)):
            db.execute("BEGIN IMMEDIATE")
            try:
                for statement in migrations[number]:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id={application:d}")
                db.execute(f"PRAGMA user_version={number + 1:d}")
                db.execute("COMMIT")
            except BaseException:
                db.execute("ROLLBACK")
                raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            try:
                hold = locks.take(self._gate, timeout_seconds=BUSY_SECONDS)
            except OSError as error:  # somebody else's file, too many open ones
                reason = error.strerror or str(error)
                raise StoreError("store.unreadable", path=str(self._gate), reason=reason) from error
            if hold is None:
                raise StoreError("store.busy", path=str(self.path))
            with hold:
                yield

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """What SQLite says, in our words."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "") or ""
            path = str(self.path)
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise StoreError("store.busy", path=path) from error
            if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
                raise StoreError("store.full", path=path, reason=str(error)) from error
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise StoreError("store.damaged", path=path) from error
            if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
                raise StoreError("store.unreadable", path=path, reason=str(error)) from error
            if any(said in str(error) for said in _BROKEN):
                raise StoreError("store.damaged", path=path) from error
            raise
        except UnicodeDecodeError as error:  # a damaged name in SQLite's own complaint
            raise StoreError("store.damaged", path=str(self.path)) from error
