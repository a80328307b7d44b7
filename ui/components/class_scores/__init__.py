"""Class by class in words: of so many pictures the model found so many. Sorted by a click on a heading; a row can be picked.

Names of classes are data and shown as plain text. Knows numbers; nothing of pictures.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import streamlit as st

from core.events import ClassScore
from ui.names import shown

HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw_class_scores",
    html='<div class="scroll"><table></table></div>\n',
    css=(HERE / "class_scores.css").read_text("utf-8"),
    js=(HERE / "class_scores.js").read_text("utf-8"),
)


def class_scores(
    scores: Sequence[ClassScore],
    *,
    key: str,
    words: Mapping[str, str],
    chosen: int | None = None,
    height: int = 0,
    on_pick: Callable[[int], None],
) -> None:
    """Show one row a class and mark `chosen`; `on_pick` is told the index of a row, before the run that follows.

    `words`: `label`, and for each column a heading and a help (`class`, `recall`, `precision`, `f1`, `support`, `….help`);
    `found`, `found_none`, `right`, `right_none`, `missed`. Beyond `height` pixels (0: no limit) the rows scroll.
    """

    def picked() -> None:
        row = st.session_state[key].picked
        if type(row) is int and 0 <= row < len(scores):
            on_pick(row)

    _mount(
        key=key,
        data={
            "rows": [
                [shown(one.name), one.support, one.found, one.predicted, one.recall, one.precision, one.f1] for one in scores
            ],
            "chosen": chosen,
            "words": dict(words),
            "height": height,
        },
        on_picked_change=picked,
    )
