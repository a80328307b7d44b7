"""The grid of pictures: plain data out, an index back, and nothing believed that the browser says."""

import json
from typing import Any

import pytest
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.testing.v1 import AppTest


def page() -> None:
    import streamlit as st

    from ui.components.gallery import Picture, gallery

    pictures = [Picture("/a.webp", "<b>a</b>", "note"), Picture("/b.webp", tone="bad")]
    st.text(str(gallery(pictures, key="grid", label="Pictures", clickable=True, rows=2)))


def clicked(wish: Any) -> AppTest:
    at = AppTest.from_function(page).run()
    states = at._tree.get_widget_states()
    said = json.dumps([{"event": "clicked", "value": wish}])
    states.widgets.add(id=_make_trigger_id(at.get("bidi_component")[0].proto.id, "events"), json_trigger_value=said)
    return at._run(states)


def test_pictures_are_sent_as_plain_data() -> None:
    sent = json.loads(AppTest.from_function(page).run().get("bidi_component")[0].proto.json)
    assert sent["pictures"] == [
        {"url": "/a.webp", "caption": "<b>a</b>", "note": "note", "tone": "", "alt": ""},
        {"url": "/b.webp", "caption": "", "note": "", "tone": "bad", "alt": ""},
    ]
    assert (sent["label"], sent["clickable"], sent["rows"]) == ("Pictures", True, 2)


def test_a_click_gives_the_index_once() -> None:
    at = clicked(1)
    assert at.text[0].value == "1"
    assert at.run().text[0].value == "None"


@pytest.mark.parametrize("wish", [2, -1, "1", 1.5, None, [0], True])
def test_a_picture_that_does_not_exist_is_not_clicked(wish: Any) -> None:
    assert clicked(wish).text[0].value == "None"
