"""A hundred learning rates of the head at once: how many validation images each gets right, and the best to take."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from core.errors import ThawError
from core.plan import head_alone
from ui import charts, services, state
from ui.parts import notes
from ui.text import cause, duration, has, percent, remedy, t

if TYPE_CHECKING:
    from core.recipe import Recipe

TICK_SECONDS = 0.5
LOOKED = 0.8
"""Of the progress, when the frozen blocks have looked at everything."""


@st.fragment
def show() -> None:
    """What it is, a button where it can be done and the reason where not, and what was found."""
    recipe = state.recipe()
    if not recipe.dataset:
        return
    try:
        reason = _reason(recipe)
    except ThawError:
        return  # the tree, or the data, says what is wrong
    with st.container(border=True, key=state.key("train", "rates")):
        st.markdown(t("rates.title"))
        if reason:
            st.caption(t(f"rates.{reason}"))
            return
        st.caption(t("rates.lead"))
        job = services.sweep_job(recipe)
        running = job is not None and job.state == "running"
        st.button(
            t("rates.again" if job is not None and job.result is not None else "rates.go"),
            key=state.key("train", "sweep"), icon=":material/stacked_line_chart:", on_click=_go, disabled=running,
        )  # fmt: skip
        if job is not None and running:
            st.fragment(_progress, run_every=TICK_SECONDS)(job.id)
        elif job is not None and job.error is not None and job.state == "failed":
            st.caption(f":red[:material/error: {cause(job.error)} {remedy(job.error)}]")
        elif job is not None and job.result is not None:
            _found(recipe, job.result)
        notes.at_field("rates")


def _reason(recipe: "Recipe") -> str:
    """Why it is not offered; '' where it is. Raises RecipeError and DataError."""
    tree = services.tree(recipe)
    if tree[tree.head].type != "Linear":
        return "not_linear"
    if not head_alone(tree, recipe.rules):
        return "only_head"
    return "" if sum(services.split_counts(recipe)["val"].values()) else "no_validation"


def _go() -> None:
    state.forgive("rates")
    try:
        services.sweep_rates(state.recipe())
    except ThawError as error:
        state.refuse("rates", error)


def _progress(job_id: str) -> None:
    job = services.jobs().get(job_id)
    if job is None or job.state != "running":
        st.rerun()
        return
    looking = t("rates.looking", percent=round(100 * job.share / LOOKED))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(job.share, text=looking if job.share < LOOKED else t("rates.learning"))
        st.button(t("rates.cancel"), key=state.key("train", "sweep-cancel"), type="tertiary", on_click=job.cancel)


def _found(recipe: "Recipe", found: Any) -> None:
    best = found.winner
    learned = best is not None and best.accuracy > found.majority
    st.plotly_chart(
        charts.rate_sweep(
            {
                f"{decay:g}": [(one.rate, one.accuracy) for one in found.tries if one.decay == decay]
                for decay in found.decays
            },
            best.rate if learned else None,
            found.ridge,
            words=(t("chart.rate"), t("rates.accuracy"), t("rates.formula")),
        ),
        key=state.key("train", "rates-chart"),
        config={"displayModeBar": False},
        alt=t("rates.chart"),
    )
    if best is None or not learned:
        said = t("rates.none") if best is None else t("rates.poor", share=percent(found.majority))
        st.caption(f":orange[:material/lightbulb: {said}]")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_sentence(found), width="content")
        st.button(
            t("rates.take", rate=f"{best.rate:g}"), key=state.key("train", "sweep-take"), icon=":material/check:",
            on_click=_take, args=(best.rate,), disabled=recipe.lr == best.rate,
        )  # fmt: skip
    st.caption(" ".join(_footnotes(found)))


def _sentence(found: Any) -> str:
    best = found.winner
    reached = t("rates.best", rate=f"{best.rate:g}", share=percent(best.accuracy), n=found.val_images)
    if found.ridge is None:
        return t("rates.alone", best=reached)
    return t("rates.against", best=reached, ridge=percent(found.ridge))


def _footnotes(found: Any) -> list[str]:
    """How much it matters, where it goes wrong, what it took, and what a training would do besides."""
    least = found.winner.accuracy - 1.01 / found.val_images
    near = {one.rate for one in found.tries if one.accuracy is not None and one.accuracy >= least}
    first = last = found.rates.index(found.winner.rate)
    while first > 0 and found.rates[first - 1] in near:
        first -= 1
    while last + 1 < len(found.rates) and found.rates[last + 1] in near:
        last += 1
    said = [t("rates.lucky")]
    if last > first:
        said.append(t("rates.plateau", low=f"{found.rates[first]:g}", high=f"{found.rates[last]:g}"))
    astray = [one.rate for one in found.tries if one.diverged]
    if astray:
        said.append(t("rates.diverged", rate=f"{min(astray):g}"))
    said.append(t("rates.seconds", n=len(found.tries), epochs=found.epochs, time=duration(found.seconds)))
    if found.apart:
        said.append(t("rates.apart", fields=", ".join(_named(field) for field in found.apart)))
    return said


def _named(field: str) -> str:
    return t(f"rates.field.{field}") if has(f"rates.field.{field}") else t(f"train.set.{field}")


def _take(rate: float) -> None:
    state.edit(lr=rate)
