"""Starting Thaw anew: a button, where something starts it again and whoever looks may press it; else how by hand."""

import streamlit as st

from core.errors import ThawError
from ui import services, state
from ui.parts import notes
from ui.text import t


def offer(where: str) -> None:
    """The button, or one line; nothing for those who do not keep the machine. `where` tells one place from another."""
    if not services.keeps():
        return
    if not services.may_restart():
        st.caption(f":material/terminal: {t('restart.by_hand')}")
        return
    if st.button(t("restart.go"), key=state.key("restart", where), icon=":material/restart_alt:"):
        _ask()


def _ask() -> None:
    @st.dialog(t("restart.go"), icon=":material/restart_alt:")
    def ask() -> None:
        st.markdown(t("restart.ask"))
        if st.button(t("restart.yes"), key=state.key("restart", "yes"), type="primary"):
            try:
                services.restart()
            except ThawError as error:
                notes.failure(error, key=state.key("restart", "refused"))
                return
            notes.waiting(t("restart.working"))

    ask()
