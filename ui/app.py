"""The Streamlit script: page setup, the frame that all pages share, and navigation. Runs at every rerun of every tab.

Started by `ui/server.py`, which owns the engine; started alone it says so and stops.
"""

from pathlib import Path

import streamlit as st

from ui import frame, navigation, services
from ui.text import t

ASSETS = Path(__file__).resolve().parent.parent / "assets"


def main() -> None:
    """Draw the frame and the page that the address names."""
    st.set_page_config(page_title="Thaw", page_icon=str(ASSETS / "favicon.png"), layout="wide")
    if not services.is_open():
        st.title(t("app.alone.title"))
        st.text(t("app.alone.remedy"))
        return
    st.logo(str(ASSETS / "logo.svg"), size="large")
    page = st.navigation(list(navigation.pages().values()), position="top")
    frame.header(page.url_path)
    page.run()
    frame.footer()


if __name__ == "__main__":
    main()
