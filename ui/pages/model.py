"""Model: choose a backbone and what it starts from, then which of its blocks learn."""

import streamlit as st

from core.errors import ThawError
from ui import drafting, navigation, services, state
from ui.parts import backbones, notes, tree
from ui.text import t


def show() -> None:
    """Draw the page."""
    notes.lead("model.title", "model.lead")
    with st.spinner(t("model.reading")):
        failed = _ready()
    if failed is not None:
        notes.failure(failed, key=state.key("model", "gone"), button=t("model.first"), on_click=_first)
        return
    left, right = st.columns([5, 3], gap="large")
    with left:
        st.subheader(t("model.gallery"), anchor=False)
        backbones.gallery()
    with right:
        backbones.chosen()
    tree.show()
    tree.await_costs()
    navigation.next_step("train", t("model.next"), key=state.key("model", "next"), anew=True)


def _ready() -> ThawError | None:
    """Read the chosen network once; the first time takes seconds, later it comes from the workspace."""
    try:
        services.backbones()
        services.backbone(state.recipe().backbone)
        services.tree(state.recipe())
    except ThawError as error:
        return error
    return None


def _first() -> None:
    state.replace(drafting.with_backbone(state.recipe(), services.FIRST_BACKBONE))
