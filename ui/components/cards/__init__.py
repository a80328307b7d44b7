"""Cards to choose one from: searched, sorted and filtered in the browser, without a trip to the server.

Knows nothing of what the cards stand for. Their texts are data and shown as plain text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
HTML = """
<div class="tools" hidden>
  <input type="search" class="search">
  <select class="sort"></select>
  <label class="only"><input type="checkbox"><span></span></label>
  <span class="found" role="status"></span>
</div>
<div class="cards" role="radiogroup"></div>
<p class="none" hidden></p>
"""
_mount = st.components.v2.component(
    "thaw_cards",
    html=HTML,
    css=(HERE / "cards.css").read_text("utf-8"),
    js=(HERE / "cards.js").read_text("utf-8"),
)


@dataclass(frozen=True, slots=True)
class Card:
    """One thing to choose."""

    id: str
    title: str
    text: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    """(label, value), in two columns."""
    badges: tuple[tuple[str, str], ...] = ()
    """(text, tone); the tone is '', 'good', 'warm' or 'cold'."""
    images: tuple[str, ...] = ()
    """Addresses of small pictures: a contact sheet above the title."""
    stripe: tuple[float, ...] = ()
    """One bar a part: 0 frozen, up to 1 learning at full rate; nothing drawn if empty."""
    find: str = ""
    """Further words that the search finds."""
    sort: Mapping[str, float] = field(default_factory=dict)
    """Numbers to sort by."""
    kept: bool = True
    """Still there when the filter is on."""
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Tools:
    """The row above the cards: search, orders (key, label, descending) and one filter. Empty texts leave their part out."""

    search: str = ""
    sorts: tuple[tuple[str, str, bool], ...] = ()
    only: str = ""
    found: str = ""
    """How many are shown, with `{n}`."""
    none: str = ""
    """Said when nothing fits."""


def cards(
    items: Sequence[Card],
    *,
    key: str,
    label: str,
    chosen: str | None,
    tools: Tools | None = None,
    width: int = 220,
    height: int = 0,
    on_pick: Callable[[str], None] | None = None,
    disabled: bool = False,
) -> str | None:
    """Show `items` and mark `chosen`; the id picked, in the run after the pick.

    `on_pick` is called with it before that run. `width` is the least width of a card in pixels; beyond `height` (0: no
    limit) the cards scroll.
    """
    open_to_choice = set() if disabled else {item.id for item in items if not item.disabled}

    def picked() -> None:
        pick = st.session_state[key].picked
        if on_pick is not None and isinstance(pick, str) and pick in open_to_choice:
            on_pick(pick)

    pick = _mount(
        key=key,
        data={
            "cards": [{name: getattr(item, name) for name in Card.__slots__} | {"sort": dict(item.sort)} for item in items],
            "chosen": chosen,
            "label": label,
            "tools": asdict(tools) if tools else None,
            "width": width,
            "height": height,
            "disabled": disabled,
        },
        on_picked_change=picked,
    ).picked
    return pick if isinstance(pick, str) and pick in open_to_choice else None
