"""A backup holds the whole workspace and comes back equal, or is refused; nothing in it can write anywhere else."""

import hashlib
import json
import os
import sqlite3
import zipfile
from pathlib import Path

import pytest

from core import backup
from core.backup import CONTENTS, allowed, back_up, restore
from core.errors import StoreError
from core.events import Ended
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import Workspace, open_workspace


@pytest.fixture
def store(tmp_path: Path):
    store = RunStore(open_workspace(tmp_path / "one"))
    run = store.create(Recipe(name="flowers", lr=0.02))
    store.transition(run.id, "running")
    (store.folder(run.id) / "step-00000001.ckpt").write_bytes(b"weights" * 1000)
    store.append(run.id, [Ended(outcome="paused", step=1)])
    (store.workspace.datasets / "abcd").mkdir()
    (store.workspace.datasets / "abcd" / "0f.png").write_bytes(b"\x89PNG")
    (store.workspace.weights / "resnet18-f37072fd.pth").write_bytes(b"w")
    (store.workspace.cache / "big").write_bytes(b"can be made again")
    yield store
    store.close()


@pytest.fixture
def two(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "two")


def tree(workspace: Workspace) -> dict[str, bytes]:
    return {
        str(path.relative_to(workspace.root)): path.read_bytes()
        for folder in (workspace.datasets, workspace.runs, workspace.weights)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_restored_is_what_was_backed_up(store: RunStore, two: Workspace, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    made = back_up(store, tmp_path / "all.thaw", progress=lambda done, total: heard.append((done, total)))
    assert (made.runs, heard[-1][0]) == (1, heard[-1][1])
    assert not [path.name for path in tmp_path.iterdir() if path.name not in {"one", "two", "all.thaw"}]
    back = restore(tmp_path / "all.thaw", two)
    assert (back.files, back.size_bytes, back.runs) == (made.files, made.size_bytes, 1)
    assert tree(two) == tree(store.workspace)
    assert list(two.cache.iterdir()) == []
    again = RunStore(two)
    before, after = store.runs()[0], again.runs()[0]
    assert (after.id, after.recipe, after.state) == (before.id, before.recipe, "paused")
    assert again.events(after.id) == store.events(before.id)
    again.serve()
    again.close()


def test_every_folder_of_a_restore_is_flushed_before_the_database_says_that_it_is_there(
    store: RunStore, two: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(store, tmp_path / "all.thaw")
    calls: list[tuple[str, str]] = []
    flush, replace = backup.flush_folder, os.replace
    monkeypatch.setattr(backup, "flush_folder", lambda path: (calls.append(("flush", path.name)), flush(path)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append(("put", Path(b).name)), replace(a, b)))
    restore(tmp_path / "all.thaw", two)
    run = store.runs()[0].id
    for folder, inner in (("datasets", "abcd"), ("runs", run)):
        assert calls.index(("flush", inner)) < calls.index(("put", inner))
        assert max(at for at, call in enumerate(calls) if call == ("flush", folder)) > calls.index(("put", inner))
    assert calls[-2:] == [("put", two.database.name), ("flush", two.root.name)]


def test_accounts_come_along_while_they_are_in_use(store: RunStore, two: Workspace, tmp_path: Path) -> None:
    ours = sqlite3.connect(store.workspace.root / backup.ACCOUNTS)
    ours.execute("PRAGMA journal_mode=WAL")
    ours.execute("CREATE TABLE person (name)")
    ours.execute("INSERT INTO person VALUES ('ann')")
    ours.commit()
    back_up(store, tmp_path / "all.thaw")
    ours.close()
    restore(tmp_path / "all.thaw", two)
    theirs = sqlite3.connect(two.root / backup.ACCOUNTS)
    assert theirs.execute("SELECT name FROM person").fetchall() == [("ann",)]
    theirs.close()


def test_a_folder_that_is_not_there_is_named_and_nothing_else_is_blamed(store: RunStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        back_up(store, tmp_path / "nowhere" / "all.thaw")
    assert caught.value.code == "backup.unwritable"
    assert caught.value.values["path"] == str(tmp_path / "nowhere" / "all.thaw")


def test_nothing_is_overwritten_by_a_backup_or_a_restore(store: RunStore, two: Workspace, tmp_path: Path) -> None:
    back_up(store, tmp_path / "all.thaw")
    with pytest.raises(StoreError, match="already a file"):
        back_up(store, tmp_path / "all.thaw")
    with pytest.raises(StoreError, match="already holds runs"):
        restore(tmp_path / "all.thaw", store.workspace)
    other = RunStore(two)
    other.create(Recipe())
    other.close()
    with pytest.raises(StoreError) as caught:
        restore(tmp_path / "all.thaw", two)
    assert caught.value.code == "backup.not_empty"


def test_a_workspace_that_is_served_is_not_restored_into(store: RunStore, two: Workspace, tmp_path: Path) -> None:
    back_up(store, tmp_path / "all.thaw")
    server = RunStore(two)
    server.serve()
    with pytest.raises(StoreError) as caught:
        restore(tmp_path / "all.thaw", two)
    assert caught.value.code == "store.served"
    server.close()


def test_a_backup_with_any_flipped_bit_is_refused_and_leaves_nothing(
    store: RunStore, two: Workspace, tmp_path: Path
) -> None:
    back_up(store, tmp_path / "all.thaw")
    whole = (tmp_path / "all.thaw").read_bytes()
    bad, refused = tmp_path / "bad.thaw", 0
    for at in range(0, len(whole), max(1, len(whole) // 150)):
        data = bytearray(whole)
        data[at] ^= 0x10
        bad.write_bytes(data)
        place, code = open_workspace(tmp_path / f"w{at}"), ""
        try:
            restore(bad, place)
        except StoreError as error:
            code = error.code
        assert code in {"backup.not_ours", ""}
        refused += bool(code)  # else it was a bit that says nothing about the content, such as a time
        assert tree(place) == ({} if code else tree(store.workspace))
    assert refused > 130
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        bad.write_bytes(whole[:cut])
        with pytest.raises(StoreError) as caught:
            restore(bad, two)
        assert caught.value.code == "backup.not_ours"


@pytest.mark.parametrize(
    "name",
    ["../evil", "runs/../../evil", "/etc/evil", "runs/.hidden", "runs/a\\..\\b", "C:/evil", "runs/con", "runs/a.", "other/a",
     "runs/", "runs", "runs/a b", "thaw.sqlite/x", "runs/" + "a" * 200],
)  # fmt: skip
def test_names_that_are_not_ours_never_become_paths(name: str, two: Workspace, tmp_path: Path) -> None:
    assert not allowed(name)
    file = tmp_path / "evil.thaw"
    digest = hashlib.sha256(b"x").hexdigest()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(backup.DATABASE, b"x")
        archive.writestr(name, b"x")
        stored = [info.filename for info in archive.infolist()]
        said = {entry: {"bytes": 1, "sha256": digest} for entry in stored}
        archive.writestr(CONTENTS, json.dumps({"format": 1, "runs": 0, "files": said}))
    with pytest.raises(StoreError) as caught:
        restore(file, two)
    assert caught.value.code == "backup.not_ours"
    assert tree(two) == {}


def test_a_packed_backup_is_refused_before_it_is_unpacked(two: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "bomb.thaw"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(backup.DATABASE, b"\0" * 50_000_000)
        archive.writestr(CONTENTS, json.dumps({"format": 1, "runs": 0, "files": {}}))
    with pytest.raises(StoreError, match="it is packed"):
        restore(file, two)


def test_a_missing_backup_and_an_unwritable_target_are_named(store: RunStore, two: Workspace, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        restore(tmp_path / "gone", two)
    assert caught.value.code == "backup.missing"
    with pytest.raises(StoreError) as caught:
        back_up(store, tmp_path / "no folder" / "x")
    assert caught.value.code in {"backup.unwritable", "store.unreadable", "store.full"}


def test_a_backup_without_a_database_of_ours_is_refused(two: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "empty.thaw"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(backup.DATABASE, b"x")
        said = {backup.DATABASE: {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}}
        archive.writestr(CONTENTS, json.dumps({"format": 1, "runs": 0, "files": said}))
    with pytest.raises(StoreError, match=r"thaw\.sqlite is damaged"):
        restore(file, two)
    assert not two.database.exists()
