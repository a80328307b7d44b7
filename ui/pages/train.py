"""Train: set it, start it, watch it. With a run open it shows that run, whatever tab or time it was started in."""

import streamlit as st

from core.errors import ThawError
from ui import services, state
from ui.parts import follow, live, notes, settings, start, tree
from ui.text import plain, t


def show() -> None:
    """Draw the page."""
    run_id = state.run_id()
    if run_id is not None:
        try:
            run = services.run(run_id)
        except ThawError as error:
            notes.failure(error, key=state.key("train", "gone"))
            state.show_run(None)
        else:
            state.show_run(run_id)
            live.show(run)
            return
    notes.lead("train.title", "train.lead")
    _others()
    _draft()


def _others() -> None:
    """Runs that are at work in this moment, one press away."""
    for run in services.active_runs():
        with st.container(
            horizontal=True, vertical_alignment="center", border=True, key=state.key("train", "other", run.id)
        ):
            color, icon = live.BADGES[run.state]
            st.badge(t(f"state.{run.state}"), icon=icon, color=color)  # type: ignore[arg-type]
            st.markdown(plain(run.name), width="content")
            st.button(
                t("train.watch"),
                key=state.key("train", "watch", run.id),
                icon=":material/visibility:",
                on_click=state.show_run,
                args=(run.id,),
            )


def _draft() -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader(t("train.essential"), anchor=False)
        settings.essential()
        with st.expander(t("train.everything"), icon=":material/tune:", key=state.key("train", "all")):
            settings.everything()
    with right:
        start.card()
        start.preview()
        follow.show()
    tree.await_costs()
