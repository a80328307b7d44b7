"""A page with a tick, whose button leads by `st.switch_page` to one that takes its time; and one with a long text."""

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


def long() -> None:
    st.text("long " + "x" * 20_000)


def short() -> None:
    st.text("short")
    st.button("Again")


following = st.Page(second, title="second")
others = [following, st.Page(long, title="long"), st.Page(short, title="short")]
st.navigation([st.Page(first, title="first", default=True), *others], position="top").run()
