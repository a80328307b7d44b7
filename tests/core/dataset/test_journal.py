"""What one process writes another reads, whole lines only, and nothing that a reader would never say."""

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dataset import journal
from core.dataset.journal import Begun, Done, Failure, Head, Journal, Listener, Outcome, Step
from core.dataset.quarantine import Candidate
from core.dataset.record import Part, Skipped
from core.images import Facts

SHA = "0123456789abcdef" * 4
STEPS: list[Step] = [
    Head(
        "set.zip", 3, (Skipped("a.txt", "image.not_an_image", {"name": "a.txt"}),), (("data.empty_class", {"name": "owl"}),)
    ),
    Begun("猫/1.png", "10-abc"),
    Outcome("10-abc", Candidate("猫/1.png", "猫", "train", SHA, Facts(12, 10, "png", ("rotated",), b"\0\xff"))),
    Outcome("11-abd", Skipped("cats/2.png", "image.damaged", {"name": "cats/2.png"})),
    Outcome("11-abe", Skipped("cats/3.png", "image.damaged", {"name": "cats/3.png"}, SHA)),
    Outcome("12-abf", Skipped("cats/4.jpg", "image.damaged", {"name": "4"}, SHA, Part(SHA, 12, 9, 0.6, "cats", "val"))),
    Outcome("12-abf", Skipped("cats/5.jpg", "image.damaged", {"name": "5"}, "", Part(SHA, 8, 8, 1.0, "cats", None))),
    Outcome("", Candidate("dogs/3.jpg", "dogs", None, SHA, Facts(8, 8, "jpg", ()))),
    Failure("data.no_space", {"name": "set.zip", "size": "1 GB", "free": "1 MB"}),
    Done(),
]


def test_every_step_comes_back_as_it_was(tmp_path: Path) -> None:
    log = Journal(tmp_path / "journal-000000")
    for step in STEPS:
        log.write(step)
    log.close()
    assert journal.steps(tmp_path / "journal-000000") == STEPS


def test_a_listener_hears_each_step_once_and_nothing_before_there_is_a_journal(tmp_path: Path) -> None:
    place = tmp_path / "journal-000000"
    listener = Listener(place)
    assert list(listener.news()) == []
    log = Journal(place, STEPS[:2])
    assert list(listener.news()) == STEPS[:2]
    log.write(STEPS[2])
    log.write(STEPS[3])
    assert (list(listener.news()), list(listener.news())) == (STEPS[2:4], [])
    log.close()


@given(cut=st.integers(0, 2000))
def test_a_journal_that_was_cut_anywhere_tells_what_came_before(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    place = tmp_path_factory.mktemp("cut") / "journal-000000"
    Journal(place, STEPS).close()
    data = place.read_bytes()
    place.write_bytes(data[:cut])
    whole = data[:cut].count(b"\n")
    assert journal.steps(place) == STEPS[:whole]
    journal.append(place, Done())
    assert journal.steps(place) == [*STEPS[:whole], Done()]


@pytest.mark.parametrize(
    "row",
    [
        ["taken", "a", "", "cats", None, "../../etc/passwd", 1, 1, "png", [], ""],
        ["taken", "a", "", "cats", None, SHA, 1, 1, "png/../../x", [], ""],
        ["taken", "a", "", "cats", "elsewhere", SHA, 1, 1, "png", [], ""],
        ["taken", "a", "", "cats", None, SHA, "wide", 1, "png", [], ""],
        ["taken", "a", "", "cats", None, SHA, 1, 1, "png", []],
        ["taken", "a", "", "cats", None, SHA, 1, 1, "png", [], "no base64"],
        ["skipped", "a", "", "image.damaged", {}, "../../etc/passwd"],
        ["skipped", "a", "", "image.damaged", {}, SHA, "../../etc/passwd", 9, 9, 0.5, "cats", None],
        ["head", "a"], ["done", 1], ["run", "rm"], [], {}, 7, None,
    ],
)  # fmt: skip
def test_what_no_reader_says_is_not_believed(tmp_path: Path, row: object) -> None:
    place = tmp_path / "journal-000000"
    place.write_bytes(orjson.dumps(row) + b"\nno json\n\xff\n" + orjson.dumps(["done"]) + b"\n")
    assert journal.steps(place) == [Done()]


def test_each_reader_has_a_journal_of_its_own(tmp_path: Path) -> None:
    assert (journal.newest(tmp_path), journal.following(tmp_path).name) == (None, "journal-000000")
    for _ in range(11):
        Journal(journal.following(tmp_path)).close()
    newest = journal.newest(tmp_path)
    assert newest is not None
    assert newest.name == "journal-000010"
