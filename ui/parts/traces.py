"""The instruments of a run over time: one line a first row of the tree. Ticks by itself while the run is at work."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from core.events import Reading, Readings
from core.readings import moved, ratio, summed
from ui import charts, services, state
from ui.text import t

if TYPE_CHECKING:
    from core.layers import LayerTree
    from core.run import Run

MEASURES: dict[str, Callable[[Reading], float | None]] = {
    "moved": moved,
    "update": ratio,
    "gradient": lambda reading: reading.gradient,
}
TICK_SECONDS = 3.0


def show(run: "Run", made: "LayerTree") -> None:
    """Folded at first, and drawn only while it is open: each tab that watches costs training; a choice of what to see."""
    box = st.expander(
        t("traces.title"), icon=":material/monitoring:", key=state.key("train", "traces"), on_change="rerun"
    )  # fmt: skip
    if box.open:
        with box:
            st.fragment(_draw, run_every=TICK_SECONDS if run.state == "running" else None)(run.id, made)


def _draw(run_id: str, made: "LayerTree") -> None:
    readings = services.run_state(run_id).readings
    measure = st.segmented_control(
        t("traces.measure"), list(MEASURES), default="moved", format_func=lambda name: t(f"tree.column.{name}"),
        key=state.key("train", "measure"), label_visibility="collapsed",
    ) or "moved"  # fmt: skip
    st.caption(t(f"tree.column.{measure}.tip"))
    if len(readings) < 2:
        st.caption(t("traces.waiting"))
        return
    st.plotly_chart(
        charts.traces(
            table(readings, made, measure), log=measure != "moved", share=measure != "gradient", step=t("chart.step")
        ),
        key=state.key("train", "trace"),
        config={"displayModeBar": False},
    )


def table(readings: tuple[Readings, ...], made: "LayerTree", measure: str) -> pd.DataFrame:
    """A row a reading by its step, a column a row of the tree that holds weights; empty where it is not defined."""
    look = MEASURES[measure]
    rows = [row for row in made.rows if row.total > 0]
    values = {row.path: [look(summed(one.blocks, row.path)) for one in readings] for row in rows}
    return pd.DataFrame(values, index=pd.Index([one.step for one in readings], name="step"), dtype=float)
