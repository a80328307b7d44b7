"""RunStore: every run, its events and what it is asked to do, as rows of the workspace's database. The engine's only voice.

What was read is never changed by a later write. A finished or discarded run never changes its state again. Rows of steps are
packed, so that a million of them load in a blink. Knows nothing of training, devices or pages.
"""

import logging
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from core import durable, locks, log, recovery, rescue, table, turns
from core.boots import Boots
from core.database import Database
from core.errors import StoreError
from core.events import COMMAND, Command, Ended, Event, Replanned, Saved, Started, StepDone
from core.recipe import Recipe
from core.run import ACTIVE, BEFORE, RESUMABLE, STATES, Run, State, checked_id, new_id
from core.schema import APPLICATION, MIGRATIONS
from core.steps import Steps
from core.workspace import Workspace

__all__ = ["ACTIVE", "BEFORE", "RESUMABLE", "STATES", "Run", "RunStore", "State", "checked_id", "new_id"]

logger = logging.getLogger("thaw.store")


@dataclass(frozen=True, slots=True)
class Rescued:
    """What was done about a damaged database."""

    kept: str
    """Where the damaged one lies now; empty if there was no file at all."""
    copied: str | None
    """Time of the copy that took its place, ISO 8601; None: there was none, and only the folders tell."""
    found: int
    """Runs that were found in their folders alone."""


