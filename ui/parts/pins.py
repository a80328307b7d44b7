"""Moments of a run that a person keeps: to be taken home, tried, or let go. No retention removes them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from core.errors import ThawError
from ui import outcomes, services, state
from ui.components.download import download
from ui.names import shown
from ui.parts import notes
from ui.text import count, plain, size, t

if TYPE_CHECKING:
    from core.events import Pinned
    from core.run import Run

NAMING = state.key("pins", "naming")
"""The run of which a person is naming a moment."""


def button(run: "Run", step: int, *, disabled: bool = False) -> None:
    """Keep the model as it is now, `step` steps into the run."""
    if st.button(
        t("pins.keep"),
        key=state.key("pins", "keep"),
        help=t("pins.keep.help"),
        icon=":material/bookmark_add:",
        disabled=disabled or step == 0,
    ):
        state.put(NAMING, run.id)
    if state.value(NAMING) == run.id:
        _ask(run)  # drawn again with the page, which the run draws anew while somebody writes
    asked = state.key("pins", "asked")
    if state.value(asked):
        st.toast(t("pins.asked", name=plain(state.value(asked))), icon=":material/bookmark_add:")
        state.forget(asked)


def show(run: "Run") -> None:
    """Every moment that is kept; nothing if there is none."""
    notes.at_field("pins")
    found = services.pins(run.id)
    if not found:
        return
    st.subheader(t("pins.title"), anchor=False)
    st.caption(t("pins.lead"))
    for pin in found:
        _row(run, pin)


def choose(run: "Run") -> str:
    """A box to ask a moment instead of the best model, where there are any; its file, '' for the best."""
    best = [""] if outcomes.has_model(run) else []
    labels = dict.fromkeys(best, t("pins.best")) | {pin.file: label(pin) for pin in reversed(services.pins(run.id))}
    if not labels or list(labels) == [""]:
        return ""
    widget = state.key("try_it", "kept", run.id)
    if state.value(widget, next(iter(labels))) not in labels:
        state.forget(widget)
    chosen: str = st.selectbox(t("pins.which"), list(labels), key=widget, format_func=labels.__getitem__)
    return chosen


def label(pin: "Pinned") -> str:
    """A moment in one line."""
    return f"{shown(pin.name)} · {t('pins.at', step=count(pin.step), epoch=pin.epoch)}"


def _row(run: "Run", pin: "Pinned") -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", border=True, gap="small", key=state.key("pins", "row", pin.file)
    ):
        with st.container(gap=None, width="stretch"):
            st.markdown(f":material/bookmark: **{plain(pin.name)}**")
            st.caption(t("pins.at", step=count(pin.step), epoch=pin.epoch))
        with st.container(width="content"):
            download(
                t("take.safetensors.get"),
                outcomes.download_url(run.id, pin.file),
                key=state.key("pins", "get", pin.file),
                note=size(pin.size_bytes),
            )
        if st.button(t("pins.let_go"), key=state.key("pins", "let-go", pin.file), type="tertiary", icon=":material/delete:"):
            _confirm(run, pin)


def _ask(run: "Run") -> None:
    @st.dialog(t("pins.keep"), icon=":material/bookmark_add:", on_dismiss=lambda: state.forget(NAMING))
    def ask() -> None:
        st.markdown(t("pins.ask"))
        proposed = t("pins.name.default", n=len(services.pins(run.id)) + 1)
        name = st.text_input(t("pins.name"), value=proposed, key=state.key("pins", "name"), max_chars=80)
        if st.button(t("pins.keep.go"), key=state.key("pins", "go"), type="primary", on_click=_keep, args=(run.id, name)):
            st.rerun()

    ask()


def _keep(run_id: str, name: str) -> None:
    state.forget(NAMING)
    _carry_out(lambda: services.pin(run_id, name))
    if state.refused("pins") is None:
        state.put(state.key("pins", "asked"), name)


def _confirm(run: "Run", pin: "Pinned") -> None:
    @st.dialog(t("pins.let_go"), icon=":material/delete:")
    def ask() -> None:
        st.markdown(t("pins.let_go.ask", name=plain(pin.name), size=size(pin.size_bytes)))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button(t("pins.let_go.no"), key=state.key("pins", "no"), type="tertiary"):
                st.rerun()
            yes = state.key("pins", "yes")
            if st.button(t("pins.let_go.yes"), key=yes, type="primary", on_click=_let_go, args=(run.id, pin.file)):
                st.rerun()

    ask()


def _let_go(run_id: str, file: str) -> None:
    _carry_out(lambda: services.unpin(run_id, file))


def _carry_out(act: Callable[[], None]) -> None:
    state.forgive("pins")
    try:
        act()
    except ThawError as error:
        state.refuse("pins", error)
