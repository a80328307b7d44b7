"""Data: bring or choose a set of pictures, look at what is in it, divide it."""

import streamlit as st

from core.dataset import Dataset
from core.errors import ThawError
from ui import navigation, services, state
from ui.parts import broken, divide, examine, intake, look, notes, shelf
from ui.text import plain, set_title, t


def show() -> None:
    """Draw the page."""
    notes.lead("data.title", "data.lead")
    own, ready = st.columns([2, 3], gap="large")
    with own.container(border=True, key=state.key("data", "bring")):
        st.subheader(t("data.bring"), anchor=False)
        intake.show()
    with ready:
        st.subheader(t("data.shelf"), anchor=False)
        shelf.show()
        notes.at_field("dataset")
    data = _chosen()
    if data is not None:
        _look(state.recipe().dataset, data)
    importing = services.running_import() is not None
    navigation.next_step(
        "model",
        t("data.next"),
        key=state.key("data", "next"),
        disabled=data is None or importing,
        why=t("data.next.importing" if importing else "data.next.why"),
    )


def _chosen() -> Dataset | None:
    """The data set of the draft; a set that is gone is said and dropped from the draft."""
    wanted = state.recipe().dataset
    if not wanted:
        return None
    try:
        return services.dataset(wanted)
    except ThawError as error:
        notes.failure(error, key=state.key("data", "gone"))
        state.edit(dataset="")
        return None


def _look(dataset_id: str, data: Dataset) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.header(plain(set_title(dataset_id, data.name)), anchor=False, width="content")
        if data.demo is None and services.may_delete_dataset(data.id):
            shelf.removal(data.id, data)
    if data.demo is not None:
        look.lesson(data.demo)
    look.figures(dataset_id, data)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader(t("data.samples"), anchor=False)
        look.samples(dataset_id, data)
    with right:
        st.subheader(t("data.counts"), anchor=False)
        look.class_counts(data)
        st.subheader(t("data.problems"), anchor=False)
        look.problems(data)
    if data.skipped:
        st.subheader(t("data.skipped"), anchor=False)
        broken.show(dataset_id, data)
        look.remains(data)
        look.skipped(data.skipped, key=state.key("data", "skipped"))
    with st.container(border=True, key=state.key("data", "check")):
        examine.show(dataset_id, data)
    with st.container(border=True, key=state.key("data", "divide")):
        st.subheader(t("data.divide"), anchor=False)
        divide.show(data)
