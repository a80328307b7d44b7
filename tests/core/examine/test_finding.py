"""Findings survive the way to a file and back, and are counted in the order in which a person should look at them."""

import json

import pytest

from core.examine.finding import KINDS, Examination, Finding, from_dict
from core.words import LANGUAGES, catalogue

FOUND = Examination(
    "id",
    "original",
    9,
    0.875,
    (
        Finding("label", ("a",), 0.93, "relabel", "owls"),
        Finding("near", ("b", "c"), 0.99, "together"),
        Finding("near", ("d", "e"), 0.98, "together"),
        Finding("imbalance", (), 6.5, "collect", "owls"),
    ),
)


def test_an_examination_is_the_same_after_a_file() -> None:
    assert from_dict(json.loads(json.dumps(FOUND.to_dict()))) == FOUND


def test_another_format_is_not_read() -> None:
    with pytest.raises(ValueError, match="format 0"):
        from_dict({**FOUND.to_dict(), "format": 0})


def test_kinds_are_counted_in_their_order() -> None:
    assert list(FOUND.counts.items()) == [("label", 1), ("near", 2), ("imbalance", 1)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_a_name_a_sentence_and_a_reason(language: str) -> None:
    words = catalogue(language)
    assert not [
        f"{part}.{kind}" for kind in KINDS for part in ("kind", "count", "why") if f"examine.{part}.{kind}" not in words
    ]
