"""How a finished run learned: accuracy and loss by epoch, training beside validation, the kept epoch marked."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.events import EpochDone
from core.run import Run
from ui import charts, outcomes, state
from ui.text import figure, percent, t

SPLITS = ("train", "val")
MARK = "#8494a8"
"""Seen on a light and on a dark ground."""


def show(run: Run) -> None:
    """Two charts, side by side where there is room."""
    epochs = outcomes.run_state(run.id).epochs
    if not epochs:
        return
    st.subheader(t("results.learned"), anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        _chart(run, epochs, "accuracy", share=True)
    with right:
        _chart(run, epochs, "loss", share=False)
    st.caption(t("results.learned.how"))


def _chart(run: Run, epochs: tuple[EpochDone, ...], what: str, *, share: bool) -> None:
    tables = curves(epochs, what)
    drawn = charts.curves_chart(
        {t(f"split.{split}"): table for split, table in tables.items()},
        what,
        {"epoch": t("results.epochs"), "value": t(f"results.curve.{what}")},
        share=share,
    )
    whole_epochs(drawn, len(epochs))
    if run.best_epoch is not None and len(epochs) > 1:
        drawn.add_vline(x=run.best_epoch, line={"width": 1.5, "dash": "dot", "color": MARK})
    tell = percent if share else figure
    last = {split: tell(table[what].iloc[-1]) for split, table in tables.items()}
    alt = t("results.learned.alt", what=t(f"results.curve.{what}"), n=len(epochs), train=last["train"], val=last["val"])
    st.plotly_chart(drawn, key=state.key("results", "learned", what), config={"displayModeBar": False}, alt=alt)


def whole_epochs(drawn: go.Figure, epochs: int) -> None:
    """Let the axis count epochs in whole numbers."""
    if epochs <= 12:
        drawn.update_xaxes(dtick=1)


def curves(epochs: tuple[EpochDone, ...], what: str) -> dict[str, pd.DataFrame]:
    """Split to its table of one column, `what` ('accuracy' or 'loss'), over epochs."""
    rows = [epoch.model_dump() for epoch in epochs]
    return {
        split: charts.curve_table(rows, (f"{split}_{what}",)).rename(columns={f"{split}_{what}": what}) for split in SPLITS
    }
