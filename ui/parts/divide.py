"""Dividing a set into what is learned from, what is watched, and what stays sealed for the end."""

from collections import Counter

import pandas as pd
import streamlit as st

from core.dataset import Dataset
from core.errors import ThawError
from ui import charts, services, state
from ui.names import shown
from ui.parts import notes
from ui.text import count, listed, percent, plain, t


def show(data: Dataset) -> None:
    """Two sliders and a seed, and what they make of each class."""
    given = {item.split for item in data.items if item.split}
    if given:
        names = t("unit.comma").join(t(f"split.{split}") for split in charts.SPLITS if split in given)
        st.caption(f":material/lock: {t('data.divide.given', names=names)}")
    sizes = Counter(item.group for item in data.items if item.group)
    together = sum(size for size in sizes.values() if size > 1)
    if together:
        st.caption(f":material/link: {t('data.divide.together', n=together)}")
    left, right = st.columns([2, 3], gap="large")
    with left:
        _share("val_fraction", disabled="val" in given)
        _share("test_fraction", disabled="test" in given)
        st.number_input(
            t("data.divide.seed"),
            min_value=0,
            max_value=2**32 - 1,
            step=1,
            help=t("data.divide.seed.help"),
            **state.field("split_seed"),
        )
    with right:
        _preview(data)


def _share(name: str, *, disabled: bool) -> None:
    st.slider(
        t(f"data.divide.{name}"),
        min_value=0,
        max_value=50,
        step=1,
        format="%d %%",
        help=t(f"data.divide.{name}.help"),
        disabled=disabled,
        **state.field(name, show=lambda share: round(100 * share), take=lambda per_cent: per_cent / 100),
    )
    notes.at_field(name)


def _preview(data: Dataset) -> None:
    try:
        counts = services.split_counts(state.recipe())
    except ThawError as error:
        notes.failure(error, key=state.key("data", "divide-failed"))
        return
    total = max(1, len(data.items))
    with st.grid(3, min_column_width=120, gap="small"):
        for split in charts.SPLITS:
            number = sum(counts[split].values())
            st.metric(
                t(f"split.{split}"),
                count(number),
                percent(number / total, 0),
                delta_color="off",
                delta_arrow="off",
                border=True,
                help=t(f"split.{split}.help"),
            )
    st.dataframe(
        preview_table(counts, data.classes),
        key=state.key("data", "divide-table"),
        height=min(36 * (len(data.classes) + 1) + 3, 250),
        alt=t("data.divide.alt"),
    )
    if not sum(counts["test"].values()):
        st.caption(f":orange[:material/warning: {t('data.divide.no_test')}]")
    for split in ("val", "test"):
        if without := unseen(counts, data.classes, split):
            said = t(f"data.divide.unseen.{split}", n=len(without), classes=listed(map(plain, without)))
            st.caption(f":orange[:material/warning: {said}]")


def unseen(counts: dict[str, dict[str, int]], classes: tuple[str, ...], split: str) -> list[str]:
    """The classes that learn but of which nothing lies in the `split`; none where nothing at all lies there."""
    there = counts[split]
    return [name for name in classes if counts["train"].get(name) and not there.get(name)] if any(there.values()) else []


def preview_table(counts: dict[str, dict[str, int]], classes: tuple[str, ...]) -> pd.DataFrame:
    """Images per class (rows) and split (columns), named in the current language."""
    table = charts.class_table(counts, classes)[list(charts.SPLITS)]
    table.columns = pd.Index([t(f"split.{split}") for split in charts.SPLITS])
    table.index = table.index.map(shown)
    table.index.name = t("data.fact.class")
    return table
