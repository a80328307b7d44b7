"""Tables to figures. Plain data in, plotly figures out; knows no page, no widget and no core.

Each chart is two functions: one makes the table (that is tested), one draws it. Words come in as arguments, colours
from the theme: `st.plotly_chart` puts its palette over the template.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from ui.names import shown

SPLITS = ("train", "val", "test")
COLD, WARM = "#4aa8e0", "#f2702e"
SHADES = (1.0, 0.62, 0.34)
"""Opacity of train, validation and test within one class's colour."""
PALETTE = (
    "#4c8dd6",
    "#f2702e",
    "#3aa76d",
    "#a06cd5",
    "#e0a100",
    "#d6517d",
    "#2aa6a6",
    "#8a6d4f",
    "#6f7fdb",
    "#94a337",
)
"""Ten colours that stay apart in both themes; the eleventh class begins anew."""
NAMED = 24
"""Classes that have room for their names below the bars; with more, pointing at a bar tells its name."""

Labels = Mapping[str, str]


def class_table(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> pd.DataFrame:
    """Images per class and split: one row a class, columns of `SPLITS` and `total`. `counts` is split to class to number."""
    table = pd.DataFrame(
        {split: [counts.get(split, {}).get(name, 0) for name in classes] for split in SPLITS}, index=pd.Index(classes)
    )
    return table.assign(total=table.sum(axis=1))


def class_chart(table: pd.DataFrame, labels: Labels, *, split_names: Labels) -> go.Figure:
    """Bars of `class_table`: a colour for each class, a shade for each split. Labels: `images`, `class`."""
    figure = go.Figure()
    colors = [PALETTE[i % len(PALETTE)] for i in range(len(table))]
    names = [shorten(name) for name in table.index]
    for split, shade in zip(SPLITS, SHADES, strict=True):
        if not table[split].any():
            continue
        figure.add_bar(
            x=list(range(len(table))),
            y=table[split].to_numpy(),
            name=split_names[split],
            marker={"color": colors, "opacity": shade, "line": {"width": 0}},
            customdata=names,
            hovertemplate=f"%{{customdata}}<br>{split_names[split]}: %{{y}}<extra></extra>",
            showlegend=False,
        )
    figure.update_layout(barmode="stack", bargap=0.25)
    figure.update_yaxes(title=labels["images"], rangemode="tozero")
    figure.update_xaxes(
        title=labels["class"],
        tickmode="array",
        tickvals=list(range(len(table))),
        ticktext=names,
        showticklabels=len(table) <= NAMED,
        fixedrange=True,
    )
    figure.update_yaxes(fixedrange=True)
    return _plain(figure, height=300)


def curve_table(epochs: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """One row an epoch with the chosen columns; None becomes a gap."""
    return pd.DataFrame(
        {column: [row.get(column) for row in epochs] for column in columns},
        index=pd.Index([row["epoch"] for row in epochs], name="epoch"),
        dtype=float,
    )


def curves_chart(tables: Mapping[str, pd.DataFrame], column: str, labels: Labels, *, share: bool = False) -> go.Figure:
    """One line a run of one column of its `curve_table`, over epochs. Labels: `epoch`, `value`. `share`: as per cent."""
    figure = go.Figure()
    for i, (name, table) in enumerate(tables.items()):
        figure.add_scatter(
            x=table.index.to_numpy(),
            y=table[column].to_numpy(),
            name=shorten(name, 40),
            mode="lines+markers" if len(table) < 60 else "lines",
            line={"color": PALETTE[i % len(PALETTE)], "width": 2},
            marker={"size": 5},
            hovertemplate="%{fullData.name}<br>%{x}: %{y:.1%}<extra></extra>"
            if share
            else "%{fullData.name}<br>%{x}: %{y:.4g}<extra></extra>",
        )
    figure.update_layout(hovermode="closest", legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0})
    figure.update_xaxes(title=labels["epoch"])
    figure.update_yaxes(title=labels["value"], tickformat=".0%" if share else None)
    return _plain(figure, height=380)


def shorten(name: object, most: int = 24) -> str:
    """A name as text of a chart: at most so many of its characters, and nothing that plotly takes for a tag."""
    text = " ".join(str(name).split())
    text = shown(text if len(text) <= most else f"{text[: most - 1]}…")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(figure: go.Figure, *, height: int) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        dragmode=False,
        modebar={"bgcolor": "rgba(0,0,0,0)"},
    )
    return figure


def schedule(table: pd.DataFrame, *, epochs: int, words: tuple[str, str, str]) -> go.Figure:
    """Lines of learning rates over epochs, one a column of `table`; gaps where a group does not learn.

    `words`: names of the two axes and of the group without a name.
    """
    epoch, rate, network = words
    figure = go.Figure()
    for number, name in enumerate(table.columns):
        title = shorten(str(name) or network)
        color = PALETTE[number % len(PALETTE)]
        figure.add_scatter(
            x=table.index.to_numpy(), y=table[name].to_numpy(), name=title, mode="lines", connectgaps=False,
            line={"width": 2, "color": color}, hovertemplate=f"{title}: %{{y:.3~g}}<extra></extra>",
        )  # fmt: skip
    highest = float(table.max().max()) if len(table.columns) else 1.0
    starts = table.max()
    wide = len(table.columns) > 1 and highest / max(float(starts[starts > 0].min()), 1e-12) > 30
    figure.update_layout(
        height=220, margin={"l": 8, "r": 8, "t": 8, "b": 8}, hovermode="x unified", showlegend=len(table.columns) > 1,
        legend={"orientation": "h", "y": -0.3},
    )  # fmt: skip
    figure.update_xaxes(title=epoch, range=[0, epochs], fixedrange=True)
    figure.update_yaxes(title=rate, rangemode="tozero", exponentformat="power", fixedrange=True)
    if wide:
        low = float(starts[starts > 0].min())
        figure.update_yaxes(type="log", range=[_log10(low / 20), _log10(highest * 1.6)], rangemode="normal", dtick=1)
    return figure


