"""What stays out of a data set although it can be read, and what is said of it."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from core.dataset.quarantine import Candidate, alone, left_out, refusal, without_doubles, without_lonely
from core.dataset.record import Skipped, Split
from core.images import Facts

FACTS = Facts(9, 9, "png", ())


def one(name: str, label: str, sha: str, split: Split | None = None) -> Candidate:
    return Candidate(name, label, split, sha, FACTS)


def kept_names(kept: Sequence[Candidate]) -> list[str]:
    return [candidate.name for candidate in kept]


def test_of_equal_contents_the_first_by_name_stays() -> None:
    kept, skipped = without_doubles([one("10", "a", "x"), one("9", "a", "x"), one("1", "a", "y")])
    assert kept_names(kept) == ["1", "9"]
    assert skipped == [Skipped("10", "data.duplicate", {"name": "10", "first": "9"})]


def test_of_equal_contents_in_splits_the_most_sealed_stays() -> None:
    kept, _ = without_doubles([one("1", "a", "x", "train"), one("2", "a", "x", "val"), one("3", "a", "x", "test")])
    assert kept_names(kept) == ["3"]


def test_a_content_that_three_classes_claim_stays_out_of_all() -> None:
    kept, skipped = without_doubles(
        [one("1", "a", "x"), one("2", "b", "x"), one("3", "c", "x"), one("4", "a", "x"), one("5", "a", "z")]
    )
    assert kept_names(kept) == ["5"]
    assert [(left.name, left.code, left.values["other_label"]) for left in skipped] == [
        ("1", "data.contradiction", "b"), ("2", "data.contradiction", "a"), ("3", "data.contradiction", "a"),
        ("4", "data.contradiction", "b"),
    ]  # fmt: skip


CANDIDATES = st.lists(
    st.builds(
        one, st.text(max_size=3), st.sampled_from("abc"), st.sampled_from("vwxyz"), st.sampled_from(["train", "test", None])
    ),
    max_size=20,
)


@given(CANDIDATES)
def test_no_content_stays_twice_and_no_candidate_is_lost(found: list[Candidate]) -> None:
    kept, skipped = without_doubles(found)
    assert len({candidate.sha256 for candidate in kept}) == len(kept)
    assert sorted([*kept_names(kept), *(left.name for left in skipped)]) == sorted(kept_names(found))
    for candidate in kept:
        assert {other.label for other in found if other.sha256 == candidate.sha256} == {candidate.label}


def test_a_class_needs_two() -> None:
    enough, lonely = without_lonely([one("1", "a", "u"), one("2", "a", "v"), one("3", "b", "w")])
    assert (kept_names(enough), kept_names(lonely)) == (["1", "2"], ["3"])
    assert alone(lonely[0]) == Skipped("3", "data.lonely", {"name": "3", "label": "b"})
    assert left_out(lonely) == [("data.class_left_out", {"n": 1, "classes": "b"})]
    assert left_out([]) == []


def test_a_hundred_classes_are_not_all_named() -> None:
    lonely = [one(str(n), f"c{n}", str(n)) for n in range(100)]
    assert left_out(lonely)[0][1]["classes"] == ", ".join(f"c{n}" for n in range(12)) + ", …"
    assert "c11 (1), …" in refusal("set.zip", lonely, []).cause


def test_a_refusal_says_how_far_it_got_and_carries_the_reasons() -> None:
    bad = [Skipped("x", "image.empty", {"name": "x"})]
    assert refusal("set.zip", [], []).code == "data.no_images"
    assert refusal("set.zip", [], bad).cause == "The only file in set.zip cannot be used as an image of a class."
    assert refusal("set.zip", [one("1", "a", "x")], bad).code == "data.one_class"
    refused = refusal("set.zip", [one("1", "a", "x"), one("2", "b", "y")], bad)
    assert (refused.code, refused.skipped) == ("data.too_few", tuple(bad))
