"""A finding is settled by a decision about its images, and by nothing else; an undo opens it again."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from core.dataset import Dataset, Splits
from core.dataset.edits import Standing, edited
from core.dataset.record import in_groups
from core.examine.finding import Examination, Finding
from core.examine.still import divided, still_open


@pytest.fixture
def data(listed: Callable[..., Dataset]) -> Dataset:
    return listed(6, 6)


def sha(label: int, number: int) -> str:
    return f"{label}{number:063d}"


def left(data: Dataset, now: Standing, *findings: Finding) -> tuple[Finding, ...]:
    return still_open(Examination("id", "original", 12, 0.9, findings), edited(data, now), now)


LABEL = Finding("label", (sha(0, 0),), 0.9, "relabel", "class 1")
NEAR = Finding("near", (sha(0, 1), sha(0, 2), sha(0, 3)), 0.99, "together")
CLASH = Finding("clash", (sha(0, 4), sha(1, 4)), 0.99, "look")
RARE = Finding("imbalance", (), 6.0, "collect", "class 1")


def test_without_decisions_everything_is_open(data: Dataset) -> None:
    assert left(data, Standing(), LABEL, NEAR, CLASH, RARE) == (LABEL, NEAR, CLASH, RARE)


@pytest.mark.parametrize(
    "now",
    [
        Standing(excluded=frozenset(LABEL.images)),
        Standing(labels={LABEL.images[0]: "class 1"}),
        Standing(labels={LABEL.images[0]: "class 0"}),
        Standing(ignored=frozenset({("label", LABEL.images)})),
    ],
    ids=["excluded", "moved", "moved back", "left as it is"],
)
def test_a_wrong_label_is_settled_by_any_word_about_its_image(data: Dataset, now: Standing) -> None:
    assert left(data, now, LABEL, NEAR) == (NEAR,)


def test_copies_are_settled_once_they_are_together_or_one_is_left(data: Dataset) -> None:
    assert left(data, Standing(groups=dict.fromkeys(NEAR.images, NEAR.images[0])), NEAR) == ()
    assert left(data, Standing(excluded=frozenset(NEAR.images[1:])), NEAR) == ()
    fewer = replace(NEAR, images=NEAR.images[:2])
    assert left(data, Standing(excluded=frozenset(NEAR.images[2:])), NEAR) == (fewer,)


def test_copies_that_the_import_put_together_are_settled(data: Dataset) -> None:
    put = replace(data, items=in_groups(data.items, [[1, 2, 3]]))
    assert left(put, Standing(), NEAR, CLASH) == (CLASH,)
    assert left(replace(data, items=in_groups(data.items, [[1, 2]])), Standing(), NEAR) == (NEAR,)


def test_a_picture_in_two_classes_is_still_there_twice_once_it_is_in_one(data: Dataset) -> None:
    once = Standing(labels={sha(1, 4): "class 0"})
    assert left(data, once, CLASH) == (replace(CLASH, kind="near", suggestion="together"),)
    assert left(data, Standing(groups=dict.fromkeys(CLASH.images, "g")), CLASH) == (CLASH,)


def test_of_two_rare_classes_one_is_left_as_it_is(data: Dataset) -> None:
    other = replace(RARE, label="class 0")
    assert left(data, Standing(ignored=frozenset({("imbalance", ("class 1",))})), RARE, other) == (other,)


def test_copies_are_divided_when_they_lie_in_two_splits(data: Dataset) -> None:
    splits = Splits(train=(0, 1, 2, 4, 5), val=(3,), test=tuple(range(6, 12)))
    same_side = replace(NEAR, images=NEAR.images[:2])
    assert divided((LABEL, NEAR, same_side, CLASH), data, splits) == (NEAR, CLASH)
