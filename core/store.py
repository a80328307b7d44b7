"""RunStore: every run, its events and what it is asked to do, as rows of the workspace's database. The engine's only voice.

What was read is never changed by a later write. A finished or discarded run never changes its state again. Rows of steps are
packed, so that a million of them load in a blink. Knows nothing of training, devices or pages.
"""

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from core import locks
from core.database import Database
from core.errors import StoreError
from core.events import COMMAND, EVENT, Command, Ended, EpochDone, Event, Saved, Started, StepDone, Tested
from core.recipe import Recipe
from core.run import ACTIVE, BEFORE, RESUMABLE, STATES, Run, State, checked_id, new_id
from core.steps import Steps
from core.workspace import Workspace

__all__ = ["ACTIVE", "BEFORE", "RESUMABLE", "STATES", "Run", "RunStore", "State", "checked_id", "new_id"]

_APPLICATION = 0x54484157  # "THAW"
_STATE_LIST = ", ".join(f"'{state}'" for state in STATES)
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"""CREATE TABLE run (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            recipe TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ({_STATE_LIST})),
            boot TEXT NOT NULL,
            place INTEGER NOT NULL,
            created TEXT NOT NULL,
            started TEXT,
            ended TEXT,
            deleted TEXT,
            seconds REAL NOT NULL DEFAULT 0,
            epoch INTEGER NOT NULL DEFAULT 0,
            step INTEGER NOT NULL DEFAULT 0,
            best_epoch INTEGER,
            best_val_accuracy REAL,
            test_accuracy REAL,
            error_code TEXT,
            error_values TEXT
        ) STRICT""",
        """CREATE TABLE event (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            payload BLOB NOT NULL,
            at TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX event_of_run ON event(run, seq)",
        """CREATE TABLE command (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE,
            payload TEXT NOT NULL,
            at TEXT NOT NULL
        ) STRICT""",
    ),
)
_COLUMNS = (
    "id, name, recipe, state, boot, created, started, ended, deleted, seconds, epoch, step, best_epoch, best_val_accuracy, "
    "test_accuracy, error_code, error_values"
)


class RunStore:
    """The runs of one workspace. Safe to use from any thread, and from several processes at a time.

    Opening it makes this process known by a random `boot` id, whose lock file it holds: rows of a process that has died are
    told by that. Raises StoreError (`store.*`, see `Database`; `run.unknown` from everything that takes an id).
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        boots = workspace.root / "boots"
        boots.mkdir(exist_ok=True)
        self._database = Database(workspace.database, application=_APPLICATION, migrations=MIGRATIONS)
        self.boot = secrets.token_hex(8)
        self._hold = locks.born_locked(boots / f"{self.boot}.lock")
        self._server: locks.Hold | None = None
        self.recover()

    def close(self) -> None:
        """Close the database and let go of the boot lock; what was running is interrupted from then on."""
        self._database.close()
        self._hold.path.unlink(missing_ok=True)
        self._hold.release()
        if self._server:
            self._server.release()

    # --- reading

    def run(self, run_id: str) -> Run:
        """The run of that id."""
        with self._database.read() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM run WHERE id = ?", (checked_id(run_id),)).fetchone()  # noqa: S608
        if row is None:
            raise StoreError("run.unknown", run=run_id)
        return _run(row)

    def runs(self, deleted: bool = False) -> list[Run]:
        """Every run, newest first; those in the bin if `deleted`. One whose process has died is found out here."""
        if self._dead(("running",)):
            self.recover()
        where = "deleted IS NOT NULL" if deleted else "deleted IS NULL"
        with self._database.read() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM run WHERE {where} ORDER BY seq DESC").fetchall()  # noqa: S608
        return [_run(row) for row in rows]

    def find(self, text: str) -> Run:
        """The run that a person means: an id or the beginning of one, a name, or `last`.

        Raises StoreError (`run.unknown`, `run.none`, `run.ambiguous`).
        """
        runs = self.runs()
        if not runs:
            raise StoreError("run.none")
        if text == "last":
            return runs[0]
        meant = [run for run in runs if run.name == text]
        if not meant and text:
            meant = [run for run in runs if run.id.startswith(text.upper())]
        if not meant:
            raise StoreError("run.unknown", run=text[:60])
        if len(meant) > 1:
            raise StoreError("run.ambiguous", run=text[:60], n=len(meant), ids=", ".join(run.id for run in meant[:5]))
        return meant[0]

    def events(self, run_id: str, since: int = 0) -> list[tuple[int, Event]]:
        """(seq, event) after `since`, in order. Steps that were written together share one seq."""
        found: list[tuple[int, Event]] = []
        for seq, entry in self.history(run_id, since):
            if isinstance(entry, Steps):
                found += ((seq, step) for step in entry.unpack())
            else:
                found.append((seq, entry))
        return found

    def history(self, run_id: str, since: int = 0) -> Iterator[tuple[int, Event | Steps]]:
        """As `events`, but steps come as columns: the way to read a long run."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT seq, kind, payload FROM event WHERE run = ? AND seq > ? ORDER BY seq", (checked_id(run_id), since)
            ).fetchall()
        for row in rows:
            entry = Steps.from_bytes(row["payload"]) if row["kind"] == "steps" else EVENT.validate_json(row["payload"])
            yield row["seq"], entry

    def last_checkpoint(self, run_id: str) -> Saved | None:
        """The newest checkpoint that is on the disk and has the hash that was written down; None if there is none."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT payload FROM event WHERE run = ? AND kind = 'saved' ORDER BY seq DESC", (checked_id(run_id),)
            ).fetchall()
        for row in rows:
            saved = EVENT.validate_json(row["payload"])
            if isinstance(saved, Saved) and _is_whole(self.folder(run_id) / Path(saved.file).name, saved):
                return saved
        return None

    def folder(self, run_id: str) -> Path:
        """Where the files of a run lie, made if it is not there."""
        folder = self.workspace.runs / checked_id(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def is_alive(self, boot: str) -> bool:
        """True while the process of that boot id lives."""
        return boot == self.boot or locks.is_held(self._hold.path.with_name(f"{boot}.lock"))

    # --- writing

    def create(self, recipe: Recipe) -> Run:
        """A new run in state `queued`. Without a name it is called after its backbone, strategy and number."""
        run_id, now = new_id(), _now()
        with self._database.write() as db:
            number = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM run").fetchone()[0]
            name = recipe.name.strip() or f"{recipe.backbone}-{recipe.strategy}-{number}"
            db.execute(
                "INSERT INTO run (id, name, recipe, state, boot, place, created) "
                "VALUES (?, ?, ?, 'queued', ?, (SELECT coalesce(max(place), 0) + 1 FROM run), ?)",
                (run_id, name, recipe.to_json(), self.boot, now),
            )
        self.folder(run_id)
        return self.run(run_id)

    def transition(self, run_id: str, new: State, *, allowed: Collection[State] | None = None) -> bool:
        """Move a run to `new` if it is in one of `allowed` (default: all of `BEFORE[new]`); False if it is not.

        A run in the bin is not queued or run, nor is one run that waits in the queue of another living process.
        """
        sources = BEFORE[new] & set(BEFORE[new] if allowed is None else allowed)
        run = self.run(run_id)
        if new in ACTIVE and run.deleted:
            return False
        if new == "running" and not self.is_alive(run.boot):
            with self._database.write() as db:  # its process has died: it is ours
                db.execute("UPDATE run SET boot = ? WHERE id = ? AND boot = ?", (self.boot, run_id, run.boot))
        with self._database.write() as db:
            return self._move(db, run_id, new, sources)

    def append(self, run_id: str, events: Iterable[Event]) -> int:
        """Write events in one transaction; gives the seq of the last one. `Ended` also moves the run to its outcome.

        Raises StoreError (`run.not_active`) if that outcome cannot follow the state of the run; nothing is written then.
        """
        events = list(events)
        now, last = _now(), 0
        with self._database.write() as db:
            for packed, group in groupby(events, lambda event: isinstance(event, StepDone)):
                members = list(group)
                if packed:
                    steps = [event for event in members if isinstance(event, StepDone)]
                    rows = [("steps", Steps.of(steps).to_bytes())]
                else:
                    rows = [(event.kind, event.model_dump_json().encode()) for event in members]
                for kind, payload in rows:
                    cursor = db.execute(
                        "INSERT INTO event (run, kind, payload, at) SELECT id, ?, ?, ? FROM run WHERE id = ?",
                        (kind, payload, now, checked_id(run_id)),
                    )
                    if cursor.rowcount == 0:
                        raise StoreError("run.unknown", run=run_id)
                    last = cursor.lastrowid or last
            self._summarise(db, run_id, events)
        return last

    def send(self, run_id: str, command: Command) -> None:
        """Leave a command for whoever drives the run."""
        self.run(run_id)
        with self._database.write() as db:
            db.execute(
                "INSERT INTO command (run, payload, at) VALUES (?, ?, ?)", (run_id, command.model_dump_json(), _now())
            )

    def take(self, run_id: str) -> list[Command]:
        """The commands left for a run, oldest first; each is given out once."""
        with self._database.read() as db:
            if db.execute("SELECT 1 FROM command WHERE run = ? LIMIT 1", (checked_id(run_id),)).fetchone() is None:
                return []
        with self._database.write() as db:
            rows = db.execute("DELETE FROM command WHERE run = ? RETURNING seq, payload", (run_id,)).fetchall()
        return [COMMAND.validate_json(row["payload"]) for row in sorted(rows, key=lambda row: int(row["seq"]))]

    def rename(self, run_id: str, name: str) -> None:
        """Give a run another name, at most 200 characters. Raises StoreError (`run.name_empty`)."""
        name = name.strip()[:200]
        if not name:
            raise StoreError("run.name_empty")
        self._set(run_id, "name = ?", name)

    def delete(self, run_id: str) -> None:
        """Put a run into the bin; its files stay. Raises StoreError (`run.busy`) while it waits or runs."""
        if self._set(run_id, "deleted = ?", _now(), guard="AND state NOT IN ('queued', 'running')") == 0:
            raise StoreError("run.busy", run=self.run(run_id).name)

    def restore(self, run_id: str) -> None:
        """Take a run out of the bin."""
        self._set(run_id, "deleted = ?", None)

    # --- processes that died

    def serve(self) -> None:
        """Become the server of this workspace. Raises StoreError (`store.served`) if another process is, `store.damaged`."""
        if self._server is None:
            self._server = locks.take(self.workspace.root / ".server.lock")
            if self._server is None:
                raise StoreError("store.served", path=str(self.workspace.root))
            self._database.check()

    def recover(self) -> list[str]:
        """Mark what dead processes were running as interrupted, curves kept; gives those runs. Harmless at any time."""
        lost: list[str] = []
        for boot in self._dead(("running",)):
            with self._database.write() as db:
                rows = db.execute(
                    "SELECT id, step, epoch, best_epoch, seconds FROM run WHERE state = 'running' AND boot = ?", (boot,)
                ).fetchall()
                for row in rows:
                    ended = Ended(
                        outcome="interrupted",
                        step=row["step"],
                        epoch=row["epoch"],
                        best_epoch=row["best_epoch"],
                        reason="lost",
                        clock=row["seconds"],
                    )
                    db.execute(
                        "INSERT INTO event (run, kind, payload, at) VALUES (?, 'ended', ?, ?)",
                        (row["id"], ended.model_dump_json().encode(), _now()),
                    )
                    self._move(db, row["id"], "interrupted", {"running"})
                    lost.append(row["id"])
        self._sweep()
        return lost

    def adopt(self) -> list[str]:
        """Take over what waited in the queues of dead processes; gives every run queued here, in the order of the queue."""
        for boot in self._dead(("queued",)):
            with self._database.write() as db:
                db.execute("UPDATE run SET boot = ? WHERE boot = ? AND state = 'queued'", (self.boot, boot))
        with self._database.read() as db:
            rows = db.execute(
                "SELECT id FROM run WHERE state = 'queued' AND boot = ? ORDER BY place", (self.boot,)
            ).fetchall()
        return [str(row["id"]) for row in rows]

    def _dead(self, states: Sequence[State]) -> list[str]:
        marks = ", ".join("?" * len(states))
        with self._database.read() as db:
            rows = db.execute(f"SELECT DISTINCT boot FROM run WHERE state IN ({marks})", states).fetchall()  # noqa: S608
        return [row["boot"] for row in rows if not self.is_alive(row["boot"])]

    def _sweep(self) -> None:
        """Lock files of the dead are litter once no row speaks of them: an absent file means dead as well."""
        for file in self._hold.path.parent.glob("*.lock"):
            if file != self._hold.path and not locks.is_held(file):
                file.unlink(missing_ok=True)

    def _move(self, db: sqlite3.Connection, run_id: str, new: State, sources: Collection[State]) -> bool:
        before = {f"before{number}": state for number, state in enumerate(sorted(sources))}
        marks = ", ".join(f":{name}" for name in before)
        moved = db.execute(
            f"""UPDATE run SET state = :new,
                boot = CASE WHEN :active THEN :boot ELSE boot END,
                place = CASE WHEN :new = 'queued' THEN (SELECT max(place) + 1 FROM run) ELSE place END,
                started = CASE WHEN :new = 'running' THEN coalesce(started, :now) ELSE started END,
                ended = CASE WHEN :active THEN NULL ELSE :now END,
                error_code = CASE WHEN :active THEN NULL ELSE error_code END,
                error_values = CASE WHEN :active THEN NULL ELSE error_values END
                WHERE id = :id AND (:new <> 'running' OR boot = :boot) AND state IN ({marks})""",  # noqa: S608
            {"new": new, "active": new in ACTIVE, "boot": self.boot, "now": _now(), "id": run_id, **before},
        ).rowcount
        if moved and new not in ACTIVE:
            db.execute("DELETE FROM command WHERE run = ?", (run_id,))
        return bool(moved)

    def _summarise(self, db: sqlite3.Connection, run_id: str, events: Sequence[Event]) -> None:
        """Keep the row's summary in step with its events, so that a list of runs reads no history."""
        changes: dict[str, object] = {}
        for event in events:
            if event.clock:
                changes["seconds"] = event.clock
            if isinstance(event, Started | StepDone):
                changes["step"] = event.step
            if isinstance(event, EpochDone):
                changes |= {"epoch": event.epoch, "step": event.step}
                if event.best:
                    changes |= {"best_epoch": event.epoch, "best_val_accuracy": event.val_accuracy}
            elif isinstance(event, Tested) and event.split == "test":
                changes["test_accuracy"] = event.scores.accuracy
            elif isinstance(event, Ended):
                if not self._move(db, run_id, event.outcome, BEFORE[event.outcome]):
                    raise StoreError("run.not_active", run=run_id)
                if event.code:
                    changes |= {"error_code": event.code, "error_values": json.dumps(event.values)}
        if changes:
            assigned = ", ".join(f"{column} = :{column}" for column in changes)
            db.execute(f"UPDATE run SET {assigned} WHERE id = :id", {**changes, "id": run_id})  # noqa: S608

    def _set(self, run_id: str, assignment: str, value: object, guard: str = "") -> int:
        self.run(run_id)
        with self._database.write() as db:
            return db.execute(f"UPDATE run SET {assignment} WHERE id = ? {guard}", (value, run_id)).rowcount  # noqa: S608


def _run(row: sqlite3.Row) -> Run:
    values: dict[str, Any] = dict(row)
    code, details = values.pop("error_code"), values.pop("error_values")
    values["recipe"] = Recipe.model_validate_json(values["recipe"])
    values["deleted"] = values["deleted"] is not None
    return Run(**values, error=None if code is None else (code, json.loads(details or "{}")))


def _is_whole(file: Path, saved: Saved) -> bool:
    try:
        if file.stat().st_size != saved.size_bytes:
            return False
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == saved.sha256
    except OSError:
        return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
