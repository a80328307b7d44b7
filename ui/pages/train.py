"""The Train page."""

import streamlit as st

from ui.text import t


def show() -> None:
    """Draw the page."""
    st.title(t("nav.train"))
