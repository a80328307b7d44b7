"""What a model says about one picture: the picture, and a bar for each class it thinks of. Names are plain text.

Knows a picture's address and numbers; nothing of models.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw_answer",
    html='<div class="answers"></div>\n',
    css=(HERE / "answer.css").read_text("utf-8"),
    js=(HERE / "answer.js").read_text("utf-8"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One picture and what is said of it."""

    url: str
    """A path of this server or a data URL."""
    alt: str
    title: str = ""
    """Such as the name of the file."""
    note: str = ""
    bars: tuple[tuple[str, float], ...] = ()
    """(class, probability in [0, 1]), the likeliest first."""
    truth: str = ""
    """The class it really has, if that is known: its bar is marked."""
    tone: Literal["", "good", "bad"] = ""
    caption: str = ""
    """A line under the picture."""
    grain: bool = False
    """Show the pixels of a small picture as squares: it is what the model sees."""


def answer(answers: Sequence[Answer], *, key: str, label: str, side: int = 220) -> None:
    """Show `answers`, each with its picture of at most `side` pixels. `label` names the list for a screen reader."""
    _mount(key=key, data={"answers": [asdict(one) for one in answers], "label": label, "side": side})
