"""The timeline of thawing: of each stage a bar, from the epoch at which it begins to learn; the person drags the bars.

Knows keys, titles and epochs; nothing of networks or rules. Counts revisions itself, as the layer tree does: the newest word
of Python wins over older drags, and what a run at work can no longer do is put back.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import streamlit as st

from core.words import catalogue

HERE = Path(__file__).parent
HTML = """
<div class="thaw-timeline">
  <div class="head" aria-hidden="true"><span class="in"></span><div class="axis"></div></div>
  <div class="rows" role="group"><div class="ground" aria-hidden="true"><div class="sheet"></div></div></div>
  <div class="foot" aria-hidden="true">
    <span class="out"></span>
    <span class="legend">
      <i class="ice"></i><span class="frozen-word"></span><i class="flame"></i><span class="learns-word"></span>
    </span>
    <span class="hint"></span>
  </div>
</div>
"""
_mount = st.components.v2.component(
    "thaw_timeline",
    html=HTML,
    css=(HERE / "timeline.css").read_text("utf-8"),
    js=(HERE / "timeline.js").read_text("utf-8"),
)

Since = dict[str, int | None]
"""Key of a row -> the epoch, 1-based, from which it learns; None: never."""


@dataclass(frozen=True, slots=True)
class Row:
    """One stage. `title` is shown as plain text."""

    key: str
    title: str
    since: int | None
    """Epoch from which it learns, 1: from the start; None: never. Later than the last epoch counts as never."""


class _Memo(TypedDict):
    """What is remembered of one mount, in the session."""

    rev: int
    sig: str
    base: Since
    """What was sent with `rev`."""
    last: Since
    """What was given back last."""
    given: Since
    epochs: int
    now: int | None


def timeline(
    rows: Sequence[Row],
    *,
    epochs: int,
    key: str,
    language: str,
    now: int | None = None,
    disabled: bool = False,
    on_change: Callable[[Since], None] | None = None,
    current: Callable[[], Since] | None = None,
) -> Since:
    """Show when each of `rows` thaws in a training of `epochs`; gives that back as the person wants it now, in their order.

    Rows stand in the order of the network, input first, and have different keys. `now` is the epoch at which a run stands:
    a row that learns by then is fixed, others cannot thaw before it. The caller passes what came back as the next `rows`;
    other ones (a preset, an undo) replace what was dragged. `on_change` is called before the page runs.

    Streamlit may tell of a drag and of a press on a preset in one go, the preset first. So that the preset wins, `current`
    says what the caller holds: where that is no longer what came back last, `on_change` is not called.

    Raises ValueError if there is no epoch or two rows have one key.
    """
    given = {row.key: row.since for row in rows}
    if epochs < 1 or len(given) < len(rows):
        raise ValueError(f"{epochs} epochs, {len(rows)} rows with {len(given)} keys")
    said, sig = _clip(given, epochs), _signature(given, epochs)
    start: _Memo = {
        "rev": 0, "sig": sig, "base": said, "last": given, "given": given, "epochs": epochs, "now": now,
    }  # fmt: skip
    memo: _Memo = st.session_state.setdefault(f"{key}:memo", start)
    heard_last = _clip(memo["last"], epochs)
    anew = sig != memo["sig"]
    memo["sig"], memo["given"], memo["epochs"], memo["now"] = sig, given, epochs, now
    fresh = not st.session_state.get(key)  # never dragged, or Streamlit dropped the value with its page
    memo["last"] = given
    if anew or said != heard_last or (fresh and said != memo["base"]):
        memo["rev"] += 1
        memo["base"] = said
    elif (wish := _wish(memo, st.session_state.get(key))) is not None:
        memo["last"] = checked(wish, given, epochs=epochs, now=now)
        if _clip(memo["last"], epochs) != wish:  # the browser shows what cannot be: it is told
            memo["rev"] += 1
            memo["base"] = _clip(memo["last"], epochs)

    def heard() -> None:
        wish = _wish(memo, st.session_state[key])
        overtaken = current is not None and current() != memo["last"]
        if wish is not None and on_change is not None and not overtaken:
            memo["last"] = checked(wish, memo["given"], epochs=memo["epochs"], now=memo["now"])
            on_change(dict(memo["last"]))

    # `since` in data stays `base` while the person drags. The state is not called `value`: Streamlit would look inside.
    _mount(
        key=key,
        data={
            "sig": memo["sig"],
            "rev": memo["rev"],
            "rows": [[row.key, row.title] for row in rows],
            "since": memo["base"],
            "epochs": epochs,
            "now": now,
            "disabled": disabled,
            "words": {
                name.removeprefix("timeline."): text
                for name, text in catalogue(language).items()
                if name.startswith("timeline.")
            },
        },
        on_wish_change=heard,
    )
    return dict(memo["last"])


def checked(wish: Mapping[str, Any], given: Since, *, epochs: int, now: int | None = None) -> Since:
    """What the browser says is a wish: known rows and epochs that can still be are taken, all else stays as `given`."""
    return {key: _moved(wish.get(key, since), since, epochs, now or 0) for key, since in given.items()}


def _moved(wish: Any, since: int | None, epochs: int, now: int) -> int | None:
    if since is not None and since <= now:  # it learns already
        return since
    if wish is None:
        return since if since is not None and since > epochs else None  # beyond the end: shown as never, and kept
    return wish if type(wish) is int and max(1, now) <= wish <= epochs else since


def _clip(since: Mapping[str, int | None], epochs: int) -> Since:
    """As it is shown: from 1 to `epochs`, or never."""
    return {key: None if at is None or at > epochs else max(1, at) for key, at in since.items()}


def _signature(given: Since, epochs: int) -> str:
    """Changes with the rows and the number of epochs, not with what the rows say."""
    return hashlib.sha256(json.dumps([list(given), epochs]).encode()).hexdigest()[:12]


def _wish(memo: _Memo, value: Any) -> dict[str, Any] | None:
    """What the browser says, or None if it speaks of other rows or of a state that Python has replaced."""
    wish = value.get("wish") if value else None
    if not isinstance(wish, dict) or wish.get("sig") != memo["sig"] or wish.get("rev") != memo["rev"]:
        return None
    since = wish.get("since")
    return since if isinstance(since, dict) else None
