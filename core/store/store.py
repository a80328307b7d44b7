"""Store: the runs of a workspace as one process sees them, from opening them to taking up what others left behind."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core import durable, locks, recovery, rescue, table, turns
from core.boots import Boots
from core.database import Database
from core.errors import StoreError
from core.events import Ended
from core.run import State
from core.schema import APPLICATION, MIGRATIONS
from core.store.writing import Writer
from core.workspace import Workspace

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


class RunStore(Writer):
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

    def is_alive(self, boot: str) -> bool:
        """True while the process of that boot id lives."""
        return self._signed.is_alive(boot)

    def _settle(self) -> None:
        if self._dead(("running",)):
            self.recover()

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
                strikes = recovery.strikes(db, self.workspace, row["id"])
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

    def _dead(self, states: Sequence[State]) -> list[str]:
        marks = ", ".join("?" * len(states))
        with self._database.read() as db:
            rows = db.execute(f"SELECT DISTINCT boot FROM run WHERE state IN ({marks})", states).fetchall()  # noqa: S608
        return [row["boot"] for row in rows if not self.is_alive(row["boot"])]
