"""Reading: what is on record of runs, and where their files lie. What was read is never changed by a later write."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from core import durable, recovery, table
from core.database import Database
from core.errors import StoreError
from core.events import Event, Replanned, Saved, Started
from core.run import Run, State, checked_id
from core.steps import Steps
from core.workspace import Workspace


class Reader:
    """What can be asked about the runs of one workspace."""

    workspace: Workspace
    _database: Database

    def _settle(self) -> None:
        """Done before runs are listed, so that none is said to be running that is not."""

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
        self._settle()
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


def _said(edit: Replanned) -> tuple[object, ...]:
    return edit.step, edit.rules, edit.lr
