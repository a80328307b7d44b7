"""Try it: give a finished model a new picture and see what it thinks, then take the model along."""

import streamlit as st

from ui import outcomes, state
from ui.parts import guesses, offer, pins, take, which
from ui.text import t


def show() -> None:
    """Draw the page."""
    run = which.choose("try_it")
    if run is None:
        return
    left, right = st.columns([2, 3], gap="large")
    with left.container(border=True, key=state.key("try_it", "offer")):
        st.subheader(t("try_it.offer"), anchor=False)
        kept = pins.choose(run)
        pictures = offer.show(run)
    with right:
        guesses.show(run, pictures, kept)
    if outcomes.has_model(run):
        take.show(run)
    pins.show(run)
