"""The confusion matrix as a table of buttons: rows are what pictures show, columns what the model said; a click says which.

Knows counts and names; nothing of pictures. Of many classes it shows those that are confused most.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
Count = tuple[int, int, int]
"""A cell and its pictures; one that has none is left out."""


def confusion(
    confused: Sequence[Count],
    classes: Sequence[str],
    *,
    key: str,
    words: Mapping[str, str],
    chosen: Cell | None = None,
    on_open: Callable[[Cell], None],
) -> None:
    """Show `confused`, the pictures of class i called class j, and mark `chosen`. The browser gets what it shows, no more.

    `on_open` is told the cell that was clicked, before the run that follows.
    `words`: `corner_true`, `corner_said`, `cell`, `cell.one`, `shown`, `pairs`, `pair`, `label`.
    """

    def opened() -> None:
        cell = checked(st.session_state[key].cell, len(classes))
        if cell is not None:
            on_open(cell)

    _mount(
        key=key,
        data={**shown(confused, classes), "chosen": list(chosen) if chosen else None, "words": dict(words)},
        on_cell_change=opened,
    )


def shown(confused: Sequence[Count], classes: Sequence[str]) -> dict[str, Any]:
    """What the table shows: `shown`, indices of its classes; their `counts`, row by row; `pairs`; how many classes in `all`.

    `names` and `totals`, the pictures of a class, are by index and hold the classes of the table and of the pairs.
    """
    chosen, pairs = most_confused(confused, len(classes)), worst_pairs(confused)
    place = {at: row for row, at in enumerate(chosen)}
    counts = [[0] * len(chosen) for _ in chosen]
    totals: Counter[int] = Counter()
    for i, j, n in confused:
        totals[i] += n
        if i in place and j in place:
            counts[place[i]][place[j]] = n
    told = sorted({*chosen, *(at for i, j, _ in pairs for at in (i, j))})
    return {
        "shown": chosen,
        "counts": counts,
        "pairs": pairs,
        "all": len(classes),
        "names": {str(at): classes[at] for at in told},
        "totals": {str(at): totals[at] for at in told},
    }


def most_confused(confused: Sequence[Count], size: int) -> list[int]:
    """Indices of the classes to show, in their order: all, or the `SHOWN` that take part in most mistakes."""
    if size <= MOST:
        return list(range(size))
    wrong: Counter[int] = Counter()
    for i, j, n in confused:
        if i != j:
            wrong[i] += n
            wrong[j] += n
    return sorted(sorted(range(size), key=lambda i: (-wrong[i], i))[:SHOWN])


def worst_pairs(confused: Sequence[Count]) -> list[Count]:
    """The most frequent mistakes, the worst first."""
    wrong = [(i, j, n) for i, j, n in confused if i != j]
    return sorted(wrong, key=lambda pair: (-pair[2], pair[0], pair[1]))[:PAIRS]


def checked(cell: object, size: int) -> Cell | None:
    """What the browser says is a wish: a cell that exists, or None."""
    if isinstance(cell, list) and len(cell) == 2 and all(type(at) is int and 0 <= at < size for at in cell):
        return cell[0], cell[1]
    return None
