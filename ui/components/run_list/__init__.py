"""Runs as rows: state, what was chosen, how it went, what can be done. Ticks say which are compared. Names are plain text.

Knows texts and actions by name; nothing of the store. The browser owns the ticks, Python may take them all away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw_run_list",
    html='<div class="list" role="list"></div>\n',
    css=(HERE / "run_list.css").read_text("utf-8"),
    js=(HERE / "run_list.js").read_text("utf-8"),
)

Tone = Literal["", "good", "warm", "cold", "bad"]


@dataclass(frozen=True, slots=True)
class Row:
    """One run."""

    id: str
    name: str
    state: str
    tone: Tone
    text: str
    """What was chosen, in one line."""
    facts: tuple[tuple[str, str], ...]
    """(label, value): how it went."""
    actions: tuple[tuple[str, str], ...]
    """(name, label) of what can be done, the most likely first."""
    note: str = ""
    """A sentence below: why it failed."""
    tickable: bool = True


def run_list(
    rows: Sequence[Row],
    *,
    key: str,
    words: Mapping[str, str],
    cleared: int = 0,
    most: int = 8,
) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """Show `rows`; the ids ticked, and (action, id) in the run after a press.

    Another `cleared` takes all ticks away; at most `most` can be ticked. `words`: `label`, `tick`.
    """
    value = _mount(
        key=key,
        data={
            "rows": [asdict(row) for row in rows],
            "words": dict(words),
            "cleared": cleared,
            "most": most,
        },
        on_ticked_change=lambda: None,
        on_pressed_change=lambda: None,
    )
    return ticked(value.ticked, cleared), pressed(value.pressed, rows)


def ticked(value: object, cleared: int) -> tuple[str, ...]:
    """Ids as the browser says them; a value from before the last clearing counts no more."""
    if not isinstance(value, dict) or value.get("cleared") != cleared or not isinstance(value.get("ids"), list):
        return ()
    return tuple(one for one in value["ids"] if isinstance(one, str))


def pressed(value: object, rows: Sequence[Row]) -> tuple[str, str] | None:
    """Only what was offered can be pressed."""
    offered = {(name, row.id) for row in rows for name, _ in row.actions}
    return next((one for one in offered if list(one) == value), None)
