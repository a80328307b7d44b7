"""What was saved is found again: after a crash between file and row, and after the database itself was lost."""

import contextlib
import hashlib
import json
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from core import durable, recovery, rescue
from core.database import Database
from core.errors import StoreError
from core.events import Ended, Notice, Saved, StepDone
from core.recipe import Recipe
from core.schema import APPLICATION, MIGRATIONS
from core.store import RunStore
from core.workspace import Workspace, open_workspace

DAY = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path)


def checkpoint(store: RunStore, run_id: str, step: int) -> Saved:
    """A file and its manifest, as a save leaves them, and the row that should follow."""
    data = b"weights %d" % step
    name = f"step-{step:08d}.ckpt"
    digest = hashlib.sha256(data).hexdigest()
    (store.folder(run_id) / name).write_bytes(data)
    manifest = {"format": 1, "sha256": digest, "size_bytes": len(data), "step": step, "clock": 1.5}
    (store.folder(run_id) / f"{name}.json").write_text(json.dumps(manifest))
    return Saved(step=step, epoch=0, file=name, sha256=digest, size_bytes=len(data), best=False, clock=1.5)


def crash(store: RunStore) -> None:
    store.close()


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_a_checkpoint_without_a_row_is_adopted_and_a_damaged_one_is_not(workspace: Workspace) -> None:
    store = RunStore(workspace)
    run = store.create(Recipe())
    store.transition(run.id, "running")
    old, new, bad = (checkpoint(store, run.id, step) for step in (10, 20, 30))
    store.append(run.id, [old])
    flip(store.folder(run.id) / bad.file, 3)
    crash(store)
    for _ in range(3):  # recovery a second time changes nothing
        store = RunStore(workspace)
        assert store.last_checkpoint(run.id) == new
        assert [event.kind for _, event in store.events(run.id)] == ["saved", "saved", "ended"]
        store.close()


