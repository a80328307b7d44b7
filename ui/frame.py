"""What every page shares: the line that says where a person stands, the language switch, the discreet footer."""

from contextlib import suppress
from importlib.metadata import version

import streamlit as st

from core.errors import ThawError
from core.recipe import Recipe
from core.words import LANGUAGES
from ui import health, navigation, services, state
from ui.components.person import person
from ui.parts import hindrance, which
from ui.sign_in import OUT
from ui.text import percent, plain, set_title, strategy, t

WATCHED = state.key("frame", "watched")
VERSION = version("thaw")


CHOOSING = {"results": "results", "try-it": "try_it"}
"""Pages that show a run that has ended, the newest if none is open, by their addresses."""


def header(page: str) -> None:
    """The choices so far on the left, the language on the right; `page` is the address of the page below."""
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small", key="frame.header"
    ):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content", key="frame.here"):
            _here(page)
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content", key="frame.who"):
            _who()
            _switch()
    health.cards()
    hindrance.left_behind()


def _who() -> None:
    """Who is signed in, and the way out; nothing where nobody needs to sign in."""
    someone = services.access().person()
    if someone is not None:
        person(
            someone.name,
            title=t("gate.signed_in", name=someone.name),
            action=t("gate.sign_out"),
            url=OUT,
            key=state.key("frame", "person"),
        )


def _switch() -> None:
    state.keep_language()
    widget, now = state.key("frame", "language"), state.language()
    state.follow(widget, now)
    st.segmented_control(
        t("frame.language"),
        LANGUAGES,
        default=now,
        required=True,
        format_func=lambda code: t(f"frame.language.{code}"),
        key=widget,
        on_change=lambda: state.speak(state.value(widget)),
        label_visibility="collapsed",
    )


def _here(page: str) -> None:
    """Data set, backbone, strategy: of the run that is shown, else what the next one will be and what is still missing."""
    shown = _shown(page)
    recipe = shown or state.recipe()
    name = services.dataset_name(recipe.dataset)
    data = plain(set_title(recipe.dataset, name)) if name else t("frame.data_gone" if shown else "frame.no_data")
    for icon, words in (
        (navigation.ICONS["data"], data),
        (navigation.ICONS["model"], plain(recipe.backbone)),
        (":material/tune:", strategy(recipe.strategy)),
    ):
        st.caption(f"{icon} {words}", width="content")
    _tell_ended()
    active = services.active_runs()
    if active:
        state.put(WATCHED, tuple(run.id for run in active))
        _at_work()


def _shown(page: str) -> Recipe | None:
    """Of the run that the page is about; None where there is none, and where the page will say what is wrong with it."""
    with suppress(ThawError):
        if page in CHOOSING and (run := which.about(CHOOSING[page])) is not None:
            return run.recipe
        if page in ("train", *CHOOSING) and (run_id := state.run_id()) is not None:
            return services.run(run_id).recipe
    return None


def _tell_ended() -> None:
    """Say once, on whatever page this tab is, that a run that it has seen at work is over."""
    for run_id in state.value(WATCHED) or ():
        with suppress(ThawError):
            run = services.run(run_id)
            if run.state not in ("queued", "running"):
                st.toast(
                    t("frame.ended", name=plain(run.name), state=t(f"state.{run.state}")), icon=navigation.ICONS["train"]
                )
    state.forget(WATCHED)


@st.fragment(run_every=2.0)
def _at_work() -> None:
    """What is being trained in this moment, on every page."""
    active = services.active_runs()
    if tuple(run.id for run in active) != state.value(WATCHED):
        st.rerun()
    running, *waiting = active
    now = services.run_state(running.id)
    words = t("frame.training", name=plain(running.name), share=percent(now.fraction, 0))
    more = f" · {t('frame.queued', n=len(waiting))}" if waiting else ""
    icon = navigation.ICONS["train"]
    st.markdown(f":small[:orange[{icon} {words}{more}]]", width="content")


def footer() -> None:
    """Where everything lies on this machine."""
    if services.keeps():
        st.caption(t("frame.workspace", path=str(services.workspace().root), version=VERSION))
