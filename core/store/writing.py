"""Writing: runs are made, change their state, get events and commands, are thrown away, each in one transaction."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from itertools import groupby

from core import durable, log, recovery, table, turns
from core.errors import StoreError
from core.events import COMMAND, Command, Ended, Event, StepDone
from core.recipe import Recipe
from core.run import ACTIVE, BEFORE, RESUMABLE, STATES, Run, State, checked_id, new_id
from core.steps import Steps
from core.store.reading import Reader


class Writer(Reader, ABC):
    """What can be done to the runs of one workspace by the process whose boot id is `boot`."""

    @property
    @abstractmethod
    def boot(self) -> str:
        """The random id of this process."""

    @abstractmethod
    def is_alive(self, boot: str) -> bool:
        """True while the process of that boot id lives."""

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

    def move(self, run_id: str, places: int) -> None:
        """Put a run that is queued here so many places further to the back of the queue, or to the front if negative.

        All up to where it then is keep their order from now on, whoever comes; what is behind still goes by turns. Raises
        StoreError (`run.not_queued`).
        """
        run = self.run(run_id)
        with self._database.write() as db:
            if not turns.move(db, run_id, places, boot=self.boot):
                raise StoreError("run.not_queued", run=run.name)

    def _set(self, run_id: str, assignment: str, value: object, guard: str = "") -> int:
        self.run(run_id)
        with self._database.write() as db:
            return db.execute(f"UPDATE run SET {assignment} WHERE id = ? {guard}", (value, run_id)).rowcount  # noqa: S608