def test_recovery_that_is_killed_at_any_statement_ends_the_same(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    store = RunStore(workspace)
    runs = [store.create(Recipe(name=name)) for name in "ab"]
    for run in runs:
        store.transition(run.id, "running")
        checkpoint(store, run.id, 10)
    crash(store)

    real = sqlite3.connect
    for at in range(1, 200):
        left, met = at, False

        def trace(statement: str) -> None:
            nonlocal left, met
            left -= 1
            if left == 0:
                met = True
                raise Killed

        class Falling(sqlite3.Connection):
            def execute(self, *given: object) -> sqlite3.Cursor:
                trace(str(given[0]))
                return super().execute(*given)

        monkeypatch.setattr(sqlite3, "connect", partial(real, factory=Falling))
        with contextlib.suppress(Killed):
            RunStore(workspace).close()
        monkeypatch.undo()
        if not met:
            break
    assert 10 < at < 199
    store = RunStore(workspace)
    for run in runs:
        assert store.run(run.id).state == "interrupted"
        assert [event.kind for _, event in store.events(run.id)] == ["saved", "ended"]
    store.close()


def test_a_changed_row_is_said_to_be_damaged_and_never_read(workspace: Workspace) -> None:
    store = RunStore(workspace)
    run = store.create(Recipe(lr=0.001))
    saved = [checkpoint(store, run.id, step) for step in (1, 2)]
    store.append(run.id, [*saved, StepDone(step=1, epoch=1, loss=0.5, correct=1, images=2, lr=0.1)])
    with store._database.write() as db:
        db.execute(
            "UPDATE event SET payload = CAST(replace(payload, '\"step\":2', '\"step\":3') AS BLOB) WHERE kind = 'saved'"
        )
    with pytest.raises(StoreError, match="is damaged"):
        store.events(run.id)
    assert store.last_checkpoint(run.id) == saved[0]
    with store._database.write() as db:
        db.execute("UPDATE run SET recipe = replace(recipe, '0.001', '0.003')")
    with pytest.raises(StoreError) as caught:
        store.run(run.id)
    assert caught.value.code == "store.damaged"
    store.close()


def test_a_damaged_database_is_kept_and_brought_back_from_its_copy_and_the_folders(workspace: Workspace) -> None:
    store = RunStore(workspace)
    old = store.create(Recipe(name="old", lr=0.002))
    store.append(old.id, [Notice(code="training.no_validation")])
    assert store.keep_copy()
    assert not store.keep_copy()  # one an hour
    store.transition(old.id, "running")
    saved = checkpoint(store, old.id, 7)
    store.append(old.id, [saved])
    new = store.create(Recipe(name="new", lr=0.003))
    fresh = checkpoint(store, new.id, 9)
    done = store.create(Recipe(name="done"))
    for name in ("model.safetensors", "test.json"):
        (store.folder(done.id) / name).write_text("x")
    store.close()
    damaged = bytearray(workspace.database.read_bytes())
    damaged[100:4000] = b"\xff" * 3900
    workspace.database.write_bytes(damaged)

    store = RunStore(workspace)
    assert store.rescued is not None
    assert Path(store.rescued.kept).read_bytes() == damaged
    assert (store.rescued.copied is not None, store.rescued.found) == (True, 2)
    assert {run.name: (run.state, run.recipe.lr) for run in store.runs()} == {
        "old": ("queued", 0.002),
        "new": ("interrupted", 0.003),
        "done": ("finished", 0.001),
    }
    assert store.last_checkpoint(old.id) == saved
    assert store.last_checkpoint(new.id) == fresh
    store.serve()
    assert store.create(Recipe()).state == "queued"
    store.close()


def test_without_a_copy_the_folders_alone_tell(workspace: Workspace) -> None:
    store = RunStore(workspace)
    run = store.create(Recipe(name="only"))
    saved = checkpoint(store, run.id, 5)
    store.close()
    workspace.database.write_bytes(b"not a database at all" * 100)
    store = RunStore(workspace)
    assert store.rescued is not None
    assert (store.rescued.copied, store.rescued.found) == (None, 1)
    assert store.run(run.id).state == "interrupted"
    assert store.last_checkpoint(run.id) == saved
    store.requeue(run.id)
    store.close()


def test_a_run_found_in_its_folder_belongs_to_whom_it_did_and_is_called_and_dated_as_it_was(workspace: Workspace) -> None:
    store = RunStore(workspace)
    run = store.create(Recipe(name="Blätter 叶"), owner="ann")
    assert "Blätter 叶" in (store.folder(run.id) / "run.json").read_text("utf-8"), "a person can read it"
    before = store.run(run.id)
    store.close()
    workspace.database.unlink()
    store = RunStore(workspace)
    now = store.run(run.id)
    assert (now.owner, now.name, now.created, now.recipe) == ("ann", before.name, before.created, before.recipe)
    assert now.state == "paused", "without a checkpoint it begins anew"
    assert now.ended is not None
    assert datetime.fromisoformat(now.ended).utcoffset() == timedelta(0)
    store.close()


def test_a_folder_that_tells_nonsense_keeps_no_other_from_being_found(workspace: Workspace) -> None:
    store = RunStore(workspace)
    runs = [store.create(Recipe(name=str(number))) for number in range(9)]
    store.close()
    workspace.database.unlink()
    files = [workspace.runs / run.id / "run.json" for run in runs]
    about = json.loads(files[0].read_text("utf-8"))
    nonsense = (b"{", b"\xff", b"[]", b"{}", b"[" * 100_000, json.dumps({**about, "recipe": {"epochs": "many"}}).encode())
    for file, told in zip(files, nonsense, strict=False):
        file.write_bytes(told)
    files[6].unlink()
    files[6].mkdir()
    (workspace.runs / "no-run").mkdir()
    (workspace.runs / "no-run" / "run.json").write_text(json.dumps({**about, "id": "no-run"}))
    store = RunStore(workspace)
    assert [run.name for run in store.runs()] == ["8", "7"]
    store.close()


@pytest.mark.parametrize("left", [None, b""])
@pytest.mark.parametrize("copied", [True, False])
def test_a_database_that_is_gone_is_brought_back(workspace: Workspace, left: bytes | None, copied: bool) -> None:
    store = RunStore(workspace)
    run = store.create(Recipe(name="only"))
    saved = checkpoint(store, run.id, 5)
    store.append(run.id, [Notice(code="x"), saved])
    if copied:
        store.keep_copy()
    store.close()
    workspace.database.unlink()
    if left is not None:
        workspace.database.write_bytes(left)
    store = RunStore(workspace)
    assert store.rescued is not None
    assert (store.rescued.copied is not None, store.rescued.found) == (copied, int(not copied))
    assert bool(store.rescued.kept) == (left is not None)
    assert [one.name for one in store.runs()] == ["only"]
    assert store.last_checkpoint(run.id) == (saved if copied else saved.model_copy(update={"clock": 1.5}))
    assert len(store.events(run.id)) == (2 if copied else 1)
    store.close()


def test_a_run_that_the_database_forgot_is_listed_again_when_a_server_starts_and_an_emptied_bin_stays_empty(
    workspace: Workspace,
) -> None:
    store = RunStore(workspace)
    store.create(Recipe(name="kept"))
    gone = store.create(Recipe(name="gone"))
    store.transition(gone.id, "discarded")
    store.delete(gone.id)
    assert store.empty_bin() == 1
    store.close()
    with contextlib.closing(sqlite3.connect(workspace.database)) as db:
        db.execute("DELETE FROM run")  # what was in a write-ahead log that is lost
        db.commit()
    for found in (1, 0):
        store = RunStore(workspace)
        store.serve()
        assert [run.name for run in store.runs()] == ["kept"]
        assert (store.found, store.rescued) == (found, None)
        store.close()


def test_a_server_that_starts_deletes_what_died_half_written_and_nothing_else(workspace: Workspace) -> None:
    store = RunStore(workspace)
    run = store.create(Recipe())
    checkpoint(store, run.id, 5)
    store.keep_copy()
    folder = store.folder(run.id)
    (workspace.root / ".restore-ab12").mkdir()
    left = [
        folder / ".step-00000006.ckpt.ab12.tmp",
        folder / ".model.safetensors.cd34.tmp",
        workspace.root / ".restore-ab12" / "thaw.sqlite",
        workspace.backups / ".draft-77.sqlite",
    ]
    fresh = folder / ".step-00000007.ckpt.ef56.tmp"
    kept = [path for place in (workspace.runs, workspace.backups) for path in place.rglob("*") if path.is_file()]
    for path in (*left, fresh):
        path.write_bytes(b"half")
    for path in (*left, workspace.root / ".restore-ab12"):
        os.utime(path, (1_000_000, 1_000_000))
    store.serve()
    store.close()
    assert not any(path.exists() for path in left)
    assert not (workspace.root / ".restore-ab12").exists()
    assert fresh.exists()
    assert all(path.exists() for path in kept)


def test_only_what_is_a_day_old_is_swept_and_every_piece_is_counted(workspace: Workspace) -> None:
    folder = workspace.runs / "one"
    for place in (folder, workspace.backups):
        place.mkdir(parents=True, exist_ok=True)
    pieces = [folder / ".a.tmp", folder / ".b.tmp", workspace.root / ".c.tmp", workspace.backups / ".draft-1"]
    for piece in pieces:
        piece.write_bytes(b"half")
        os.utime(piece, (1000, 1000))
    day = recovery.LEFT_SECONDS
    assert recovery.sweep(workspace, now=1000 + day) == 0
    assert recovery.sweep(workspace, now=1001 + day) == 4
    assert not any(piece.exists() for piece in pieces)


def test_attempts_since_the_last_checkpoint_are_counted(workspace: Workspace) -> None:
    store = RunStore(workspace)
    run, other = store.create(Recipe()), store.create(Recipe())

    def counted() -> list[int]:
        with store._database.read() as db:
            return [recovery.strikes(db, workspace, one.id) for one in (run, other)]

    def attempt(reason: str = "lost") -> None:
        store.transition(run.id, "running")
        store.append(run.id, [Notice(code="x"), Ended(outcome="interrupted", step=0, reason=reason)])
        store.requeue(run.id)

    assert counted() == [0, 0]
    attempt()
    attempt()
    assert counted() == [2, 0]
    for reason in ("user", "shutdown", "limit"):
        attempt(reason)
    assert counted() == [2, 0], "what was asked to end did nothing wrong"
    store.append(run.id, [checkpoint(store, run.id, 1)])
    assert counted() == [0, 0]
    attempt()
    assert counted() == [1, 0]
    store.close()


def test_a_checkpoint_of_another_run_is_not_adopted(workspace: Workspace) -> None:
    store = RunStore(workspace)
    run, other = store.create(Recipe()), store.create(Recipe())
    saved = checkpoint(store, other.id, 7)
    manifest = store.folder(other.id) / f"{saved.file}.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "run": other.id}))
    for file in (manifest, manifest.with_suffix("")):
        (store.folder(run.id) / file.name).write_bytes(file.read_bytes())
    for one in (run, other):
        store.transition(one.id, "running")
    crash(store)
    store = RunStore(workspace)
    assert store.last_checkpoint(run.id) is None
    assert store.last_checkpoint(other.id) is not None
    store.close()


def test_damage_that_only_a_check_finds_is_rescued_when_the_server_starts(workspace: Workspace) -> None:
    store = RunStore(workspace)
    run = store.create(Recipe())
    store.append(run.id, [Notice(code="x" * 3000) for _ in range(40)])
    store.keep_copy()
    store.close()
    data = bytearray(workspace.database.read_bytes())
    for page in range(8, len(data) // 4096):
        data[page * 4096 : page * 4096 + 100] = b"\xee" * 100
    workspace.database.write_bytes(data)
    store = RunStore(workspace)
    boot = store.boot
    store.serve()
    assert store.rescued is not None
    assert store.boot != boot
    assert len(store.events(run.id)) == 40
    other = RunStore(workspace)
    with pytest.raises(StoreError, match="Another Thaw server"):
        other.serve()
    other.close()
    store.close()


def test_nobody_touches_a_damaged_database_while_another_process_works_there(workspace: Workspace) -> None:
    store = RunStore(workspace)
    store._database.close()  # its process lives on
    content = b"damaged while in use" * 300
    workspace.database.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        RunStore(workspace)
    assert caught.value.code == "store.damaged"
    assert workspace.database.read_bytes() == content
    store._boots.close()


def test_copies_are_thinned_to_the_last_hours_and_days_and_a_bad_one_is_passed_over(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite", application=APPLICATION, migrations=MIGRATIONS)
    folder = tmp_path / "backups"
    for hour in range(0, 24 * 9, 8):
        rescue.keep_copy(database, folder, DAY + timedelta(hours=hour))
    database.close()
    names = [copy.name[5:18] for copy in rescue.copies(folder)]
    last_three = ["20260510T0400", "20260509T2000", "20260509T1200"]
    assert names == [*last_three, *(f"202605{day:02d}T2000" for day in (8, 7, 6, 5, 4))]
    newest, second = rescue.copies(folder)[:2]
    assert rescue.newest_good(folder) == newest
    assert not rescue.copy_due(folder, DAY + timedelta(hours=208, minutes=59))
    assert rescue.copy_due(folder, DAY + timedelta(hours=209))
    flip(newest, 5000)
    assert rescue.newest_good(folder) == second


def test_an_interrupted_end_by_old_hands_is_read(workspace: Workspace) -> None:
    """Rows from before there were seals."""
    store = RunStore(workspace)
    run = store.create(Recipe())
    with store._database.write() as db:
        db.execute(
            "INSERT INTO event (run, kind, payload, at) VALUES (?, 'ended', ?, '')",
            (run.id, Ended(outcome="interrupted").model_dump_json().encode()),
        )
        db.execute("UPDATE run SET recipe = ?", (durable.unsealed(Recipe(lr=0.5).to_json().encode()).decode(),))
    assert [event for _, event in store.events(run.id)] == [Ended(outcome="interrupted")]
    assert store.run(run.id).recipe.lr == 0.5
    store.close()
