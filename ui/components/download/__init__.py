"""A link that looks like a button and fetches a file from one of our own routes: nothing passes through Streamlit."""

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw_download",
    html='<a class="button"><span></span><small></small></a>\n',
    css=(HERE / "download.css").read_text("utf-8"),
    js=(HERE / "download.js").read_text("utf-8"),
)


def download(label: str, url: str, *, key: str, note: str = "", file_name: str = "", primary: bool = False) -> None:
    """Show the link. `note` stands small beside the label (a size); `file_name` is proposed where the route names none."""
    data = {"label": label, "url": url, "note": note, "file_name": file_name, "primary": primary}
    _mount(key=key, data=data)
