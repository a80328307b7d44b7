"""One writer at a time in the whole machine; what is acknowledged is on the disk; strange files are named, never touched."""

import sqlite3
from pathlib import Path

import pytest

from core import database, locks
from core.database import Database
from core.errors import StoreError

TABLE = ("CREATE TABLE word (text TEXT NOT NULL) STRICT",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some # file?.sqlite"


def opened(path: Path, *more: tuple[str, ...]) -> Database:
    return Database(path, application=7, migrations=(TABLE, *more))


def words(db: Database) -> list[str]:
    with db.read() as connection:
        return [row["text"] for row in connection.execute("SELECT text FROM word ORDER BY rowid")]


def write(db: Database, text: str) -> None:
    with db.write() as connection:
        connection.execute("INSERT INTO word VALUES (?)", (text,))


def test_two_connections_see_what_the_other_wrote(path: Path) -> None:
    one, two = opened(path), opened(path)
    write(one, "a")
    write(two, "b")
    assert words(one) == words(two) == ["a", "b"]
    one.close()
    write(two, "c")
    two.close()
    assert sorted(file.name for file in path.parent.iterdir()) == [".some # file?.sqlite.lock", "some # file?.sqlite"]


def test_a_gate_that_cannot_be_opened_is_named(path: Path) -> None:
    gate = path.with_name(f".{path.name}.lock")
    gate.mkdir()
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        opened(path)
    assert caught.value.values["path"] == str(gate)


def test_a_network_drive_is_refused_and_a_local_one_inside_it_is_not(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounts = tmp_path / "mounts"
    monkeypatch.setattr(database, "_MOUNTS", mounts)
    share = f"server:/home {path.parent.resolve()} nfs4 rw 0 0\n"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\n{share}")
    with pytest.raises(StoreError, match=r"network drive \(nfs4\)"):
        opened(path)
    inside = path.parent / "disk"
    inside.mkdir()
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\n{share}/dev/sdb {inside.resolve()} ext4 rw 0 0\n")
    opened(inside / "a.sqlite").close()
    mounts.unlink()
    opened(path).close()


def test_a_network_drive_is_found_whatever_its_folder_and_its_neighbours_are_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounts, folder = tmp_path / "mounts", tmp_path / "my work"
    folder.mkdir()
    monkeypatch.setattr(database, "_MOUNTS", mounts)
    place = str(folder.resolve()).replace(" ", "\\040").encode()
    mounts.write_bytes(b"/dev/sdb /media/\xff ext4 rw 0 0\nbroken\nserver:/home " + place + b" cifs rw 0 0\n")
    with pytest.raises(StoreError) as caught:
        opened(folder / "a.sqlite")
    assert (caught.value.code, caught.value.values) == ("store.network", {"path": str(folder), "kind": "cifs"})


def test_a_database_of_another_program_is_named_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cake (slice)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        opened(path)
    assert (caught.value.code, caught.value.values) == ("store.foreign", {"path": str(path)})
    assert path.read_bytes() == before


def test_a_transaction_that_raises_leaves_nothing(path: Path) -> None:
    db = opened(path)
    with pytest.raises(sqlite3.IntegrityError), db.write() as connection:
        connection.executemany("INSERT INTO word VALUES (?)", [("half",), (None,)])
    write(db, "whole")
    assert words(db) == ["whole"]
    db.close()


def test_nobody_writes_while_another_holds_the_gate(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = opened(path)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    gate = locks.take(path.with_name(f".{path.name}.lock"))
    assert gate is not None
    with pytest.raises(StoreError, match="in use by another program"):
        write(db, "late")
    assert words(db) == []  # reading goes on
    gate.release()
    write(db, "now")
    assert words(db) == ["now"]
    db.close()


def test_commits_are_synchronous_and_readers_cannot_write(path: Path) -> None:
    db = opened(path)
    with db.write() as connection:
        pragmas = [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode", "foreign_keys")
        ]
    assert pragmas == [2, "wal", 1]
    with db.read() as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM word")
    db.close()


def test_a_full_disk_is_named_and_what_was_there_stays(path: Path) -> None:
    db = opened(path)
    write(db, "kept")
    with db.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    db._writer.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreError, match="could not be written: database or disk is full"):
        write(db, "x" * 100_000)
    db._writer.execute("PRAGMA max_page_count=1000000")
    write(db, "after")
    assert words(db) == ["kept", "after"]
    db.close()


def test_a_migration_that_fails_leaves_the_old_version(path: Path) -> None:
    opened(path).close()
    with pytest.raises(sqlite3.OperationalError, match="syntax error"):
        opened(path, ("ALTER TABLE word ADD COLUMN stars INTEGER", "NOT SQL"))
    db = opened(path)
    with db.read() as connection:
        assert [row["name"] for row in connection.execute("PRAGMA table_info(word)")] == ["text"]
    db.close()


def test_a_database_of_another_program_is_left_as_it_is(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE precious (x)")
    other.close()
    content = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        opened(path)
    assert path.read_bytes() == content


def test_a_damaged_file_is_named_and_kept(path: Path) -> None:
    content = b"this was a database once" * 200
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        opened(path)
    assert path.read_bytes() == content


def test_damage_inside_is_found_by_a_check(path: Path) -> None:
    db = opened(path)
    for _ in range(3):
        write(db, "x" * 50_000)
    db.check()
    db.close()
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)
    db = opened(path)
    with pytest.raises(StoreError, match="is damaged"):
        db.check()
    db.close()


@pytest.mark.parametrize("version", [0, -(2**31), -1])
def test_a_version_that_no_migration_leaves_is_damage(path: Path, version: int) -> None:
    opened(path).close()
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version={version}")
    raw.close()
    with pytest.raises(StoreError, match="is damaged"):
        opened(path)


def test_who_reads_while_it_is_closed_reads_on_and_leaves_no_connection(path: Path) -> None:
    db = opened(path)
    write(db, "a")
    with db.read() as connection:
        db.close()
        db.close()
        assert connection.execute("SELECT text FROM word").fetchone()[0] == "a"
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT text FROM word")


def test_a_lock_of_another_program_is_said_and_nothing_is_lost(path: Path) -> None:
    db, other = opened(path), sqlite3.connect(path, isolation_level=None)
    write(db, "a")
    with db.write_alone() as connection:
        connection.execute("PRAGMA busy_timeout=1")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as caught:
        write(db, "b")
    assert caught.value.code == "store.busy"
    other.close()
    write(db, "c")
    assert words(db) == ["a", "c"]
    db.close()


def test_a_table_that_somebody_took_away_is_damage(path: Path) -> None:
    db, other = opened(path), sqlite3.connect(path)
    other.execute("DROP TABLE word")
    other.close()
    with pytest.raises(StoreError) as caught:
        words(db)
    assert caught.value.code == "store.damaged"
    db.close()


def test_a_name_that_is_no_text_in_a_complaint_of_sqlite_is_damage(path: Path) -> None:
    db = opened(path)
    with pytest.raises(StoreError) as caught, db._spoken():
        b"\xff".decode()
    assert caught.value.code == "store.damaged"
    db.close()