class RunStore:
    """The runs of one workspace. Safe to use from any thread, and from several processes at a time.

    Opening it makes this process known by a random `boot` id, whose lock file it holds: rows of a process that has died are
    told by that. Raises StoreError (`store.*`, see `Database`; `run.unknown` from everything that takes an id).
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.rescued: Rescued | None = None
        """What was done if the database was damaged when this process opened it."""
        self.found = 0
        """Runs that only their folders knew of when this process became the server."""
        self._boots: Boots | None = None
        try:
            self._open()
            self.recover()
        except StoreError as error:
            self.close()
            if error.code != "store.damaged" or not self._rescue(error):
                raise
            self.recover()
        except BaseException:
            self.close()
            raise

    def _open(self, *, anew: bool = False) -> None:
        if not anew and self._is_gone():
            raise StoreError("store.damaged", path=str(self.workspace.database))
        self._database = Database(self.workspace.database, application=APPLICATION, migrations=MIGRATIONS)
        self._boots = Boots(self.workspace.root)

    def _is_gone(self) -> bool:
        """There is no database, or an empty file, and yet there were runs."""
        try:
            if self.workspace.database.stat().st_size:
                return False
        except FileNotFoundError:
            pass
        return bool(rescue.copies(self.workspace.backups)) or any(self.workspace.runs.glob(f"*/{recovery.RUN_FILE}"))

    @property
    def boot(self) -> str:
        """The random id of this process."""
        return self._signed.own

    @property
    def _signed(self) -> Boots:
        assert self._boots is not None  # noqa: S101 - since __init__
        return self._boots

    def close(self) -> None:
        """Close the database and let go of the boot lock; what was running is interrupted from then on."""
        with suppress(AttributeError):  # it could not be opened at all
            self._database.close()
        if self._boots:
            self._boots.close()

    # --- reading

    def run(self, run_id: str) -> Run:
        """The run of that id."""
        with self._database.read() as db:
            row = db.execute(f"SELECT {table.COLUMNS} FROM run WHERE id = ?", (checked_id(run_id),)).fetchone()  # noqa: S608
        if row is None:
            raise StoreError("run.unknown", run=run_id)
        return table.run_of(row)

    def runs(
        self,
        deleted: bool = False,
        *,
        states: Collection[State] | None = None,
        owner: str | None = None,
        first: int = 0,
        many: int | None = None,
    ) -> list[Run]:
        """Runs, newest first: in the bin if `deleted`, in `states`, of `owner`; at most `many`, after leaving out `first`.

        Reading all takes time and memory for each: ask for what is shown. One whose process has died is found out here.
        """
        if self._dead(("running",)):
            self.recover()
        where, values = table.where(deleted, states, owner)
        question = f"SELECT {table.COLUMNS} FROM run WHERE {where} ORDER BY seq DESC LIMIT ? OFFSET ?"  # noqa: S608
        with self._database.read() as db:
            rows = db.execute(question, (*values, -1 if many is None else many, first)).fetchall()
        return [table.run_of(row) for row in rows]

    def count(self, deleted: bool = False, *, states: Collection[State] | None = None, owner: str | None = None) -> int:
        """How many runs `runs` has to tell of."""
        where, values = table.where(deleted, states, owner)
        with self._database.read() as db:
            return int(db.execute(f"SELECT count(*) FROM run WHERE {where}", values).fetchone()[0])  # noqa: S608

    def owners(self) -> dict[str, str]:
        """Id and owner of every run, those in the bin as well."""
        with self._database.read() as db:
            return {row["id"]: row["owner"] for row in db.execute("SELECT id, owner FROM run").fetchall()}

    def events(self, run_id: str, since: int = 0) -> list[tuple[int, Event]]:
        """(seq, event) after `since`, in order. Steps that were written together share one seq."""
        found: list[tuple[int, Event]] = []
        for seq, entry in self.history(run_id, since):
            if isinstance(entry, Steps):
                found += ((seq, step) for step in entry.unpack())
            else:
                found.append((seq, entry))
        return found

    def last_seq(self, run_id: str) -> int:
        """The seq of the newest event of a run; 0 if there is none."""
        with self._database.read() as db:
            return int(
                db.execute("SELECT coalesce(max(seq), 0) FROM event WHERE run = ?", (checked_id(run_id),)).fetchone()[0]
            )

    def history(self, run_id: str, since: int = 0) -> Iterator[tuple[int, Event | Steps]]:
        """As `events`, but steps come as columns: the way to read a long run."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT seq, kind, payload FROM event WHERE run = ? AND seq > ? ORDER BY seq", (checked_id(run_id), since)
            ).fetchall()
        for row in rows:
            yield row["seq"], recovery.event_of(row, self.workspace.database)

    def last_checkpoint(self, run_id: str) -> Saved | None:
        """The newest checkpoint that is on the disk and has the hash that was written down; None if there is none."""
        return next((saved for saved in self._saved(run_id) if recovery.is_whole(self.folder(run_id), saved)), None)

    def newest_saved(self, run_id: str) -> Saved | None:
        """The newest checkpoint on record, whether it is whole or not."""
        return next(self._saved(run_id), None)

    def _saved(self, run_id: str) -> Iterator[Saved]:
        """Every checkpoint on record, the newest first; a row that is damaged says nothing."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT kind, payload FROM event WHERE run = ? AND kind = 'saved' ORDER BY seq DESC", (checked_id(run_id),)
            ).fetchall()
        for row in rows:
            with suppress(StoreError):
                saved = recovery.event_of(row, self.workspace.database)
                if isinstance(saved, Saved):
                    yield saved

    def edits(self, run_id: str) -> list[Replanned]:
        """What a person has changed while the run was at work, in the order of the steps: with its recipe a replay of it.

        What was changed after the checkpoint from which a run went on is made again at its step, until the person changes
        something else.
        """
        with self._database.read() as db:
            rows = db.execute(
                "SELECT kind, payload FROM event WHERE run = ? AND kind IN ('started', 'replanned') ORDER BY seq",
                (checked_id(run_id),),
            ).fetchall()
        made: list[Replanned] = []
        pending: list[Replanned] = []
        for row in rows:
            event = recovery.event_of(row, self.workspace.database)
            if isinstance(event, Started):
                pending = [edit for edit in [*made, *pending] if edit.step >= event.step]
                made = [edit for edit in made if edit.step < event.step]
            elif isinstance(event, Replanned) and event.cause == "person":
                again = bool(pending) and (event.step, event.rules, event.lr) == _said(pending[0])
                pending = pending[1:] if again else []
                made.append(event)
        return [*made, *pending]

    def folder(self, run_id: str) -> Path:
        """Where the files of a run lie, made if it is not there. Raises StoreError (`workspace.unusable`)."""
        folder = self.workspace.runs / checked_id(run_id)
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                durable.flush_folder(folder.parent)  # else a power cut takes the folder and every checkpoint in it
        except OSError as error:
            raise StoreError("workspace.unusable", path=str(folder), reason=error.strerror or str(error)) from error
        return folder

    def is_alive(self, boot: str) -> bool:
        """True while the process of that boot id lives."""
        return self._signed.is_alive(boot)

    # --- writing

    def create(self, recipe: Recipe, *, owner: str = "") -> Run:
        """A new run of `owner` in state `queued`. Without a name it is called after backbone, strategy and number."""
        run_id, now = new_id(), table.now()
        folder = self.folder(run_id)  # first: whoever hears that there is none finds none in the list
        with self._database.write() as db:
            number = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM run").fetchone()[0]
            name = recipe.name.strip() or f"{recipe.backbone}-{recipe.strategy}-{number}"
            db.execute(
                "INSERT INTO run (id, name, recipe, state, boot, place, created, owner) "
                "VALUES (?, ?, ?, 'queued', ?, (SELECT coalesce(max(place), 0) + 1 FROM run), ?, ?)",
                (run_id, name, durable.sealed(recipe.to_json().encode()).decode(), self.boot, now, owner),
            )
        recovery.write_run_file(folder, run_id=run_id, name=name, created=now, recipe=recipe, owner=owner)
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
            return table.move(db, run_id, new, sources, boot=self.boot)

    def append(self, run_id: str, events: Iterable[Event], *, states: Collection[State] = STATES) -> int:
        """Write events in one transaction; gives the seq of the last one. `Ended` also moves the run to its outcome.

        Raises StoreError (`run.not_active`) if that outcome cannot follow the state of the run, or that state is none of
        `states`; nothing is written then.
        """
        events = list(events)
        now, last = table.now(), 0
        with self._database.write() as db:
            for packed, group in groupby(events, lambda event: isinstance(event, StepDone)):
                members = list(group)
                if packed:
                    steps = [event for event in members if isinstance(event, StepDone)]
                    rows = [("steps", Steps.of(steps).to_bytes())]
                else:
                    rows = [(event.kind, event.model_dump_json().encode()) for event in members]
                for kind, text in rows:
                    payload = durable.sealed(text)
                    cursor = db.execute(
                        "INSERT INTO event (run, kind, payload, at) SELECT id, ?, ?, ? FROM run WHERE id = ?",
                        (kind, payload, now, checked_id(run_id)),
                    )
                    if cursor.rowcount == 0:
                        raise StoreError("run.unknown", run=run_id)
                    last = cursor.lastrowid or last
            table.summarise(db, run_id, events, states, boot=self.boot)
        return last

    def end(self, run_id: str, ended: Ended, *, states: Collection[State]) -> bool:
        """Append the end of a run that is in one of `states`; False if it is not."""
        try:
            self.append(run_id, [ended], states=states)
        except StoreError as error:
            if error.code != "run.not_active":
                raise
            return False
        return True

    def send(self, run_id: str, command: Command) -> None:
        """Leave a command for whoever drives the run. Raises StoreError (`run.not_waiting`) if nobody will."""
        run = self.run(run_id)
        with self._database.write() as db:  # one statement: a command left after the end would meet the next attempt
            left = db.execute(
                "INSERT INTO command (run, payload, at) SELECT id, ?, ? FROM run "
                "WHERE id = ? AND state IN ('queued', 'running')",
                (command.model_dump_json(), table.now(), run_id),
            ).rowcount
        if not left:
            raise StoreError("run.not_waiting", run=run.name)

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
        if self._set(run_id, "deleted = ?", table.now(), guard="AND state NOT IN ('queued', 'running')") == 0:
            raise StoreError("run.busy", run=self.run(run_id).name)

    def restore(self, run_id: str) -> None:
        """Take a run out of the bin."""
        self._set(run_id, "deleted = ?", None)

    def requeue(self, run_id: str) -> None:
        """Let a run go on: back to state `queued`, at the end of the queue.

        Raises StoreError: `run.active`, `run.over` (finished or discarded), `run.deleted` (in the bin), `run.no_checkpoint`
        (stopped or failed before anything was saved).
        """
        run = self.run(run_id)
        if run.state in ACTIVE:
            raise StoreError("run.active", run=run.name)
        if run.state not in RESUMABLE:
            raise StoreError("run.over", run=run.name)
        if run.deleted:
            raise StoreError("run.deleted", run=run.name)
        if run.state in {"stopped", "failed"} and self.last_checkpoint(run_id) is None:
            raise StoreError("run.no_checkpoint", run=run.name)
        if not self.transition(run_id, "queued"):
            raise StoreError("run.active", run=run.name)

    def empty_bin(self, owner: str | None = None) -> int:
        """Forget the runs in the bin (of `owner`, if given) for good, files too; gives how many. A restored one is spared.

        What a crash in between leaves over is no run any more: the file that tells of it goes first, then the row, then the
        rest.
        """
        for run in self.runs(deleted=True):
            if run.state not in {"queued", "running"} and owner in {None, run.owner}:
                (self.workspace.runs / checked_id(run.id) / recovery.RUN_FILE).unlink(missing_ok=True)
        with self._database.write() as db:
            rows = db.execute(
                "DELETE FROM run WHERE deleted IS NOT NULL AND state NOT IN ('queued', 'running') "
                "AND (:owner IS NULL OR owner = :owner) RETURNING id",
                {"owner": owner},
            ).fetchall()
        for row in rows:
            shutil.rmtree(self.workspace.runs / checked_id(row["id"]), ignore_errors=True)
        return len(rows)

    def wipe(self, run_id: str) -> None:
        """Delete the files of a run but its log: it was discarded."""
        for path in self.folder(run_id).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != log.NAME:
                path.unlink(missing_ok=True)

    # --- processes that died

    def serve(self) -> None:
        """Become the server of this workspace; runs that only their folders know of are listed again.

        Raises StoreError (`store.served`) if another process is the server, `store.damaged`.
        """
        self._signed.serve()
        try:
            self._database.check()
        except StoreError as error:
            if error.code != "store.damaged":
                raise
            self.close()
            if not self._rescue(error):
                raise
            self._signed.serve()
            self.recover()
        recovery.sweep(self.workspace)
        self.found = recovery.find_runs(self._database, self.workspace, self.boot)

    def take_over(self) -> tuple[list[str], list[str]]:
        """Queue again, in front, what earlier servers were running when they ended; gives those runs and those given up.

        Given up as failed, though it can be resumed by hand: a run that was interrupted `MOST_STRIKES` times without getting
        to a new checkpoint. To be called by the server, after `recover`; a second call does nothing.
        """
        again: list[str] = []
        given_up: list[str] = []
        earlier = self._signed.earlier_servers()
        with self._database.read() as db:
            rows = db.execute(
                "SELECT id, name, boot, step, epoch, best_epoch, seconds FROM run "
                "WHERE state = 'interrupted' AND deleted IS NULL ORDER BY place DESC"
            ).fetchall()
        for row in rows:
            if row["boot"] not in earlier:
                continue
            with self._database.read() as db:
                strikes = recovery.strikes(db, row["id"])
            if strikes < recovery.MOST_STRIKES:
                if self.transition(row["id"], "queued", allowed={"interrupted"}):
                    with self._database.write() as db:
                        turns.to_the_front(db, row["id"])
                    again.append(row["id"])
                continue
            ended = Ended(
                outcome="failed",
                step=row["step"],
                epoch=row["epoch"],
                best_epoch=row["best_epoch"],
                clock=row["seconds"],
                code="run.no_progress",
                values={"run": row["name"], "n": strikes},
            )
            if self.end(row["id"], ended, states={"interrupted"}):
                given_up.append(row["id"])
        self._signed.taken_over()
        return again, given_up

    def keep_copy(self) -> bool:
        """Copy the database if the last copy is old enough; True if that was done. Raises StoreError, OSError."""
        if not rescue.copy_due(self.workspace.backups):
            return False
        rescue.keep_copy(self._database, self.workspace.backups)
        return True

    def copy_to(self, target: Path) -> None:
        """A whole copy of the database of this moment in the new file `target`. Raises StoreError."""
        self._database.copy_to(target)

    def _rescue(self, error: StoreError) -> bool:
        """Set a damaged database aside, take the newest good copy, find in the folders what that one lacks.

        False, and nothing is done, while another process works in the workspace.
        """
        root = self.workspace.root
        if any(locks.is_held(file) for file in (root / "boots").glob("*.lock")):
            return False
        hold = locks.take(root / ".server.lock")
        if hold is None:
            return False
        with hold:
            logger.error("the database is damaged and set aside", exc_info=error)
            aside = rescue.set_aside(self.workspace.database)
            time = rescue.bring_back(self.workspace.database, self.workspace.backups)
            self._open(anew=True)
            found = recovery.find_runs(self._database, self.workspace, self.boot)
        self.rescued = Rescued(str(aside) if aside.exists() else "", time.isoformat() if time else None, found)
        return True

    def recover(self) -> list[str]:
        """Mark what dead processes were running as interrupted, curves kept; gives those runs. Harmless at any time."""
        lost: list[str] = []
        for boot in self._dead(("running",)):
            with self._database.write() as db:
                rows = db.execute(
                    "SELECT id, step, epoch, best_epoch, seconds FROM run WHERE state = 'running' AND boot = ?", (boot,)
                ).fetchall()
                for row in rows:
                    recovery.adopt_checkpoints(db, self.workspace, row["id"], row["epoch"])
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
                        (row["id"], durable.sealed(ended.model_dump_json().encode()), table.now()),
                    )
                    table.move(db, row["id"], "interrupted", {"running"}, boot=self.boot)
                    lost.append(row["id"])
        self._signed.sweep()
        return lost

    def adopt(self) -> list[str]:
        """Take over what waited in the queues of dead processes; gives every run queued here, in the order of the queue.

        What was put in order (`move`) goes first. Then people have their turns (`fair.by_turns`); the runs of one person go
        in the order they were queued in.
        """
        for boot in self._dead(("queued",)):
            with self._database.write() as db:
                db.execute("UPDATE run SET boot = ? WHERE boot = ? AND state = 'queued'", (self.boot, boot))
        with self._database.read() as db:
            return turns.queue(db, self.boot)

    def move(self, run_id: str, places: int) -> None:
        """Put a run that is queued here so many places further to the back of the queue, or to the front if negative.

        All up to where it then is keep their order from now on, whoever comes; what is behind still goes by turns. Raises
        StoreError (`run.not_queued`).
        """
        run = self.run(run_id)
        with self._database.write() as db:
            if not turns.move(db, run_id, places, boot=self.boot):
                raise StoreError("run.not_queued", run=run.name)

    def _dead(self, states: Sequence[State]) -> list[str]:
        marks = ", ".join("?" * len(states))
        with self._database.read() as db:
            rows = db.execute(f"SELECT DISTINCT boot FROM run WHERE state IN ({marks})", states).fetchall()  # noqa: S608
        return [row["boot"] for row in rows if not self.is_alive(row["boot"])]

    def _set(self, run_id: str, assignment: str, value: object, guard: str = "") -> int:
        self.run(run_id)
        with self._database.write() as db:
            return db.execute(f"UPDATE run SET {assignment} WHERE id = ? {guard}", (value, run_id)).rowcount  # noqa: S608


def _said(edit: Replanned) -> tuple[object, ...]:
    return edit.step, edit.rules, edit.lr
