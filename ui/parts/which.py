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
        _other(page)
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
    if state.run_id() and state.run_id() != run.id:
        _other(page)
        st.caption(t("which.instead", name=plain(run.name)))
    return run


def _offered(page: str) -> list[Run]:
    wanted = state.run_id()
    return outcomes.to_try(wanted) if page == "try_it" else outcomes.with_model(wanted)


def _first(runs: list[Run]) -> Run | None:
    """The one in the address, else the newest."""
    wanted = state.run_id()
    return next((run for run in runs if run.id == wanted), runs[0] if runs else None)


def _other(page: str) -> None:
    """The run that was asked for has no model to show: say why, so that nobody takes another for it, and lead there."""
    wanted = state.run_id()
    if not wanted:
        return
    other = outcomes.find(wanted)
    icon, place = ":material/info:", "train"
    if other is None or other.deleted:
        place = "runs"
        said = t("which.unknown", name=plain(wanted[:40])) if other is None else t("which.binned", name=plain(other.name))
    elif other.state in ACTIVE:
        icon, said = ":orange[:material/local_fire_department:]", t("which.busy", name=plain(other.name))
    else:
        said = t("which.without", name=plain(other.name), state=t(f"state.{other.state}"))
    with st.container(horizontal=True, vertical_alignment="center", key=state.key(page, "other")):
        st.markdown(f"{icon} {said}", width="content")
        if st.button(t(f"which.go.{place}"), key=state.key(page, "other", "go"), type="tertiary"):
            navigation.go(place)


def _nothing(page: str) -> None:
    icon = navigation.ICONS[page]
    if notes.empty(icon, t(f"{page}.empty"), key=state.key(page, "empty"), button=t("which.go")):
        navigation.go("train")
