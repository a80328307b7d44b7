"""Results: how good a finished model is on pictures it has never seen, and which pictures lie behind each figure."""

import streamlit as st

from ui import navigation, outcomes, state
from ui.parts import learned, mistakes, verdict, which
from ui.text import t


def show() -> None:
    """Draw the page."""
    run = which.choose("results")
    if run is None:
        return
    tested = outcomes.run_state(run.id).tested
    if tested is None:
        st.caption(t("results.untested"))
    else:
        verdict.show(run, tested)
        mistakes.show(run, tested)
    learned.show(run)
    navigation.next_step("try_it", t("results.next"), key=state.key("results", "next"))
