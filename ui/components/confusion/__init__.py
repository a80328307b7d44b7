"""The confusion matrix as a table of buttons: rows are what pictures show, columns what the model said; a click says which.

Knows counts and names; nothing of pictures. Of many classes it shows those that are confused most.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import streamlit as st

MOST = 25
"""More classes than this do not fit on a screen."""
SHOWN = 20
"""Of more than `MOST` classes so many are shown."""
PAIRS = 6

HERE = Path(__file__).parent
HTML = """
<div class="scroll"><table></table></div>
<p class="note" role="status"></p>
<div class="pairs" role="group"></div>
"""
_mount = st.components.v2.component(
    "thaw_confusion",
    html=HTML,
    css=(HERE / "confusion.css").read_text("utf-8"),
    js=(HERE / "confusion.js").read_text("utf-8"),
)

Cell = tuple[int, int]
"""(class of the picture, class that the model named), as indices."""


def confusion(
    counts: Sequence[Sequence[int]],
    classes: Sequence[str],
    *,
    key: str,
    words: Mapping[str, str],
    chosen: Cell | None = None,
    on_open: Callable[[Cell], None],
) -> None:
    """Show `counts[i][j]`, the pictures of class i called class j, and mark `chosen`.

    `on_open` is told the cell that was clicked, before the run that follows.
    `words`: `corner_true`, `corner_said`, `cell`, `cell.one`, `shown`, `pairs`, `pair`, `label`.
    """

    def opened() -> None:
        cell = checked(st.session_state[key].cell, len(classes))
        if cell is not None:
            on_open(cell)

    _mount(
        key=key,
        data={
            "classes": list(classes),
            "counts": [list(row) for row in counts],
            "shown": most_confused(counts),
            "pairs": worst_pairs(counts),
            "chosen": list(chosen) if chosen else None,
            "words": dict(words),
        },
        on_cell_change=opened,
    )


def most_confused(counts: Sequence[Sequence[int]]) -> list[int]:
    """Indices of the classes to show, in their order: all, or the `SHOWN` that take part in most mistakes."""
    size = len(counts)
    if size <= MOST:
        return list(range(size))
    wrong = [sum(counts[i][j] + counts[j][i] for j in range(size) if j != i) for i in range(size)]
    return sorted(sorted(range(size), key=lambda i: (-wrong[i], i))[:SHOWN])


def worst_pairs(counts: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """(class, named, pictures) of the most frequent mistakes, the worst first."""
    wrong = [(i, j, n) for i, row in enumerate(counts) for j, n in enumerate(row) if i != j and n > 0]
    return sorted(wrong, key=lambda pair: (-pair[2], pair[0], pair[1]))[:PAIRS]


def checked(cell: object, size: int) -> Cell | None:
    """What the browser says is a wish: a cell that exists, or None."""
    if isinstance(cell, list) and len(cell) == 2 and all(type(at) is int and 0 <= at < size for at in cell):
        return cell[0], cell[1]
    return None
