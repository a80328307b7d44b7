"""Where the pages are and how one leads to the next. Knows their names, icons and order; nothing of what they show."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn

import streamlit as st

from ui import services, state
from ui.text import t

ICONS = {
    "start": ":material/home:",
    "data": ":material/photo_library:",
    "model": ":material/account_tree:",
    "train": ":material/local_fire_department:",
    "results": ":material/fact_check:",
    "runs": ":material/history:",
    "try_it": ":material/center_focus_strong:",
    "admin": ":material/shield_person:",
}
"""The pages in the order of the work: name of the module in `ui/pages`, also its address, and its icon. The last one is for
admins, where people sign in; to others it is unknown."""


def pages() -> dict[str, Any]:
    """A Streamlit page for each name, titled in the current language; addresses stay the same in both."""
    return {
        name: st.Page(
            _show(name),
            title=t(f"nav.{name}"),
            icon=icon,
            url_path=name.replace("_", "-"),
            help=t(f"nav.{name}.help"),
            default=name == "start",
        )
        for name, icon in ICONS.items()
        if name != "admin" or services.administers()
    }


def go(name: str) -> NoReturn:
    """Leave for another page; the open run travels along in the address."""
    st.switch_page(pages()[name], query_params=state.address())


def next_step(name: str, label: str, *, key: str, disabled: bool = False, why: str = "", anew: bool = False) -> None:
    """The one clear way on, always in sight at the foot of the page; beside it the reason where it cannot be pressed.

    `anew` leaves the open run: whoever has just chosen a model wants to train that one, not to look at an older run.
    """
    with (
        st.bottom,
        st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key=f"{key}.row"),
    ):
        if disabled and why:
            st.caption(why, width="content")
        if st.button(
            label, key=key, type="primary", icon=":material/arrow_forward:", icon_position="right", disabled=disabled
        ):
            if anew:
                state.show_run(None)
            go(name)


def _show(name: str) -> Callable[[], None]:
    def show() -> None:
        state.enter(name)
        if find_spec(f"ui.pages.{name}") is not None:
            import_module(f"ui.pages.{name}").show()

    return show
