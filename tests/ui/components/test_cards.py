"""Cards to choose from: plain data out, one of the ids back, told before the page runs."""

import json
from typing import Any

import pytest
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.testing.v1 import AppTest


def page() -> None:
    import streamlit as st

    from ui.components.cards import Card, Tools, cards

    items = [Card("a", "<i>A</i>", sort={"size": 2.0}), Card("b", "B", stripe=(0.0, 1.0), badges=(("new", "warm"),))]
    tools = Tools(search="Search", sorts=(("size", "Smallest", False),), found="{n} shown")

    def heard(card: str) -> None:
        st.session_state["heard"] = [*st.session_state.get("heard", []), card]

    st.text(st.session_state.get("heard", []))
    off = st.session_state.get("off", False)
    st.text(str(cards(items, key="pick", label="Things", chosen="a", tools=tools, on_pick=heard, disabled=off)))


def picked(wish: Any, *, off: bool = False) -> AppTest:
    at = AppTest.from_function(page)
    at.session_state["off"] = off
    at.run()
    states = at._tree.get_widget_states()
    said = json.dumps([{"event": "picked", "value": wish}])
    states.widgets.add(id=_make_trigger_id(at.get("bidi_component")[0].proto.id, "events"), json_trigger_value=said)
    return at._run(states)


def test_cards_are_sent_as_plain_data() -> None:
    sent = json.loads(AppTest.from_function(page).run().get("bidi_component")[0].proto.json)
    assert [(card["id"], card["title"], card["sort"]) for card in sent["cards"]] == [
        ("a", "<i>A</i>", {"size": 2.0}),
        ("b", "B", {}),
    ]
    assert sent["cards"][1]["stripe"] == [0.0, 1.0]
    assert sent["chosen"] == "a"
    assert sent["tools"]["sorts"] == [["size", "Smallest", False]]


def test_a_pick_is_told_before_the_page_runs_and_given_once() -> None:
    at = picked("b")
    assert [one.value for one in at.text] == ["['b']", "b"]
    assert [one.value for one in at.run().text] == ["['b']", "None"]


@pytest.mark.parametrize("wish", ["c", "", None, 0, ["a"], {"a": 1}])
def test_a_card_that_does_not_exist_cannot_be_picked(wish: Any) -> None:
    assert [one.value for one in picked(wish).text] == ["[]", "None"]


def test_nothing_can_be_picked_while_it_is_off() -> None:
    assert [one.value for one in picked("b", off=True).text] == ["[]", "None"]
