"""Looking at a data set: how many pictures of each class, what they look like, what was left out and why."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.dataset import Dataset, Item, Skipped
from core.errors import ThawError
from ui import charts, services, state
from ui.components.gallery import Picture, gallery
from ui.names import shown
from ui.parts import notes
from ui.text import count, listed, percent, plain, said_cause, said_remedy, size, t

ALL = -1
SAMPLES = 24


def lesson(demo: str) -> None:
    """What a demo is about, what it teaches, and whose its images are."""
    owner = t("data.demo.digits") if demo == "digits" else t("data.demo.ours")
    st.markdown(t(f"demo.{demo}.story"))
    st.markdown(f":material/school: {t(f'demo.{demo}.lesson')}")
    st.caption(t("data.demo.licence", licence=owner))


def figures(dataset_id: str, data: Dataset) -> None:
    """The set in four numbers."""
    sizes = sorted((item.width, item.height) for item in data.items)
    middle = sizes[len(sizes) // 2]
    bytes_total = services.dataset_bytes(dataset_id)
    with st.grid(4, min_column_width=150, gap="small"):
        st.metric(t("data.fact.images"), count(len(data.items)), border=True)
        st.metric(t("data.fact.classes"), count(len(data.classes)), border=True, help=listed(map(plain, data.classes), 30))
        st.metric(t("data.fact.side"), f"{middle[0]} × {middle[1]}", border=True, help=t("data.fact.side.help"))
        st.metric(t("data.fact.bytes"), size(bytes_total), border=True)


def class_counts(data: Dataset) -> None:
    """Bars of images per class and split."""
    try:
        counts = services.split_counts(state.recipe())
    except ThawError as error:
        notes.failure(error, key=state.key("data", "counts-failed"))
        return
    table = charts.class_table(counts, data.classes)
    figure = charts.class_chart(
        table,
        {"images": t("data.fact.images"), "class": ""},
        split_names={split: t(f"split.{split}") for split in charts.SPLITS},
    )
    smallest, largest = table["total"].idxmin(), table["total"].idxmax()
    alt = t(
        "data.counts.alt",
        n=len(table),
        least=shown(str(smallest)),
        least_count=int(table["total"].min()),
        most=shown(str(largest)),
        most_count=int(table["total"].max()),
    )
    st.plotly_chart(figure, key=state.key("data", "counts"), config={"displayModeBar": False}, alt=alt)
    st.caption(t("data.counts.caption"))


def samples(dataset_id: str, data: Dataset) -> None:
    """Pictures of all classes by turns, or of one."""
    widget = state.key("data", "class")
    if state.value(widget, ALL) not in range(ALL, len(data.classes)):
        state.follow(widget, ALL)
    chosen = st.selectbox(
        t("data.samples.class"),
        range(ALL, len(data.classes)),
        key=widget,
        format_func=lambda label: t("data.samples.all") if label == ALL else shown(data.classes[label]),
        width=320,
    )
    items = by_turns(data) if chosen == ALL else [item for item in data.items if item.label == chosen]
    pages = max(1, -(-len(items) // SAMPLES))
    page_key = state.key("data", "page")
    if state.value(page_key, 1) > pages:
        state.follow(page_key, 1)
    place = st.container()
    with st.container(horizontal_alignment="center"):
        page = st.pagination(pages, key=page_key) if pages > 1 else 1
    there = items[(page - 1) * SAMPLES : page * SAMPLES]
    with place:
        gallery(
            [
                Picture(services.thumb_url(dataset_id, item.sha256, 192), shown(data.classes[item.label]), shown(item.name))
                for item in there
            ],
            key=state.key("data", "samples"),
            label=t("data.samples"),
            side=108,
        )


def by_turns(data: Dataset) -> list[Item]:
    """The items so that each class comes by turns: one of each, then the second of each."""
    turn: dict[int, int] = {}
    order = []
    for item in data.items:
        turn[item.label] = turn.get(item.label, 0) + 1
        order.append((turn[item.label], item.label))
    return [item for _, item in sorted(zip(order, data.items, strict=True), key=lambda pair: pair[0])]


def problems(data: Dataset) -> None:
    """What was noticed, and how many files were left out."""
    notes.notices(data.notices, key=state.key("data", "notices"))
    if not data.skipped:
        st.markdown(f":green[:material/check_circle:] {t('data.skipped.none')}")
        return
    share = len(data.skipped) / (len(data.skipped) + len(data.items))
    st.markdown(f":orange[:material/report:] {t('data.skipped.some', n=len(data.skipped), share=percent(share))}")


def remains(data: Dataset) -> None:
    """What can be seen of files that were refused, with names and reasons; all others are in the table alone.

    Those of which a person can keep that have cards of their own (`broken`).
    """
    kept = {one.name for one, _ in data.parts()}
    seen = [one for one in data.skipped if one.remains and one.name not in kept][:SAMPLES]
    if seen:
        gallery(
            [Picture(services.remains(data, one), shown(one.name), said_cause(one.code, one.values)) for one in seen],
            key=state.key("data", "remains"),
            label=t("data.skipped"),
            side=108,
            fit="contain",
        )


def skipped(files: Sequence[Skipped], *, key: str) -> None:
    """Files that were kept out, each with its reason and what helps."""
    table = skipped_table(files)
    st.dataframe(
        table,
        key=key,
        hide_index=True,
        row_height=56,
        height=min(56 * len(table) + 39, 320),
        column_config={
            t("data.skipped.file"): st.column_config.TextColumn(width="medium"),
            t("data.skipped.why"): st.column_config.TextColumn(width="large"),
            t("data.skipped.remedy"): st.column_config.TextColumn(width="large"),
        },
        alt=t("data.skipped.alt"),
    )


def skipped_table(files: Sequence[Skipped]) -> pd.DataFrame:
    """One row a file kept out: name, reason, remedy, in words without Markdown."""
    rows = [(shown(one.name), said_cause(one.code, one.values), said_remedy(one.code, one.values)) for one in files]
    return pd.DataFrame(rows, columns=[t("data.skipped.file"), t("data.skipped.why"), t("data.skipped.remedy")])
