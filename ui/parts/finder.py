"""Find a learning rate: many are tried on the draft's own images, the loss at each is drawn, one is proposed."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from core.errors import ThawError
from core.plan import plan
from ui import charts, services, state
from ui.parts import notes
from ui.text import cause, plain, remedy, t

if TYPE_CHECKING:
    from core.recipe import Recipe

WHOLE = "*"
"""Instead of the name of a group: the base rate and every group's with it."""
TICK_SECONDS = 1.0


@st.fragment
def show() -> None:
    """A choice of what to try it on, a button, and what was found."""
    recipe = state.recipe()
    if not recipe.dataset:
        return
    try:
        groups = sorted(plan(services.tree(recipe), recipe.rules, 1).rates())
    except ThawError:
        return  # the tree says what is wrong
    with st.container(border=True, key=state.key("train", "finder")):
        st.markdown(t("finder.title"))
        st.caption(t("finder.lead"))
        part = WHOLE
        with st.container(horizontal=True, vertical_alignment="bottom"):
            if len(groups) > 1:
                part = st.selectbox(
                    t("finder.part"), [WHOLE, *groups], format_func=_named, key=state.key("train", "finder-part"), width=260
                )
            job = services.find_job(recipe, None if part == WHOLE else part)
            st.button(
                t("finder.go"), key=state.key("train", "find"), icon=":material/search_insights:", on_click=_go,
                args=(part,), disabled=job is not None and job.state == "running",
            )  # fmt: skip
        if job is not None and job.state == "running":
            st.fragment(_progress, run_every=TICK_SECONDS)(job.id)
        elif job is not None and job.error is not None and job.state == "failed":
            st.caption(f":red[:material/error: {cause(job.error)} {remedy(job.error)}]")
        elif job is not None and job.result is not None:
            _found(recipe, job.result)
        notes.at_field("finder")


def _named(part: str) -> str:
    return t("finder.whole") if part == WHOLE else plain(part or t("chart.network"))


def _go(part: str) -> None:
    state.forgive("finder")
    services.find_rate(state.recipe(), None if part == WHOLE else part)


def _progress(job_id: str) -> None:
    job = services.jobs().get(job_id)
    if job is None or job.state != "running":
        st.rerun()
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(job.share, text=t("finder.trying", done=job.done, total=job.total) if job.done else t("finder.reading"))
        st.button(t("finder.cancel"), key=state.key("train", "find-cancel"), type="tertiary", on_click=job.cancel)


def _found(recipe: "Recipe", found: Any) -> None:
    st.plotly_chart(
        charts.rate_test(
            found.rates, found.losses, found.smooth, found.suggestion, words=(t("chart.rate"), t("chart.loss"))
        ),
        key=state.key("train", "finder-chart"),
        config={"displayModeBar": False},
    )
    if found.suggestion is None:
        st.caption(f":orange[:material/lightbulb: {t('finder.none')}]")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(t("finder.suggests", rate=f"{found.suggestion:.1e}"), width="content")
        st.button(
            t("finder.take"), key=state.key("train", "find-take"), icon=":material/check:", on_click=_take,
            args=(found.part, found.suggestion), disabled=found.part is None and recipe.lr == _rounded(found.suggestion),
        )  # fmt: skip
    if found.stopped == "diverged":
        st.caption(t("finder.diverged", rate=f"{found.rates[-1]:.1e}"))


def _take(part: str | None, rate: float) -> None:
    """The base rate, or the factor of one group."""
    recipe = state.recipe()
    if part is None:
        state.edit(lr=_rounded(rate))
    else:
        try:
            rules = recipe.with_rule(part, lr_scale=_rounded(rate / recipe.lr)).rules
        except ThawError as error:  # more than a thousand times the base rate
            state.refuse("finder", error)
        else:
            state.edit(rules=rules, strategy="custom")


def _rounded(rate: float) -> float:
    return float(f"{rate:.1e}")
