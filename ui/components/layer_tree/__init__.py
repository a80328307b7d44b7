"""The layer tree: the network from picture to classes, each block frozen or learning, at a rate of its own.

Shows rules and gives back the rules that the person has made of them. Counts revisions itself, so that a caller changes the
rules (a preset, an undo) by passing others: the newest word of Python wins over older clicks.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import streamlit as st

from core.layers import LayerTree
from core.recipe import BlockRule
from core.words import catalogue
from ui.components.layer_tree.rules import PARAMETER, Node, Rules, decode, encode, nodes, opened, signature

HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw_layer_tree",
    html=(HERE / "layer_tree.html").read_text("utf-8"),
    css=(HERE / "layer_tree.css").read_text("utf-8"),
    js="\n".join((HERE / name).read_text("utf-8") for name in ("rules.js", "layer_tree.js")),
)


class _Memo(TypedDict):
    """What is remembered of one mount, in the session."""

    rev: int
    base: Rules
    """The rules that were sent with `rev`."""
    last: tuple[BlockRule, ...]
    """What was given back last."""
    named: set[str]
    """Every path that a rule has named: what got a row of its own keeps it, or a click would build the tree anew."""
    sig: str
    rows: list[Node]


def layer_tree(
    tree: LayerTree,
    rules: tuple[BlockRule, ...],
    *,
    key: str,
    language: str,
    base_lr: float,
    disabled: bool = False,
    epoch: int | None = None,
    watch: str = "",
    on_change: Callable[[tuple[BlockRule, ...], tuple[BlockRule, ...]], None] | None = None,
) -> tuple[BlockRule, ...]:
    """Show `rules` on `tree`; gives the rules as the person wants them now, in the order of the network.

    `base_lr` only explains rates. With an `epoch` rules that begin later do not hold yet; without, all do. `watch` is the
    address of the readings of a run (`ui/routes.py`): the rows then show instruments in place of types and sizes.

    While nobody has clicked, what comes back is `rules` itself.

    `on_change(before, now)` is called before the page runs: a click is then not lost when the next run is that of another
    page or is cut short. Where the draft is no longer `before`, a preset was pressed in the same moment and should win.
    """
    said = encode(rules)
    start: _Memo = {"rev": 0, "base": said, "last": rules, "named": set(), "sig": "", "rows": []}
    memo: _Memo = st.session_state.setdefault(f"{key}:memo", start)
    memo["named"] |= said.keys()
    memo["rows"] = nodes(tree, memo["named"])
    memo["sig"] = signature(memo["rows"])
    fresh = not st.session_state.get(key)  # never clicked, or Streamlit dropped the value with its page
    if said != encode(memo["last"]) or (fresh and said != memo["base"]):
        memo["rev"] += 1
        memo["base"] = said

    def heard() -> None:
        wanted = _wanted(memo, st.session_state[key].get("wish"))
        if wanted is not None and on_change is not None:
            before, memo["last"] = memo["last"], wanted
            on_change(before, wanted)

    head = tree[tree.head].output_shape
    # `rules` in data stays `base` while the person clicks, so data is unchanged and the rows are not sent again.
    # The state is called `wish`: of a state called `value` Streamlit looks inside, and would never call `heard`.
    value = _mount(
        key=key,
        data={
            "sig": memo["sig"],
            "rev": memo["rev"],
            "nodes": memo["rows"],
            "rules": memo["base"],
            "open": opened(tree),
            "first": [row.path for row in tree.rows],
            "head": tree.head,
            "parameter": PARAMETER,
            "input": f"3×{tree.image_size}×{tree.image_size}",
            "output": str(head[0]) if head else "",
            "base_lr": base_lr,
            "disabled": disabled,
            "epoch": epoch,
            "watch": watch,
            "words": {
                name.removeprefix("tree."): text for name, text in catalogue(language).items() if name.startswith("tree.")
            },
        },
        on_wish_change=heard,
    ).wish
    wanted = _wanted(memo, value)
    memo["last"] = rules if wanted is None else wanted
    return memo["last"]


def _wanted(memo: _Memo, value: Any) -> tuple[BlockRule, ...] | None:
    """The rules in what the browser says, or None if it speaks of another network or of rules that Python has replaced."""
    if not isinstance(value, dict) or value.get("sig") != memo["sig"] or value.get("rev") != memo["rev"]:
        return None
    return decode(value.get("rules"), memo["rows"])
