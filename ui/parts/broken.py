"""Photos that break off: what can be seen of each, and the choice to keep it. They are left out unless a person does."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from core.dataset import Dataset, Item, Skipped
from core.errors import ThawError
from ui import examining, services, state
from ui.components.gallery import Picture, gallery
from ui.names import shown
from ui.parts import notes
from ui.text import count, percent, plain, t

ON_A_PAGE = 6


def show(dataset_id: str, data: Dataset) -> None:
    """A card for each of them; nothing if there are none."""
    found = list(data.parts())
    notes.at_field("broken")
    if not found:
        return
    st.markdown(t("data.broken.lead", n=len(found)))
    mine = examining.may_decide(dataset_id)
    if not mine:
        st.caption(f":material/lock: {t('data.broken.not_yours')}")
    elif len(found) > 1:
        st.button(
            t("data.broken.keep_all", n=count(len(found))),
            key=state.key("data", "broken-all"),
            on_click=partial(_keep, dataset_id, tuple(item.sha256 for _, item in found)),
            icon=":material/done_all:",
        )
    pages = -(-len(found) // ON_A_PAGE)
    page_key = state.key("data", "broken-page")
    if state.value(page_key, 1) > pages:
        state.follow(page_key, pages)
    place = st.container()
    with st.container(horizontal_alignment="center"):
        page = st.pagination(pages, key=page_key) if pages > 1 else 1
    with place, st.grid(3, min_column_width=270, gap="small"):
        for one, item in found[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]:
            with st.container(border=True, key=state.key("data", "broken", item.sha256[:16])):
                _card(dataset_id, data, one, item, mine)


def _card(dataset_id: str, data: Dataset, one: Skipped, item: Item, mine: bool) -> None:
    share = one.part.share if one.part else 1.0
    seen = t("data.broken.share", share=percent(share, 0)) if share < 1 else t("data.broken.coarse")
    gallery(
        [Picture(services.remains(data, one), shown(one.name), seen)],
        key=state.key("data", "broken-picture", item.sha256[:16]),
        label=t("data.broken.label"),
        side=132,
        fit="contain",
    )
    st.markdown(t("examine.filed", label=f"**{plain(data.classes[item.label])}**"))
    st.button(
        t("data.broken.keep"),
        key=state.key("data", "broken-keep", item.sha256[:16]),
        on_click=partial(_keep, dataset_id, (item.sha256,)),
        icon=":material/add_photo_alternate:",
        disabled=not mine,
    )


def _keep(dataset_id: str, images: Sequence[str]) -> None:
    state.forgive("broken")
    try:
        examining.make(dataset_id, "keep", images)
    except ThawError as error:
        state.refuse("broken", error)
