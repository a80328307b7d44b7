"""Chosen runs side by side: their curves in one chart, their figures, and only those settings that differ."""

from typing import Any

import pandas as pd
import streamlit as st

from core.recipe import augment_name
from core.run import Run
from ui import charts, outcomes, services, state
from ui.names import shown
from ui.parts import learned, run_rows
from ui.text import duration, has, percent, set_title, strategy, t, version

CURVES = ("val_accuracy", "train_accuracy", "val_loss", "train_loss")


def show(chosen: list[Run]) -> None:
    """The comparison; a hint with one run, nothing with none."""
    if not chosen:
        return
    with st.container(border=True, key=state.key("runs", "compare")):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader(t("runlist.compare", n=len(chosen)), anchor=False)
            st.button(
                t("runlist.clear"),
                key=state.key("runs", "clear"),
                type="tertiary",
                icon=":material/close:",
                on_click=run_rows.clear,
            )
        if len(chosen) == 1:
            st.caption(t("runlist.compare.more"))
            return
        if len({run.recipe.dataset for run in chosen}) > 1:
            st.caption(f":orange[:material/warning:] {t('runlist.compare.other_data')}")
        left, right = st.columns([3, 2], gap="large")
        with left:
            _curves(chosen)
        with right:
            _figures(chosen)
            _settings(chosen)


def labels(chosen: list[Run]) -> list[str]:
    """A name for each run; where two have the same, the end of the id tells them apart."""
    names = [shown(run.name) for run in chosen]
    return [name if names.count(name) == 1 else f"{name} ({run.id[-4:]})" for run, name in zip(chosen, names, strict=True)]


def _curves(chosen: list[Run]) -> None:
    curve = st.segmented_control(
        t("runlist.curve"),
        CURVES,
        default=CURVES[0],
        required=True,
        key=state.key("runs", "curve"),
        format_func=lambda code: t(f"runlist.curve.{code}"),
        label_visibility="collapsed",
    )
    tables = {
        label: charts.curve_table([epoch.model_dump() for epoch in outcomes.run_state(run.id).epochs], CURVES)
        for label, run in zip(labels(chosen), chosen, strict=True)
    }
    drawn = charts.curves_chart(
        tables,
        curve,
        {"epoch": t("results.epochs"), "value": t(f"runlist.curve.{curve}")},
        share=curve.endswith("accuracy"),
    )
    learned.whole_epochs(drawn, max(len(table) for table in tables.values()))
    alt = t("runlist.curve.alt", n=len(chosen), what=t(f"runlist.curve.{curve}"))
    st.plotly_chart(drawn, key=state.key("runs", "curves"), config={"displayModeBar": False}, alt=alt)


def _figures(chosen: list[Run]) -> None:
    st.dataframe(figures(chosen), key=state.key("runs", "figures"), alt=t("runlist.figures.alt"))


def figures(chosen: list[Run]) -> pd.DataFrame:
    """One row a figure, one column a run: how good, after how much learning; and, where one was, that it was changed."""
    states = [outcomes.run_state(run.id) for run in chosen]
    rows = {
        t("runlist.fact.test"): [percent(run.test_accuracy) for run in chosen],
        t("runlist.fact.val"): [percent(run.best_val_accuracy) for run in chosen],
        t("runlist.fact.time"): [duration(run.seconds) for run in chosen],
        t("runlist.fact.learned"): [f"{now.epochs_learned:.3g}" for now in states],
    }
    if any(now.edited for now in states):
        rows[t("runlist.fact.edited")] = [t("runlist.yes" if now.edited else "runlist.no") for now in states]
    return pd.DataFrame(rows, index=pd.Index(labels(chosen))).T


def _settings(chosen: list[Run]) -> None:
    """Only what is not the same everywhere."""
    table = settings(chosen)
    if table.empty:
        st.caption(t("runlist.same"))
        return
    st.caption(t("runlist.differences"))
    st.dataframe(table, key=state.key("runs", "settings"), alt=t("runlist.differences"))


def settings(chosen: list[Run]) -> pd.DataFrame:
    """One row a setting that differs, one column a run, both in words."""
    found = outcomes.differences([run.recipe for run in chosen])
    augments = [augment_name(run.recipe.augment) for run in chosen]
    if "custom" not in augments and len(set(augments)) > 1:  # named sets of changes are told by their names
        found = {field: values for field, values in found.items() if not field.startswith("augment.")} | {
            "augment": augments
        }
    rows = {_field(field): [_value(field, value) for value in values] for field, values in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=labels(chosen), dtype=object)


def _field(field: str) -> str:
    """What a setting is called where it is set."""
    if field.startswith("augment."):
        return t("runlist.field.detail", whole=t("train.set.augment"), part=t(field.replace("augment.", "augment.set.")))
    known = (f"{place}.{field}" for place in ("train.set", "data.divide", "runlist.field"))
    return next((t(key) for key in known if has(key)), field)


def _value(field: str, value: Any) -> str:
    """What a value is called where it is set; names that people gave as they are."""
    if field == "rules":
        return _rules(value)
    if field == "strategy":
        return strategy(value)
    if field == "dataset":
        name = set_title(value, services.dataset_name(value)) or str(value)
        return f"{name} ({version(value.partition('@')[2])})" if "@" in value else name
    if value is None:
        return "–"
    if isinstance(value, bool):
        return t("runlist.yes" if value else "runlist.no")
    if isinstance(value, float):
        return f"{value:g}"
    known = (f"train.set.{field}.{value}", f"{field}.{value}")
    return next((t(key) for key in known if has(key)), str(value))


def _rules(rules: list[dict[str, Any]]) -> str:
    """Rules on the tree in one line: layer1 frozen, layer4 ×0.1."""
    said = []
    for rule in rules:
        parts = []
        if rule["trainable"] is not None:
            parts.append(t("runlist.learns" if rule["trainable"] else "runlist.frozen"))
        if rule["lr_scale"] is not None:
            parts.append(f"×{rule['lr_scale']:g}")
        told = {"adapter": rule["adapter"], "pull": rule["pull"], "since": rule["since"] if rule["since"] > 1 else None}
        parts += [t(f"runlist.rule.{name}", value=f"{value:g}") for name, value in told.items() if value is not None]
        said.append(f"{rule['path'] or t('runlist.network')} {' '.join(parts)}")
    return t("unit.comma").join(said) or "–"