def traces(table: pd.DataFrame, *, log: bool, share: bool, step: str) -> go.Figure:
    """Lines over steps, one a column of `table`; zeros have no place on a `log` axis and leave a gap there."""
    figure = go.Figure()
    for number, name in enumerate(table.columns):
        column = table[name].where(table[name] > 0) if log else table[name]
        title = shorten(str(name))
        figure.add_scatter(
            x=table.index.to_numpy(), y=column.to_numpy(), name=title, mode="lines+markers" if len(table) < 30 else "lines",
            marker={"size": 5}, line={"width": 2, "color": PALETTE[number % len(PALETTE)]},
            hovertemplate=f"{title}: %{{y:{'.2%' if share else '.3~g'}}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        height=260, margin={"l": 8, "r": 8, "t": 8, "b": 8}, hovermode="x unified", legend={"orientation": "h", "y": -0.25}
    )
    figure.update_xaxes(title=step, fixedrange=True)
    figure.update_yaxes(fixedrange=True, rangemode="normal" if log else "tozero", exponentformat="power")
    if share:
        figure.update_yaxes(tickformat="~%")
    if log:
        figure.update_yaxes(type="log")
    return figure


def rate_test(
    rates: Sequence[float],
    losses: Sequence[float],
    smooth: Sequence[float],
    suggestion: float | None,
    *,
    words: tuple[str, str],
) -> go.Figure:
    """Losses over learning rates, raw and smoothed, with a line at the rate that is proposed. `words`: rate and loss."""
    rate, loss = words
    figure = go.Figure()
    figure.add_scatter(
        x=list(rates), y=list(losses), mode="lines", line={"width": 1, "color": COLD}, opacity=0.35, hoverinfo="skip"
    )
    figure.add_scatter(
        x=list(rates), y=list(smooth), mode="lines", line={"width": 2.4, "color": COLD},
        hovertemplate=f"{rate} %{{x:.1e}}<br>{loss} %{{y:.3~g}}<extra></extra>",
    )  # fmt: skip
    if suggestion is not None:
        figure.add_vline(x=suggestion, line={"width": 2, "color": WARM})
    finite = [value for value in smooth if math.isfinite(value)]
    figure.update_layout(height=240, margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=False)
    figure.update_xaxes(title=rate, type="log", exponentformat="power", fixedrange=True)
    figure.update_yaxes(title=loss, fixedrange=True)
    if finite:
        low, first = min(finite), finite[0]
        figure.update_yaxes(range=[low - 0.1 * abs(first - low) - 0.02, first + 0.8 * max(first - low, 0.1)])
    return figure


def rate_sweep(
    lines: Mapping[str, Sequence[tuple[float, float | None]]],
    best: float | None,
    level: float | None,
    *,
    words: tuple[str, str, str],
) -> go.Figure:
    """Accuracies over learning rates, a line for each name; one that went astray leaves a gap. `best`: a rate to mark.

    `level`: an accuracy that needs no rate. `words`: rate, accuracy, and what that level is.
    """
    rate, accuracy, formula = words
    figure = go.Figure()
    for number, (name, points) in enumerate(lines.items()):
        figure.add_scatter(
            x=[at for at, _ in points], y=[reached for _, reached in points], name=shorten(name), mode="lines",
            line={"width": 2.4, "color": COLD if len(lines) == 1 else PALETTE[number % len(PALETTE)]},
            hovertemplate=f"{rate} %{{x:~g}}<br>{accuracy} %{{y:.1%}}<extra></extra>",
        )  # fmt: skip
    seen = [reached for points in lines.values() for _, reached in points if reached is not None]
    low, high = min([*seen, level or 1.0]), max([*seen, level or 0.0])
    room = max(high - low, 0.05) * 0.1
    if level is not None:
        figure.add_hline(y=level, line={"width": 1.5, "dash": "dot", "color": PALETTE[2]})
        figure.add_annotation(
            xref="paper", x=0.01, xanchor="left", y=level, yanchor="top" if 2 * level > low + high else "bottom",
            text=formula, showarrow=False,
        )  # fmt: skip
    if best is not None:
        figure.add_vline(x=best, line={"width": 2, "color": WARM})
    figure.update_layout(height=240, margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=len(lines) > 1)
    figure.update_xaxes(title=rate, type="log", dtick=1, tickformat="~g", fixedrange=True)
    figure.update_yaxes(
        title=accuracy, tickformat="~%", range=[max(0.0, low - room), min(1.0, high) + room], fixedrange=True
    )
    return figure


def _log10(value: float) -> float:
    return math.log10(max(value, 1e-15))
