"""Admin: for those who keep the machine. The queue, the people, and what was done."""

import streamlit as st

from core.errors import ThawError
from ui import services, state
from ui.parts import diary, members, notes, queue, restart
from ui.text import t

AREAS = {
    "queue": (queue.show, ":material/format_list_numbered:"),
    "people": (members.show, ":material/group:"),
    "log": (diary.show, ":material/edit_note:"),
}


def show() -> None:
    """Draw the page."""
    notes.lead("admin.title", "admin.lead")
    try:
        services.access().check_keeps()
    except ThawError as error:
        notes.failure(error, key=state.key("admin", "refused"))
        return
    area = st.segmented_control(
        t("admin.area"),
        list(AREAS),
        default="queue",
        required=True,
        key=state.key("admin", "area"),
        format_func=lambda name: f"{AREAS[name][1]} {t(f'admin.{name}')}",
        label_visibility="collapsed",
    )
    AREAS[area or "queue"][0]()
    with st.container(horizontal_alignment="right", key=state.key("admin", "restart")):
        restart.offer("admin")
