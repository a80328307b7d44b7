"""Two pages: the first has a tick, its button leads by `st.switch_page` to the second, which takes its time."""

import time

import streamlit as st

from ui import late

late.pass_over()


@st.fragment(run_every=0.1)
def tick() -> None:
    st.caption("waiting")


@st.fragment(run_every=0.3)
def count() -> None:
    st.session_state.ticks = st.session_state.get("ticks", 0) + 1
    st.text(f"tick {st.session_state.ticks}")


def first() -> None:
    tick()
    if st.button("Next"):
        st.switch_page(following)


def second() -> None:
    time.sleep(0.5)  # a page that reads something
    for line in range(4):
        st.text(f"line {line}")
    count()


following = st.Page(second, title="second")
st.navigation([st.Page(first, title="first", default=True), following]).run()
