"""Pictures in a grid, loaded as they scroll into view; a click says which one. Captions are data and shown as plain text."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw_gallery",
    html='<div class="gallery"></div>\n<p class="none" hidden></p>\n',
    css=(HERE / "gallery.css").read_text("utf-8"),
    js=(HERE / "gallery.js").read_text("utf-8"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One tile. `url` is a path of this server (`services.thumb_url`) or a data URL."""

    url: str
    caption: str = ""
    note: str = ""
    """A second, quieter line."""
    tone: Literal["", "good", "bad"] = ""
    """Colour of the frame; never the only sign of what it means."""
    alt: str = ""
    """For a screen reader; the caption if empty."""


def gallery(
    pictures: Sequence[Picture],
    *,
    key: str,
    label: str,
    side: int = 96,
    fit: Literal["cover", "contain"] = "cover",
    clickable: bool = False,
    rows: int = 0,
    empty: str = "",
) -> int | None:
    """Show `pictures` as tiles of about `side` pixels; the index of the one clicked, in the run after the click.

    `label` names the grid for a screen reader, `rows` limits the height (the rest scrolls; 0: no limit), `empty` is said
    when there is nothing to show.
    """
    clicked = _mount(
        key=key,
        data={
            "pictures": [asdict(picture) for picture in pictures],
            "label": label,
            "side": side,
            "fit": fit,
            "clickable": clickable,
            "rows": rows,
            "empty": empty,
        },
        on_clicked_change=lambda: None,
    ).clicked
    return clicked if type(clicked) is int and 0 <= clicked < len(pictures) else None
