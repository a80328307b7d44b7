"""Which finished run a page is about: the one in the address, else the newest; a box to choose another."""

import streamlit as st

from core.run import ACTIVE, Run
from ui import navigation, outcomes, state
from ui.names import shown
from ui.parts import notes
from ui.text import moment, plain, t


def about(page: str) -> Run | None:
    """The run that `page` will show; None if there is none yet."""
    return _first(_offered(page))


def choose(page: str) -> Run | None:
    """Title, opening sentence and the box; the run, or None after saying that there is none yet."""
    runs = _offered(page)
    run = _first(runs)
    if run is None:
        notes.lead(f"{page}.title", f"{page}.lead")
        _busy(page)
        _nothing(page)
        return None
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        notes.lead(f"{page}.title", f"{page}.lead")
    widget = state.key(page, "run")
    state.follow(widget, run.id)
    labels = {run.id: f"{shown(run.name)} · {moment(run.created)}" for run in runs}  # a session keeps them: no runs in them
    right.selectbox(
        t("which.run"),
        list(labels),
        index=list(labels).index(run.id),
        key=widget,
        format_func=labels.__getitem__,
        on_change=lambda: state.show_run(state.value(widget)),
        help=t("which.more", n=outcomes.MOST_OFFERED) if len(runs) >= outcomes.MOST_OFFERED else None,
    )
    if state.run_id() != run.id:
        _busy(page)
    return run


def _offered(page: str) -> list[Run]:
    wanted = state.run_id()
    return outcomes.to_try(wanted) if page == "try_it" else outcomes.with_model(wanted)


def _first(runs: list[Run]) -> Run | None:
    """The one in the address, else the newest."""
    wanted = state.run_id()
    return next((run for run in runs if run.id == wanted), runs[0] if runs else None)


def _busy(page: str) -> None:
    """The run that was asked for is still at work: say so, and lead there."""
    other = outcomes.find(state.run_id())
    if other is None or other.state not in ACTIVE:
        return
    with st.container(horizontal=True, vertical_alignment="center", key=state.key(page, "busy")):
        st.markdown(f":orange[:material/local_fire_department:] {t('which.busy', name=plain(other.name))}", width="content")
        if st.button(t("which.busy.go"), key=state.key(page, "busy", "go"), type="tertiary"):
            navigation.go("train")


def _nothing(page: str) -> None:
    icon = navigation.ICONS[page]
    if notes.empty(icon, t(f"{page}.empty"), key=state.key(page, "empty"), button=t("which.go")):
        navigation.go("train")
