"""What a page says: the current language, names as plain text, figures as people say them; no words of its own."""

import ast
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import DataError
from core.words import catalogue
from ui import text

UI = Path(text.__file__).parent


def spoken() -> None:
    import streamlit as st

    from ui.text import t

    st.text(t("nav.data"))


def test_the_browser_s_language_is_spoken_first() -> None:
    at = AppTest.from_function(spoken)
    at.context = {"locale": "zh-CN"}
    assert at.run().text[0].value == "数据"


def test_an_unknown_language_hears_english() -> None:
    at = AppTest.from_function(spoken)
    at.context = {"locale": "fi-FI"}
    assert at.run().text[0].value == "Data"


def test_the_address_wins_over_the_browser() -> None:
    at = AppTest.from_function(spoken)
    at.context = {"locale": "zh-CN"}
    at.query_params["lang"] = "en"
    assert at.run().text[0].value == "Data"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat", "cat"),
        ("two\nlines  and   spaces", "two lines and spaces"),
        ("*bold* _it_", r"\*bold\* \_it\_"),
        ("<img src=x onerror=alert(1)>", r"\<img src\=x onerror\=alert\(1\)\>"),
        ("[a](http://x)", r"\[a\]\(http\://x\)"),
        ("$x$", r"\$x\$"),
        (":smile:", "\\:\u2060smile\\:"),
        (":material/home:", "\\:\u2060material/home\\:"),
        ("花", "花"),
    ],
)
def test_a_name_from_outside_is_never_markup(name: str, shown: str) -> None:
    assert text.plain(name) == shown


def test_values_of_an_error_are_plain_text_in_its_sentences() -> None:
    error = DataError("path.missing", path="/a_b/*c*")
    assert r"/a\_b/\*c\*" in text.cause(error)


def test_a_code_without_words_is_said_as_it_is() -> None:
    assert text.said("notice.no_such_notice", {}) == r"notice\.no\_such\_notice"


@pytest.mark.parametrize(
    ("value", "shown"), [(512, "512"), (1_234, "1.23 k"), (11_689_512, "11.7 M"), (1.82e9, "1.82 G"), (0.5, "0.5")]
)
def test_large_numbers_have_three_digits(value: float, shown: str) -> None:
    assert text.compact(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(12, "12 B"), (2_100, "2.1 kB"), (44_700_000, "44.7 MB"), (150e6, "150 MB"), (3.2e9, "3.2 GB")]
)
def test_bytes_have_a_unit(value: float, shown: str) -> None:
    assert text.size(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.2, "under a second"),
        (41.6, "42 s"),
        (200, "3 min 20 s"),
        (120, "2 min"),
        (1_799, "29 min"),
        (7_500, "2 h 5 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_a_missing_share_is_a_dash() -> None:
    assert (text.percent(0.9731), text.percent(None), text.percent(float("nan"))) == ("97.3 %", "–", "–")


def test_long_lists_end_in_a_number() -> None:
    assert text.listed(["a", "b"]) == "a, b"
    assert text.listed("abcdef", 3) == "a, b, c and 3 more"


def test_a_demo_is_called_in_the_language_and_a_set_as_its_owner_called_it() -> None:
    assert text.set_title("demo:digits", "Digits") == catalogue("en")["demo.digits.title"]
    assert text.set_title("my-set", "demo:digits") == "demo:digits"


def test_a_strategy_of_one_s_own_has_a_name_too() -> None:
    assert text.strategy("custom") == catalogue("en")["model.strategy.custom"]
    assert text.strategy("head") == catalogue("en")["strategy.head.title"]


# --- no words beside the catalogues ---------------------------------------------------------------------------------------

SPEAKS = {
    "title header subheader markdown caption text write info warning error success toast button metric badge",
    "form_submit_button",
    "selectbox slider select_slider number_input text_input toggle checkbox pills segmented_control radio file_uploader",
    "expander popover tabs progress spinner status dialog download_button link_button menu_button multiselect camera_input",
}
WIDGETS = {
    "button form_submit_button selectbox slider select_slider number_input text_input toggle checkbox pills radio expander",
    "segmented_control file_uploader download_button menu_button multiselect camera_input pagination plotly_chart dataframe",
    "popover tabs",
}
MODULES = [*sorted([*(UI / "pages").glob("*.py"), *(UI / "parts").glob("*.py")]), UI / "app.py", UI / "frame.py"]


def names(groups: set[str]) -> set[str]:
    return {name for group in groups for name in group.split()}


def calls(file: Path) -> list[tuple[str, ast.Call]]:
    """Calls of `st.something(…)` and `container.something(…)`."""
    tree = ast.parse(file.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [(node.func.attr, node) for node in found if isinstance(node.func, ast.Attribute)]


def literal_words(node: ast.expr) -> list[str]:
    """Text in an argument that a person would read: letters outside of icons, colours and placeholders."""
    import re

    parts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return [part for part in parts if re.search(r"[A-Za-z一-鿿]", re.sub(r":[a-z]+(/[a-z_]+:|(-badge)?\[)", "", part))]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_no_page_has_words_of_its_own(file: Path) -> None:
    for name, call in calls(file):
        if name not in names(SPEAKS):
            continue
        said = [
            *call.args[:1],
            *[word.value for word in call.keywords if word.arg in {"help", "label", "placeholder", "text"}],
        ]
        for argument in said:
            inside = [node for node in ast.walk(argument) if isinstance(node, ast.Call)]
            for one in inside:  # what is said through a function is said by the catalogues
                one.args, one.keywords = [], []
            assert not literal_words(argument), f"{file.name}:{call.lineno} says {ast.unparse(argument)}"


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_every_widget_has_a_key(file: Path) -> None:
    for name, call in calls(file):
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if name in names(WIDGETS) and isinstance(owner, ast.Name) and owner.id == "st":
            given = {word.arg for word in call.keywords}
            assert "key" in given or None in given, f"{file.name}:{call.lineno} {name} has no key"


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_no_page_touches_session_state(file: Path) -> None:
    assert "session_state" not in file.read_text("utf-8")


def keys_spoken(file: Path) -> set[str]:
    """Whole keys in `t("…")`."""
    tree = ast.parse(file.read_text("utf-8"))
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "t" and n.args]
    return {n.args[0].value for n in found if isinstance(n.args[0], ast.Constant)}


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_every_key_that_is_spoken_has_words(file: Path) -> None:
    assert keys_spoken(file) <= set(catalogue("en"))
