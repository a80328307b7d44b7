"""The sets to choose from: demos that need no network, and what lies in the workspace, as cards with a contact sheet."""

import streamlit as st

from core.dataset import Dataset
from core.errors import ThawError
from ui import services, state
from ui.components.cards import Card, cards
from ui.parts import intake, notes
from ui.text import count, has, listed, moment, plain, set_title, t

SHEET = 12
"""Pictures on a card."""


def show() -> None:
    """The cards; the one picked becomes the draft's data set."""
    items, missing = [], False
    for dataset_id in (*services.dataset_ids(), *services.demo_ids()):
        found = services.dataset_if_ready(dataset_id, at_once=False)
        missing |= found is None
        items.append(card(dataset_id, found))
    chosen = state.recipe().dataset.partition("@")[0]
    cards(
        items,
        key=state.key("data", "shelf"),
        label=t("data.shelf"),
        chosen=chosen,
        width=230,
        height=620 if len(items) > 8 else 0,
        on_pick=_pick,
    )
    if missing:
        _wait()


def card(dataset_id: str, found: Dataset | None) -> Card:
    """What one set looks like before it is chosen. A demo that is still being painted has no pictures yet."""
    demo = dataset_id.removeprefix("demo:") if dataset_id.startswith("demo:") else ""
    title = set_title(dataset_id, found.name if found else dataset_id)
    story = t(f"demo.{demo}.story") if has(f"demo.{demo}.story") else ""
    if found is None:
        return Card(dataset_id, title, story, badges=((t("data.shelf.painting"), ""),), disabled=True)
    facts = (
        (t("data.fact.images"), count(len(found.items))),
        (t("data.fact.classes"), count(len(found.classes))),
    )
    story = story or listed(found.classes, 8)
    badge = (t("data.shelf.demo"), "cold") if demo else (t("data.shelf.added", when=moment(found.created)), "")
    return Card(dataset_id, title, story, facts=facts, badges=(badge,), images=sheet(dataset_id, found))


def sheet(dataset_id: str, found: Dataset, many: int = SHEET) -> tuple[str, ...]:
    """Addresses of a few pictures, the classes by turns."""
    by_class: dict[int, list[str]] = {}
    for item in found.items:
        row = by_class.setdefault(item.label, [])
        if len(row) < many:
            row.append(item.sha256)
    rows = [by_class[label] for label in sorted(by_class)]
    turns = [row[turn] for turn in range(many) for row in rows if turn < len(row)]
    return tuple(services.thumb_url(dataset_id, sha256, 96) for sha256 in turns[:many])


def removal(dataset_id: str, found: Dataset) -> None:
    """A button that asks before it deletes a set."""
    if st.button(t("data.delete"), key=state.key("data", "delete"), type="tertiary", icon=":material/delete:"):
        _confirm(dataset_id, found)


def _confirm(dataset_id: str, found: Dataset) -> None:
    @st.dialog(t("data.delete.title"), icon=":material/delete:")
    def ask() -> None:
        st.markdown(t("data.delete.ask", name=plain(found.name), n=len(found.items)))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button(t("data.delete.no"), key=state.key("data", "delete-no")):
                st.rerun()
            if st.button(t("data.delete.yes"), key=state.key("data", "delete-yes"), type="primary"):
                _delete(dataset_id)
                st.rerun()

    ask()


def _delete(dataset_id: str) -> None:
    try:
        services.delete_dataset(dataset_id)
    except ThawError as error:
        state.refuse("dataset", error)
    else:
        state.edit(dataset="")


def _pick(dataset_id: str) -> None:
    try:
        intake.choose(dataset_id)
    except ThawError as error:
        state.refuse("dataset", error)


@st.fragment(run_every=0.6)
def _wait() -> None:
    if all(services.dataset_if_ready(one, at_once=False) is not None for one in services.demo_ids()):
        st.rerun()
    notes.waiting(t("data.shelf.wait"))
