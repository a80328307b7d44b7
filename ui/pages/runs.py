"""Runs: every training so far. Open one, let it go on, rename it, put it into the bin; tick some and compare them."""

import streamlit as st

from ui import navigation, outcomes, services, state
from ui.parts import compare, notes, queue, run_rows
from ui.text import t

PAGE = 25


def show() -> None:
    """Draw the page."""
    notes.lead("runlist.title", "runlist.lead")
    there, binned = outcomes.count(), outcomes.binned()
    if not there and not binned:
        pressed = notes.empty(
            ":material/history:", t("runlist.empty"), key=state.key("runs", "empty"), button=t("runlist.empty.go")
        )
        if pressed:
            navigation.go("data")
        return
    run_rows.training()
    _order()
    run_rows.said()
    pages = max(1, -(-there // PAGE))
    page_key = state.key("runs", "page")
    if state.value(page_key, 1) > pages:
        state.follow(page_key, 1)
    comparison, place = st.container(), st.container()
    with st.container(horizontal_alignment="center"):
        page = st.pagination(pages, key=page_key) if pages > 1 else 1
    with place:
        ticked = run_rows.show(outcomes.runs(first=(page - 1) * PAGE, many=PAGE))
    chosen = [run for run in map(outcomes.find, ticked) if run is not None and not run.deleted]
    with comparison:
        compare.show(chosen)
    if binned:
        with st.expander(t("runlist.bin", n=len(binned)), icon=":material/delete:", key=state.key("runs", "bin")):
            run_rows.show_bin(binned)


def _order() -> None:
    """Where nobody signs in: the queue, once there is an order to change."""
    if services.access().on or len([run for run in services.active_runs() if run.state == "queued"]) < 2:
        return
    with st.expander(t("queue.title"), icon=":material/format_list_numbered:", key=state.key("runs", "queue")):
        queue.show()
