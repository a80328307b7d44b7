"""Recovery: what the folders of runs tell that the database does not.

Checkpoints that a crash kept from being written down, and runs that an older copy of the database does not know. Reads and
writes rows; knows nothing of processes.
"""

import hashlib
import json
import shutil
import sqlite3
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from core import durable
from core.database import Database
from core.errors import StoreError
from core.events import EVENT, Ended, Event, Saved
from core.recipe import Recipe
from core.run import checked_id
from core.steps import Steps
from core.workspace import Workspace

RUN_FILE = "run.json"
"""In the folder of each run: what it is, so that the list of runs can be made again from the folders."""
DONE_FILES = ("model.safetensors", "test.json")
"""What a run leaves that has come to its end."""
LEFT_SECONDS = 24 * 3600
MOST_STRIKES = 3
"""So often a run is taken up by itself without getting to a new checkpoint."""
WANTED = frozenset({"user", "shutdown", "limit"})
"""Reasons for an end that say nothing against a run."""


def write_run_file(folder: Path, *, run_id: str, name: str, created: str, recipe: Recipe, owner: str = "") -> None:
    """Say in the folder of a run what it is; nothing happens where that cannot be written, for a run can do without."""
    about = {"id": run_id, "name": name, "owner": owner, "created": created, "recipe": recipe.model_dump(mode="json")}
    with suppress(OSError):
        durable.write(folder / RUN_FILE, json.dumps(about, ensure_ascii=False, indent=1).encode())


def event_of(row: sqlite3.Row, database: Path) -> Event | Steps:
    """The event in a row of `kind` and `payload`. Raises StoreError (`store.damaged`) if it is not what was written."""
    try:
        payload = durable.unsealed(row["payload"])
        return Steps.from_bytes(payload) if row["kind"] == "steps" else EVENT.validate_json(payload)
    except (ValueError, TypeError) as error:
        raise StoreError("store.damaged", path=str(database)) from error


def is_whole(folder: Path, saved: Saved) -> bool:
    """The checkpoint lies in `folder` and has the hash that was written down."""
    file = folder / Path(saved.file).name
    try:
        if file.stat().st_size != saved.size_bytes:
            return False
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == saved.sha256
    except OSError:
        return False


def sweep(workspace: Workspace, now: float | None = None) -> int:
    """Delete what writers that died left half written, a day old at least; gives how many files and folders."""
    oldest = (time.time() if now is None else now) - LEFT_SECONDS
    places = (
        (workspace.runs, "*/.*.tmp"),
        (workspace.root, ".*.tmp"),
        (workspace.root, ".restore-*"),
        (workspace.backups, ".draft-*"),
    )
    swept = 0
    for place, names in places:
        for left in place.glob(names):
            with suppress(OSError):
                if left.stat().st_mtime < oldest:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
                    swept += 1
    return swept


def strikes(db: sqlite3.Connection, workspace: Workspace, run_id: str) -> int:
    """Attempts of a run since its last checkpoint that ended though nobody wanted it; one that cannot be read is one."""
    rows = db.execute(
        "SELECT kind, payload FROM event WHERE run = :run AND kind = 'ended' AND seq > "
        "(SELECT coalesce(max(seq), 0) FROM event WHERE run = :run AND kind = 'saved')",
        {"run": run_id},
    ).fetchall()
    found = 0
    for row in rows:
        wanted = False
        with suppress(StoreError):
            ended = event_of(row, workspace.database)
            wanted = isinstance(ended, Ended) and ended.reason in WANTED
        found += not wanted
    return found


def adopt_checkpoints(db: sqlite3.Connection, workspace: Workspace, run_id: str, epoch: int) -> None:
    """Write down whole checkpoints, later than the last one on record, that a crash kept from being written down."""
    last, known = -1, set[str]()
    for row in db.execute("SELECT kind, payload FROM event WHERE run = ? AND kind = 'saved'", (run_id,)).fetchall():
        with suppress(StoreError):
            saved = event_of(row, workspace.database)
            if isinstance(saved, Saved):
                last, known = max(last, saved.step), known | {saved.file}
    folder = workspace.runs / checked_id(run_id)
    for manifest in sorted(folder.glob("step-*.ckpt.json")):
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            said = json.loads(manifest.read_text("utf-8"))
            saved = Saved(
                step=said["step"],
                epoch=said.get("epoch", epoch),
                file=manifest.name.removesuffix(".json"),
                sha256=said["sha256"],
                size_bytes=said["size_bytes"],
                best=said.get("best", False),
                clock=said.get("clock", 0.0),
            )
            own = (said.get("run", run_id), said.get("file", saved.file)) == (run_id, saved.file)
            if own and saved.step > last and saved.file not in known and is_whole(folder, saved):
                db.execute(
                    "INSERT INTO event (run, kind, payload, at) VALUES (?, 'saved', ?, ?)",
                    (run_id, durable.sealed(saved.model_dump_json().encode()), _now()),
                )


def find_runs(database: Database, workspace: Workspace, boot: str) -> int:
    """Put runs into the list that only their folders know of, and checkpoints that it lacks; gives how many runs."""
    with database.read() as db:
        known = {row["id"] for row in db.execute("SELECT id FROM run")}
    found = 0
    for file in sorted(workspace.runs.glob(f"*/{RUN_FILE}")):
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError, StoreError):
            about = json.loads(file.read_text("utf-8"))
            run_id = checked_id(file.parent.name)
            if run_id in known or about["id"] != run_id:
                continue
            recipe = durable.sealed(Recipe.model_validate(about["recipe"]).to_json().encode()).decode()
            over = all((file.parent / name).is_file() for name in DONE_FILES)
            state = "finished" if over else "interrupted" if list(file.parent.glob("*.ckpt")) else "paused"
            owner = str(about.get("owner", ""))[:40]
            values = (run_id, str(about["name"])[:200], recipe, state, boot, str(about["created"])[:40], _now(), owner)
            with database.write() as db:
                db.execute(
                    "INSERT INTO run (id, name, recipe, state, boot, place, created, ended, owner) "
                    "VALUES (?, ?, ?, ?, ?, (SELECT coalesce(max(place), 0) + 1 FROM run), ?, ?, ?)",
                    values,
                )
            found += 1
    with database.write() as db:
        for row in db.execute("SELECT id, epoch FROM run WHERE state NOT IN ('finished', 'discarded')").fetchall():
            adopt_checkpoints(db, workspace, row["id"], row["epoch"])
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
