"""Who is signed in, and the button that ends it: a form that posts to our route, for a page's script can set no cookie."""

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw_person",
    html='<form method="post"><span></span><button></button></form>\n',
    css=(HERE / "person.css").read_text("utf-8"),
    js=(HERE / "person.js").read_text("utf-8"),
)


def person(name: str, *, title: str, action: str, url: str, key: str) -> None:
    """Show `name` (`title` when pointed at) and a button called `action` that posts to `url`."""
    _mount(key=key, data={"name": name, "title": title, "action": action, "url": url}, width="content")
