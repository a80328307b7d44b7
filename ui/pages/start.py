"""Start: three doors. A demo that learns at once, a person's own images, and what was begun before."""

import streamlit as st

from ui import navigation, state
from ui.parts import doors, notes
from ui.text import t


def show() -> None:
    """Draw the page."""
    notes.lead("start.title", "start.lead")
    if doors.opening():
        return
    side, wide = st.columns([1, 2], gap="medium")
    with side:
        with st.container(border=True, key=state.key("start", "own")):
            _heading("data", "start.own")
            st.markdown(t("start.own.how"))
            if st.button(t("start.own.go"), key=state.key("start", "own", "go"), icon=":material/upload:"):
                navigation.go("data")
        with st.container(border=True, key=state.key("start", "again")):
            _heading("runs", "start.again")
            doors.again()
    with wide.container(border=True, key=state.key("start", "demo")):
        _heading("train", "start.demo")
        st.caption(t("start.demo.how"))
        notes.at_field("demo")
        doors.demos()


def _heading(page: str, words: str) -> None:
    st.subheader(f"{navigation.ICONS[page]} {t(words)}", anchor=False)
