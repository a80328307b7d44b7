"""The layer tree and what its rules add up to. A click here is the draft's new rules, and nothing else is drawn anew."""

from typing import TYPE_CHECKING

import streamlit as st

from core.errors import ThawError
from core.plan import Plan, plan, thawing
from core.recipe import BlockRule
from ui import services, state
from ui.components.layer_tree import layer_tree
from ui.parts import narration, notes, strategies, timeline
from ui.text import compact, duration, percent, size, t

if TYPE_CHECKING:
    from core.layers import LayerTree

EDITED = state.key("model", "edited")
"""Set by the click that made a preset into rules of one's own."""


@st.fragment
def show() -> None:
    """Presets, totals and the tree. Reads the draft, and edits its rules."""
    try:
        made = services.tree(state.recipe())
    except ThawError as error:
        notes.failure(error, key=state.key("model", "tree-failed"))
        return
    st.subheader(t("model.strategies"), anchor=False)
    st.caption(t("model.strategies.lead"))
    strategies.show()
    st.subheader(t("model.tree"), anchor=False)
    st.caption(t("model.tree.lead"))
    figures = st.container(key=state.key("model", "totals"))
    recipe = state.recipe()
    key, language = state.key("model", "tree"), state.language()
    rules = layer_tree(made, recipe.rules, key=key, language=language, base_lr=recipe.lr, on_change=_edit)
    if rules != recipe.rules:
        _edit(recipe.rules, rules)
    if state.value(EDITED):
        state.forget(EDITED)
        st.rerun()  # the frame says which preset it is, and now it is none
    with figures:
        totals(made)
        narration.draft(narration.RULES)
    timeline.show(made)


def _edit(before: tuple[BlockRule, ...], now: tuple[BlockRule, ...]) -> None:
    """Take over what was clicked, unless a preset was pressed in the same moment."""
    recipe = state.recipe()
    if recipe.rules == before != now:
        state.put(EDITED, recipe.strategy != "custom")
        state.replace(recipe.changed(rules=now, strategy="custom"))


def totals(made: "LayerTree") -> None:
    """Trainable and total parameters, memory, seconds per epoch: what the rules cost."""
    recipe = state.recipe()
    try:
        planned = plan(made, recipe.rules)
        reckoned = services.estimate(recipe, made, planned)
        run = services.forecast(recipe, made) if thawing(recipe.rules) else reckoned
        whole = run.seconds(recipe.epochs)
    except ThawError as error:
        notes.failure(error, key=state.key("model", "totals-failed"))
        return
    share = planned.trainable / max(1, planned.total)
    with st.grid(4, min_column_width=160, gap="small"):
        st.metric(
            t("model.total.trainable"),
            compact(planned.trainable),
            t("model.total.of", total=compact(planned.total), share=percent(share)),
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=t("model.total.trainable.help"),
        )
        st.metric(
            t("model.total.memory"),
            t("unit.about", value=size(reckoned.memory_bytes)),
            t("model.total.batch", n=recipe.batch_size, side=recipe.image_size),
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=t("model.total.memory.help"),
        )
        seconds = reckoned.seconds_per_epoch
        st.metric(
            t("model.total.epoch"),
            t("unit.about", value=duration(max(1.0, seconds))) if seconds is not None else "–",
            t("model.total.run", value=duration(whole), n=recipe.epochs)
            if whole is not None
            else t("model.total.measuring"),
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=t("model.total.epoch.help"),
        )
        st.metric(
            t("model.total.rates"),
            len(set(planned.rates().values())),
            rates(planned),
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=t("model.total.rates.help"),
        )


def await_costs() -> None:
    """Draw the page again as soon as the network's costs have been measured; nothing where nobody measures them."""
    if _measuring():
        _ticking()


@st.fragment(run_every=1.0)
def _ticking() -> None:
    if not _measuring():
        st.rerun()


def _measuring() -> bool:
    recipe = state.recipe()
    try:
        return services.measures(recipe, services.tree(recipe))
    except ThawError:
        return False  # there is no network


def rates(planned: Plan) -> str:
    """The rates in use, low to high: ×0.01 to ×1."""
    scales = sorted(set(planned.rates().values()))
    if not scales:
        return t("model.total.nothing")
    return (
        f"×{scales[0]:g}" if len(scales) == 1 else t("model.total.range", low=f"{scales[0]:.2g}", high=f"{scales[-1]:.2g}")
    )
