"""The Python half of the timeline: what is believed of the browser, and whose word wins when two speak at once."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import ui.components.timeline
from core.words import catalogue
from ui.components.timeline import Row, checked, timeline

GIVEN: dict[str, int | None] = {"stem": None, "body": 4, "head": 1}


def test_a_wish_moves_the_rows_that_exist_to_epochs_that_exist() -> None:
    wish = {"stem": 10, "body": None, "head": 2, "nowhere": 3}
    assert checked(wish, GIVEN, epochs=10) == {"stem": 10, "body": None, "head": 2}


@pytest.mark.parametrize("at", [0, -1, 11, 10**400, 2.0, 2.5, float("nan"), "2", True, [2], {"epoch": 2}])
def test_an_epoch_that_does_not_exist_is_dropped(at: object) -> None:
    assert checked({"stem": at, "body": at, "head": at}, GIVEN, epochs=10) == GIVEN


def test_what_a_wish_does_not_name_stays() -> None:
    assert checked({"body": 5}, GIVEN, epochs=10) == {**GIVEN, "body": 5}


def test_what_learns_already_is_fixed_and_the_rest_cannot_thaw_in_the_past() -> None:
    wish = {"stem": 3, "body": 9, "head": None}
    assert checked(wish, GIVEN, epochs=10, now=4) == GIVEN
    assert checked({"stem": 5, "body": 9}, GIVEN, epochs=10, now=3) == {"stem": 5, "body": 9, "head": 1}


def test_a_stage_that_would_thaw_after_the_end_keeps_its_epoch_until_it_is_moved() -> None:
    assert checked({"body": None}, {"body": 15}, epochs=10) == {"body": 15}
    assert checked({"body": 7}, {"body": 15}, epochs=10) == {"body": 7}


def test_no_epoch_or_one_key_for_two_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="0 epochs"):
        timeline([Row("a", "A", 1)], epochs=0, key="t", language="en")
    with pytest.raises(ValueError, match="1 keys"):
        timeline([Row("a", "A", 1), Row("a", "B", 2)], epochs=3, key="t", language="en")


# --- the handshake ------------------------------------------------------------------------------------------------------


def page() -> None:
    import streamlit as st

    from ui.components.timeline import Row, timeline

    def heard(since: dict[str, int | None]) -> None:
        st.session_state.since = since

    presets = {"gradual": {"stem": None, "body": 4, "head": 1}, "all": {"stem": 1, "body": 1, "head": 1}}
    st.session_state.setdefault("since", presets["gradual"])
    for name, since in presets.items():
        st.button(name, key=name, on_click=st.session_state.update, kwargs={"since": since})
    now = st.number_input("now", 0, 20, 0, key="now")
    epochs = st.number_input("epochs", 1, 20, 10, key="epochs")
    if st.toggle("shown", value=True, key="shown"):
        rows = [Row(key, f"<b>{key}</b>", since) for key, since in st.session_state.since.items()]
        st.session_state.since = timeline(rows, epochs=epochs, key="line", language="en", now=now or None, on_change=heard)


@pytest.fixture
def at() -> AppTest:
    return AppTest.from_function(page, default_timeout=30).run()


def sent(at: AppTest) -> dict[str, Any]:
    return json.loads(at.get("bidi_component")[0].proto.json)


def drag(at: AppTest, said: dict[str, Any] | None = None, **since: Any) -> AppTest:
    """What the browser sends when a person has dragged bars of what `said` (default: the newest data) showed."""
    said = said or sent(at)
    at.session_state["line"] = {"wish": {"sig": said["sig"], "rev": said["rev"], "since": {**said["since"], **since}}}
    return at.run()


def test_before_a_drag_the_epochs_are_those_of_the_caller(at: AppTest) -> None:
    assert at.session_state["since"] == GIVEN
    assert (sent(at)["since"], sent(at)["epochs"], sent(at)["now"]) == (GIVEN, 10, None)
    assert sent(at)["rows"] == [["stem", "<b>stem</b>"], ["body", "<b>body</b>"], ["head", "<b>head</b>"]]


def test_a_drag_changes_an_epoch_and_sends_nothing_back(at: AppTest) -> None:
    before = at.get("bidi_component")[0].proto.json
    drag(at, body=7)
    assert at.session_state["since"] == {"stem": None, "body": 7, "head": 1}
    drag(at, body=7, stem=9)
    assert at.session_state["since"] == {"stem": 9, "body": 7, "head": 1}
    assert at.get("bidi_component")[0].proto.json == before


def test_a_preset_beats_drags_before_it_and_those_it_has_not_seen_and_later_ones_count(at: AppTest) -> None:
    old = sent(at)
    drag(at, body=7)
    at.button(key="all").click().run()
    assert at.session_state["since"] == {"stem": 1, "body": 1, "head": 1}
    assert (sent(at)["rev"], sent(at)["since"]) == (old["rev"] + 1, {"stem": 1, "body": 1, "head": 1})
    drag(at, old, body=8)
    assert at.session_state["since"] == {"stem": 1, "body": 1, "head": 1}
    drag(at, body=9)
    assert at.session_state["since"] == {"stem": 1, "body": 9, "head": 1}


def test_the_same_preset_twice_with_a_drag_between_wins_both_times(at: AppTest) -> None:
    drag(at, body=7)
    at.button(key="gradual").click().run()
    assert at.session_state["since"] == GIVEN
    drag(at, body=8)
    at.button(key="gradual").click().run()
    assert at.session_state["since"] == sent(at)["since"] == GIVEN


def test_the_draft_survives_leaving_the_page(at: AppTest) -> None:
    drag(at, body=7)
    at.toggle(key="shown").set_value(False).run()
    assert "line" not in at.session_state  # Streamlit drops the value of a component that is not drawn
    at.toggle(key="shown").set_value(True).run()
    assert at.session_state["since"] == sent(at)["since"] == {"stem": None, "body": 7, "head": 1}


def test_fewer_epochs_show_a_late_stage_as_never_and_more_bring_it_back(at: AppTest) -> None:
    drag(at, body=7)
    old = sent(at)
    at.number_input(key="epochs").set_value(5).run()
    assert sent(at)["sig"] != old["sig"]
    assert sent(at)["since"] == {"stem": None, "body": None, "head": 1}
    drag(at, head=2)
    drag(at, old, head=3)  # a drag on the longer scale: too late
    at.number_input(key="epochs").set_value(8).run()
    assert at.session_state["since"] == sent(at)["since"] == {"stem": None, "body": 7, "head": 2}


def test_a_drag_into_what_has_passed_meanwhile_is_taken_back_on_the_screen_too(at: AppTest) -> None:
    old = sent(at)
    at.number_input(key="now").set_value(3).run()
    drag(at, old, stem=2)
    assert at.session_state["since"] == GIVEN
    assert (sent(at)["rev"], sent(at)["since"]) == (old["rev"] + 1, GIVEN)


def test_what_was_dragged_in_time_stays_when_its_epoch_has_come(at: AppTest) -> None:
    drag(at, stem=5)
    for now in (4, 5, 6):
        at.number_input(key="now").set_value(now).run()
        assert at.session_state["since"] == {"stem": 5, "body": 4, "head": 1}
    assert sent(at)["rev"] == 0


@pytest.mark.parametrize(
    "wish", [None, 1, "x", [], {"since": None}, {"since": {"body": 5}}, {"sig": "0", "rev": 0, "since": {}}]
)
def test_a_wish_that_makes_no_sense_changes_nothing(at: AppTest, wish: Any) -> None:
    at.session_state["line"] = {"wish": wish}
    at.run()
    assert at.session_state["since"] == GIVEN
    assert not at.exception


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_word_that_the_browser_half_asks_for_exists(language: str) -> None:
    text = (Path(ui.components.timeline.__file__).parent / "timeline.js").read_text("utf-8")
    asked = set(re.findall(r"words\.(\w+)", text)) | set(re.findall(r'\["[\w-]+", "(\w+)"\](?=[,\]])', text))
    held = {name.removeprefix("timeline.") for name in catalogue(language) if name.startswith("timeline.")}
    assert asked == held
