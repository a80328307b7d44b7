"""The learning rates of the draft over its epochs, drawn before the start: one line a rate, zero while a block is frozen."""

import pandas as pd
import streamlit as st

from core.errors import ThawError
from ui import charts, services, state
from ui.text import t

LINES = 8
"""More rates than this are not told apart by eye: the lowest and the highest are drawn."""


def show() -> None:
    """The curve of each parameter group."""
    recipe = state.recipe()
    try:
        table = services.rates(recipe)
    except ThawError:
        return  # the tree says what is wrong
    st.caption(t("train.schedule.lead" if recipe.schedule != "plateau" else "train.schedule.plateau"))
    st.plotly_chart(
        charts.schedule(thinned(table), epochs=recipe.epochs, words=(t("chart.epoch"), t("chart.rate"), t("chart.network"))),
        key=state.key("train", "schedule"),
        config={"displayModeBar": False},
    )


def thinned(table: pd.DataFrame) -> pd.DataFrame:
    """At most LINES columns: evenly spaced by their highest rate."""
    order = table.max().sort_values(ascending=False).index
    if len(order) <= LINES:
        return table
    step = (len(order) - 1) / (LINES - 1)
    return table[[order[round(at * step)] for at in range(LINES)]]
