"""What a reader does inside its process: every file has an outcome in the journal, and nothing is read a second time."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.dataset import journal, reader
from core.dataset.journal import Begun, Done, Head, Journal, Outcome
from core.dataset.quarantine import Candidate
from core.dataset.record import Skipped
from core.dataset.taking import Labelled, take
from core.errors import DataError

Make = Callable[..., Path]
Pets = Callable[..., dict[str, bytes]]
Picture = Callable[..., bytes]


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    (tmp_path / "staging").mkdir()
    return tmp_path / "staging"


def read(source: Path, staging: Path) -> tuple[list[journal.Step], int]:
    """What the next reader writes, and how many files it has read."""
    place, heard = journal.following(staging), []
    reader.read(source, staging, place, threads=1, listed=heard.append)
    (many,) = heard
    return journal.steps(place), many


def outcomes(steps: Sequence[journal.Step]) -> dict[str, Candidate | Skipped]:
    return {step.what.name: step.what for step in steps if isinstance(step, Outcome)}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], int]]:
    """Names of the files that are given to threads together, and to how many."""
    seen: list[tuple[list[str], int]] = []

    def told(files: Sequence[Labelled], folder: Path, *, threads: int, **more: Any) -> Iterator[Any]:
        seen.append(([file.name for file in files], threads))
        return take(files, folder, threads=threads, **more)

    monkeypatch.setattr(reader, "take", told)
    return seen


def test_every_file_is_begun_and_ends_and_the_last_line_says_that_it_was_the_last(
    zipped: Make, pets: Pets, staging: Path
) -> None:
    files = {**pets(2), "cats/no picture.png": b"no"}
    steps, many = read(zipped(files), staging)
    assert (steps[0], steps[-1], many) == (Head("set.zip", 5, (), ()), Done(), 5)
    assert [step.name for step in steps if isinstance(step, Begun)] == sorted(files)
    ended = outcomes(steps)
    assert list(ended) == sorted(files)
    assert {name for name, what in ended.items() if isinstance(what, Skipped)} == {"cats/no picture.png"}
    candidates = {name: what for name, what in ended.items() if isinstance(what, Candidate)}
    assert {name: (staging / f"{one.sha256}.png").read_bytes() for name, one in candidates.items()} == pets(2)


def test_the_next_reader_reads_what_is_new_changed_or_lost_alone(
    folder: Make, pets: Pets, picture: Picture, staging: Path, taken: list[tuple[list[str], int]]
) -> None:
    source = folder({**pets(3), "cats/no picture.png": b"no"})
    first, _ = read(source, staging)
    lost = outcomes(first)["dogs/1.png"]
    assert isinstance(lost, Candidate)
    (staging / f"{lost.sha256}.png").unlink()
    (source / "cats" / "0.png").write_bytes(picture(500, size=(30, 20)))
    (source / "cats" / "new.png").write_bytes(picture(501))
    taken.clear()
    second, many = read(source, staging)
    again = {"dogs/1.png", "cats/0.png", "cats/new.png"}
    assert (many, {name for names, _ in taken for name in names}) == (3, again)
    now, before = outcomes(second), outcomes(first)
    assert now.keys() == before.keys() | {"cats/new.png"}
    assert {name: what for name, what in now.items() if name not in again} == {
        name: what for name, what in before.items() if name not in again
    }


def test_a_file_that_moved_to_another_class_is_known_and_gets_it(folder: Make, pets: Pets, staging: Path) -> None:
    source = folder(pets(3))
    place = journal.following(staging)
    first, _ = read(source, staging)
    old = [step for step in first if isinstance(step, Outcome)]
    moved = [
        Outcome(one.stamp, Candidate(w.name, "birds", "val", w.sha256, w.facts))
        for one in old
        if isinstance(w := one.what, Candidate)
    ]
    place.unlink()
    log = Journal(place, [first[0], *moved])
    log.close()
    second, many = read(source, staging)
    assert many == 0
    assert outcomes(second) == outcomes(first)


def test_files_at_which_a_reader_died_come_first_and_one_at_a_time(
    zipped: Make, pets: Pets, staging: Path, taken: list[tuple[list[str], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = zipped(pets(3))
    steps, _ = read(source, staging)
    died = {"cats/2.png", "dogs/0.png"}
    place = journal.following(staging)
    log = Journal(place, [steps[0]])
    for step in steps:
        if isinstance(step, Begun) and step.name in died:
            log.write(step)
    log.close()
    taken.clear()
    reader.read(source, staging, journal.following(staging), threads=4)
    assert [(set(names), threads) for names, threads in taken] == [(died, 1), (pets(3).keys() - died, 4)]


def test_tables_and_files_above_the_limit_are_listed_and_not_read(
    zipped: Make, pets: Pets, picture: Picture, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_TABLE_BYTES", 10)
    large = picture(9, size=(60, 60))
    monkeypatch.setattr(reader, "MAX_FILE_BYTES", len(large) - 1)
    steps, many = read(zipped({**pets(2), "cats/large.png": large, "labels.csv": b"file,label\n" * 9}), staging)
    head = steps[0]
    assert isinstance(head, Head)
    assert [(left.name, left.code) for left in head.skipped] == [
        ("labels.csv", "data.unreadable"),
        ("cats/large.png", "data.file_too_big"),
    ]
    assert (many, set(outcomes(steps))) == (4, set(pets(2)))


def test_a_source_that_is_refused_writes_no_journal(tmp_path: Path, staging: Path) -> None:
    (tmp_path / "set.zip").write_bytes(b"no zip")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "set.zip", staging)
    assert caught.value.code == "data.not_a_zip"
    assert list(staging.iterdir()) == []
