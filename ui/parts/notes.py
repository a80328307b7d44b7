"""What a page says when there is nothing to show, when something failed, and when something should be known."""

from collections.abc import Callable, Sequence

import streamlit as st

from core.errors import ThawError
from core.words import Value
from ui import state
from ui.text import cause, code, remedy, said, t


def empty(icon: str, sentence: str, *, key: str, button: str = "", on_click: Callable[[], None] | None = None) -> bool:
    """An empty place: an icon, one sentence, one primary button. True in the run after a press."""
    with st.container(border=True, horizontal_alignment="center", gap="small", key=key):
        st.space("small")
        st.markdown(f"## {icon}", width="content", text_alignment="center")
        st.markdown(sentence, width="content", text_alignment="center")
        pressed = bool(button) and st.button(button, key=state.key(key, "go"), type="primary", on_click=on_click)
        st.space("small")
    return pressed


def failure(error: ThawError, *, key: str, button: str = "", on_click: Callable[[], None] | None = None) -> None:
    """A failure as a card: what happened, what to do, and where there is one the button that does it."""
    with st.container(key=key):
        st.error(f"**{cause(error)}**  \n{remedy(error)}  \n{code(error)}", icon=":material/error:")
        if button:
            st.button(button, key=state.key(key, "go"), on_click=on_click)


def at_field(name: str) -> None:
    """Why the last change of this setting was not taken; nothing if it was."""
    error = state.refused(name)
    if error is not None:
        st.caption(f":red[:material/error: {cause(error)} {remedy(error)}]")


def notices(found: Sequence[tuple[str, dict[str, Value]]], *, key: str) -> None:
    """Things to know about what a person brought, one line each."""
    if not found:
        return
    with st.container(gap="xsmall", key=key):
        for code, values in found:
            st.markdown(f":orange[:material/lightbulb:] {said(f'notice.{code}', values)}")


def waiting(sentence: str) -> None:
    """Something is on its way; the page asks again by itself."""
    st.caption(f":material/hourglass_top: {sentence}", width="content")


def lead(title: str, sentence: str) -> None:
    """Title and opening sentence of a page."""
    with st.container(gap=None):
        st.title(t(title), anchor=False)
        st.caption(t(sentence))
