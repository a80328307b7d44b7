"""The timeline of the draft: from which epoch each stage learns, to be dragged. Writes rules as a click does."""

from typing import TYPE_CHECKING

import streamlit as st

from core.errors import ThawError
from core.plan import thawing
from core.timeline import begins, with_timeline
from ui import services, state
from ui.components.timeline import Row, timeline
from ui.text import t

if TYPE_CHECKING:
    from core.layers import LayerTree

FROM_TIMELINE = ("gradual", "lp-ft")
"""Strategies that are about when: their timeline is open at once."""


def show(made: "LayerTree") -> None:
    """Bars to drag, unfolded where the draft has a timeline already."""
    recipe = state.recipe()
    try:
        since = begins(made, recipe.rules)
    except ThawError:
        return  # the totals say what is wrong with the rules
    late = recipe.strategy in FROM_TIMELINE or bool(thawing(recipe.rules))
    with st.expander(t("model.timeline"), icon=":material/timeline:", expanded=late, key=state.key("model", "timeline-box")):
        st.caption(t("model.timeline.lead", n=recipe.epochs))
        rows = [Row(key, key, _within(epoch, recipe.epochs)) for key, epoch in since.items()]
        timeline(
            rows,
            epochs=recipe.epochs,
            key=state.key("model", "timeline"),
            language=state.language(),
            on_change=_dragged,
            current=_current,
        )


def _within(epoch: int | None, epochs: int) -> int | None:
    return None if epoch is None or epoch > epochs else epoch


def _current() -> dict[str, int | None]:
    """As the draft says now: a preset that was pressed in the same moment wins over a drag."""
    recipe = state.recipe()
    since = begins(services.tree(recipe), recipe.rules)
    return {key: _within(epoch, recipe.epochs) for key, epoch in since.items()}


def _dragged(since: dict[str, int | None]) -> None:
    recipe = state.recipe()
    rules = with_timeline(services.tree(recipe), recipe.rules, since)
    state.edit(rules=rules, strategy=recipe.strategy if recipe.strategy in FROM_TIMELINE else "custom")
