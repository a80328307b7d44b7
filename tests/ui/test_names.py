"""No character of a name is hidden, and none changes how the text around it reads."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui import names, text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat", "cat"),
        ("猫 12.png", "猫 12.png"),
        ("photo\u202egnp.exe", "photo\\u202egnp.exe"),
        ("a\x00b\x1b[31m\x7f", "a\\u0000b\\u001b[31m\\u007f"),
        ("two\nlines", "two\\u000alines"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\u2066not ours\u2069", "\\u2066not ours\\u2069"),
        ("half \ud83d", "half \\ud83d"),
        ("חתול.png", "\u2068חתול.png\u2069"),
        ("قطة 12", "\u2068قطة 12\u2069"),
        ("👩‍🔬", "👩‍🔬"),
        ("میخواهم\u200cبروم", "\u2068میخواهم\u200cبروم\u2069"),
    ],
)
def test_a_name_is_shown_so(name: str, shown: str) -> None:
    assert names.shown(name) == shown


@given(st.text())
def test_whatever_turns_text_round_is_ours_and_closed(name: str) -> None:
    said = names.shown(name)
    turning = [letter for letter in said if unicodedata.bidirectional(letter) in BIDI]
    assert turning in ([], [names.ISOLATE, names.END])
    assert not any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in said)


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_in_markdown_too_and_in_sentences_and_tables() -> None:
    assert text.plain("photo\u202egnp.exe") == r"photo\\u202egnp\.exe"
    assert text.plain("חתול") == "\u2068חתול\u2069"
    assert "\\u202e" in text.said_cause("image.damaged", {"name": "a\u202eb"})
    assert "\u202e" not in text.said_cause("image.damaged", {"name": "a\u202eb"})
