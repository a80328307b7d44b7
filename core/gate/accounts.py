"""Accounts: the people of a workspace, the class password, sessions, and whose a data set is; one small database of its own.

Apart from the runs, so that a copy of the runs holds no password. Knows no HTTP: a session is a token that somebody brings.
The passwords themselves and the tokens are never written down, only their hashes.
"""

import hashlib
import json
import logging
import secrets
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

from core import locks, rescue
from core.database import BUSY_SECONDS, Database
from core.errors import AccessError, StoreError
from core.gate import passwords
from core.gate.limits import Limits
from core.workspace import Workspace

NAME = "accounts.sqlite"
COPIES = "accounts"
"""Folder among the backups with copies of it, one after each change: a gate whose list is lost must not stand open."""
APPLICATION = 0x54484143  # "THAC"
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE person (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            key TEXT NOT NULL UNIQUE,
            password TEXT,
            admin INTEGER NOT NULL DEFAULT 0 CHECK (admin IN (0, 1)),
            created INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE session (
            hash TEXT PRIMARY KEY,
            person TEXT NOT NULL REFERENCES person(id) ON DELETE CASCADE,
            ends INTEGER NOT NULL
        ) STRICT""",
        "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
        "CREATE TABLE owned (dataset TEXT PRIMARY KEY, owner TEXT NOT NULL) STRICT",
    ),
)
SESSION_SECONDS = 12 * 3600
"""A school day. NIST SP 800-63B, 7.2: to be asked again at least once in 12 hours (its middle level)."""
REMEMBERED_SECONDS = 1.0
"""So long a token is not looked up again: who is removed from another process is out after that."""
MOST_PEOPLE = 1000
"""By the class password anybody makes new names."""
LONGEST_NAME = 40
EVERYBODY = "*"
"""As owner of a data set: all may use it."""
_CLASS, _LIMITS = "class_password", "limits"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may come in."""

    id: str
    """Stays, and is never given to anybody else; what a person makes is marked with it."""
    name: str
    admin: bool = False
    """Keeps the machine: sees and may do everything."""
    own_password: bool = True
    """False for those who come in by the class password."""
    created: int = 0
    """Seconds since 1970."""


class Accounts:
    """Who may come into a workspace. Safe to use from several threads and processes.

    Nothing is made on the disk before the first account is. A list that is damaged or gone is brought back from its copy.
    Raises StoreError as `Database` does, and AccessError (`gate.damaged`) if there is no whole copy.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._file = workspace.root / NAME
        self._copies = workspace.backups / COPIES
        self._lock = threading.Lock()
        self._copying = threading.Lock()
        self._opened: Database | None = None
        self._seen = False
        self._known: dict[str, tuple[Person | None, float]] = {}

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @property
    def on(self) -> bool:
        """True if somebody has an account or there is a class password. Once true it stays so: a gate falls shut."""
        if not self._seen and self._there:
            with self._database.read() as db:
                query = "SELECT EXISTS (SELECT 1 FROM person) OR EXISTS (SELECT 1 FROM setting WHERE name = ?)"
                self._seen = bool(db.execute(query, (_CLASS,)).fetchone()[0])
        return self._seen

    # --- people

    def people(self) -> list[Person]:
        """Everybody, by name."""
        if not self._there:
            return []
        with self._database.read() as db:
            return [_person(row) for row in db.execute("SELECT * FROM person ORDER BY key").fetchall()]

    def add(self, name: str, password: str, *, admin: bool = False) -> Person:
        """A new account. Raises AccessError: `gate.name`, `gate.name_taken`, `gate.password_*`."""
        name, kept = checked_name(name), passwords.hashed(passwords.checked(password))
        return self._insert(name, kept, admin)

    def remove(self, name: str) -> Person:
        """Take an account away; what that person made stays, for admins to see. Raises AccessError (`gate.nobody_named`)."""
        person = self.find(name)
        with self._change() as db:
            db.execute("DELETE FROM person WHERE id = ?", (person.id,))
        return person

    def set_password(self, name: str, password: str) -> Person:
        """Give a person a (new) own password and end all their sessions. Raises AccessError as `add` and `remove`."""
        person, kept = self.find(name), passwords.hashed(passwords.checked(password))
        with self._change() as db:
            db.execute("UPDATE person SET password = ? WHERE id = ?", (kept, person.id))
            db.execute("DELETE FROM session WHERE person = ?", (person.id,))
        return person

    def set_admin(self, name: str, admin: bool) -> Person:
        """Let a person keep the machine, or no more. Raises AccessError (`gate.nobody_named`)."""
        person = self.find(name)
        with self._change() as db:
            db.execute("UPDATE person SET admin = ? WHERE id = ?", (int(admin), person.id))
        return replace(person, admin=admin)

    def find(self, name: str) -> Person:
        """The person of that name. Raises AccessError (`gate.nobody_named`)."""
        row = self._row(name) if self._there else None
        if row is None:
            raise AccessError("gate.nobody_named", name=_shown(name))
        return _person(row)

    # --- what holds for all

    def set_class_password(self, password: str | None) -> None:
        """Let everybody in who knows `password`, under a name of their own; None: nobody. Ends the sessions of the class.

        Raises AccessError (`gate.password_*`).
        """
        kept = None if password is None else passwords.hashed(passwords.checked(password))
        with self._change() as db:
            db.execute("DELETE FROM setting WHERE name = ?", (_CLASS,))
            if kept is not None:
                db.execute("INSERT INTO setting (name, value) VALUES (?, ?)", (_CLASS, kept))
            db.execute("DELETE FROM session WHERE person IN (SELECT id FROM person WHERE password IS NULL)")

    @property
    def has_class_password(self) -> bool:
        """True if there is one."""
        return self._setting(_CLASS) is not None

    @property
    def limits(self) -> Limits:
        """What each person may take."""
        kept = self._setting(_LIMITS)
        return Limits() if kept is None else Limits(**json.loads(kept))

    def set_limits(self, limits: Limits) -> None:
        """From now on for everybody."""
        with self._change() as db:
            db.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (_LIMITS, limits.model_dump_json()))

    # --- sessions

    def sign_in(self, name: str, password: str) -> tuple[str, Person]:
        """A new session and whose it is: by the person's own password, or, for who has none, by that of the class.

        Takes the same time whatever is wrong. Raises AccessError: `gate.wrong` (name or password), `gate.name`,
        `gate.class_full`.
        """
        name = checked_name(name)
        row, shared = self._row(name), self._setting(_CLASS)
        own = row["password"] if row is not None else None
        if not passwords.fits(password, own or shared or passwords.NOBODY):
            raise AccessError("gate.wrong")
        person = self._insert(name, None, admin=False) if row is None else _person(row)
        token = secrets.token_urlsafe(32)
        now = int(time.time())
        with self._database.write() as db:
            db.execute("DELETE FROM session WHERE ends <= ?", (now,))
            db.execute("INSERT INTO session VALUES (?, ?, ?)", (_hash(token), person.id, now + SESSION_SECONDS))
        return token, person

    def who(self, token: str) -> Person | None:
        """Whose session that is; None if there is none, or it has ended."""
        if not token or not self._there:
            return None
        key, now = _hash(token), time.monotonic()
        person, until = self._known.get(key, (None, 0.0))
        if now < until:
            return person
        with self._database.read() as db:
            query = "SELECT person.* FROM session JOIN person ON person.id = session.person WHERE hash = ? AND ends > ?"
            row = db.execute(query, (key, int(time.time()))).fetchone()
        person = None if row is None else _person(row)
        if len(self._known) > 4 * MOST_PEOPLE:
            self._known.clear()
        self._known[key] = person, now + REMEMBERED_SECONDS
        return person

    def sign_out(self, token: str) -> None:
        """End a session."""
        with self._database.write() as db:
            db.execute("DELETE FROM session WHERE hash = ?", (_hash(token),))
        self._known.pop(_hash(token), None)

    # --- whose a data set is

    def owners(self) -> dict[str, str]:
        """Data set to owner: the id of a person, or EVERYBODY. Those that are not named belong to nobody."""
        if not self._there:
            return {}
        with self._database.read() as db:
            return {row["dataset"]: row["owner"] for row in db.execute("SELECT dataset, owner FROM owned").fetchall()}

    def give(self, dataset: str, owner: str) -> None:
        """Say whose a data set is from now on; '' for nobody's."""
        with self._change() as db:
            db.execute("DELETE FROM owned WHERE dataset = ?", (dataset,))
            if owner:
                db.execute("INSERT INTO owned (dataset, owner) VALUES (?, ?)", (dataset, owner))

    # --- the database

    @property
    def _there(self) -> bool:
        """There is a list, or there was one."""
        return self._file.exists() or bool(rescue.copies(self._copies))

    @property
    def _database(self) -> Database:
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> Database:
        try:
            if rescue.copies(self._copies) and not (self._file.exists() and self._file.stat().st_size):
                raise StoreError("store.damaged", path=str(self._file))
            database = self._checked()
            if not rescue.copies(self._copies):  # made by an older version, or restored
                self._copy(database)
            return database
        except StoreError as error:
            if error.code != "store.damaged":
                raise
            if rescue.newest_good(self._copies) is None:
                raise AccessError("gate.damaged", path=str(self._file), copies=str(self._copies)) from error
            logger.error("the list of accounts is damaged or gone and comes back from its copy", exc_info=error)
            rescue.set_aside(self._file)
            rescue.bring_back(self._file, self._copies)
            return self._checked()

    def _checked(self) -> Database:
        self._file.touch(0o600)  # what SQLite puts beside it has the same rights
        database = Database(self._file, application=APPLICATION, migrations=MIGRATIONS)
        try:
            database.check()
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Write what must outlive a damaged file: a copy is made afterwards."""
        database = self._database
        with database.write() as db:
            yield db
        self._known.clear()
        self._copy(database)

    def _copy(self, database: Database) -> None:
        try:
            self._copies.mkdir(0o700, parents=True, exist_ok=True)
            with self._copying, locks.take(self._copies / ".lock", timeout_seconds=BUSY_SECONDS) or nullcontext():
                latest = rescue.keep_copy(database, self._copies)
                for older in rescue.copies(self._copies):  # in one, who was removed could still come in
                    if older != latest:
                        older.unlink(missing_ok=True)
        except (OSError, StoreError):  # the change itself is on the disk
            logger.warning("no copy of the list of accounts could be made", exc_info=True)

    def _row(self, name: str) -> dict[str, str] | None:
        with self._database.read() as db:
            row = db.execute("SELECT * FROM person WHERE key = ?", (_key(name),)).fetchone()
        return None if row is None else dict(row)

    def _setting(self, name: str) -> str | None:
        if not self._there:
            return None
        with self._database.read() as db:
            row = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row["value"])

    def _insert(self, name: str, kept: str | None, admin: bool) -> Person:
        person = Person(secrets.token_hex(8), name, admin, kept is not None, int(time.time()))
        with self._change() as db:
            if db.execute("SELECT 1 FROM person WHERE key = ?", (_key(name),)).fetchone():
                raise AccessError("gate.name_taken", name=name)
            if db.execute("SELECT count(*) FROM person").fetchone()[0] >= MOST_PEOPLE:
                raise AccessError("gate.class_full", most=MOST_PEOPLE)
            row = (person.id, name, _key(name), kept, int(admin), person.created)
            db.execute("INSERT INTO person (id, name, key, password, admin, created) VALUES (?, ?, ?, ?, ?, ?)", row)
        return person


def checked_name(name: str) -> str:
    """`name` as it is kept, 1 to 40 characters that can be seen. Raises AccessError (`gate.name`)."""
    name = unicodedata.normalize("NFKC", " ".join(name.split()))
    if not 1 <= len(name) <= LONGEST_NAME or any(unicodedata.category(letter)[0] == "C" for letter in name):
        raise AccessError("gate.name", most=LONGEST_NAME)
    return name


def _key(name: str) -> str:
    """What two names share that are taken for the same."""
    return unicodedata.normalize("NFKC", " ".join(name.split())).casefold()


def _shown(name: str) -> str:
    return "".join(letter for letter in name if letter.isprintable())[:LONGEST_NAME]


def _person(row: dict[str, str]) -> Person:
    return Person(row["id"], row["name"], bool(row["admin"]), row["password"] is not None, int(row["created"]))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()  # of 256 random bits: no salt, no stretching
