"""A card says what happened, what to do, and its code: what can be read out is what `thaw explain` takes."""

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import DataError
from core.words import catalogue
from ui.text import code


def page() -> None:
    from core.errors import DataError
    from ui.parts import notes

    notes.failure(DataError("data.no_images", name="*x*"), key="card")


@pytest.mark.parametrize(("lang", "word"), [("en", "Code"), ("zh", "代码")])
def test_a_card_shows_its_code_small_and_last(lang: str, word: str) -> None:
    at = AppTest.from_function(page)
    at.query_params["lang"] = lang
    cause, _, last = at.run().error[0].value.split("  \n")
    assert last == rf":small[:gray[{word} data\.no\_images]]"
    assert (cause[:2], cause[-2:]) == ("**", "**")


def test_the_code_is_plain_text() -> None:
    error = DataError.__new__(DataError)
    error.code, error.values = "a.b_c*d*", {}
    assert r"a\.b\_c\*d\*" in code(error)
    assert "error.code" in catalogue("en")
