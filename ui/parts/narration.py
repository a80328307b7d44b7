"""What Thaw has to say about a run as it goes and a draft before it starts. Each remark with the button that acts."""

from collections.abc import Callable, Container
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.errors import ThawError
from core.events import Amend, Stop
from core.narrator import Action, Remark, narrate, pitfalls
from core.plan import plan
from core.recipe import Recipe
from ui import drafting, services, state
from ui.text import said, t

if TYPE_CHECKING:
    from core.history import RunState
    from core.run import Run

RULES = ("small_full", "trunk_rate")
"""Pitfalls of what learns, and how fast."""
ICONS = {"good": ":material/trending_up:", "note": ":material/info:", "warning": ":material/lightbulb:"}


def run(of: "Run", now: "RunState") -> None:
    """The most important remark about a run, one line high before there is one; nothing about a run that only waits."""
    with st.container(key=state.key("train", "narrator"), horizontal=True, vertical_alignment="center"):
        remark = narrate(of.recipe, now) if now.started is not None else None
        if remark is None:
            if of.state not in ("queued", "discarded"):
                st.caption(t("narrator.waiting"))
            return
        _says(remark)
        action = remark.action
        if action is None or (action.kind in ("amend", "stop") and of.state != "running"):
            return
        _button(remark, key=state.key("train", "advice", of.id), act=partial(_act, of.id, of.recipe, action))


def draft(only: Container[str] | None = None) -> None:
    """What would go wrong with the draft, before it is started; `only` these, where something is chosen."""
    recipe = state.recipe()
    if not recipe.dataset:
        return
    try:
        made = services.tree(recipe)
        planned = plan(made, recipe.rules)
        found = pitfalls(recipe, services.split_counts(recipe), total=planned.total, trainable=planned.trainable)
    except ThawError:
        return  # what stands in the way is said where it does
    for remark in found:
        if only is not None and remark.code not in only:
            continue
        with st.container(key=state.key("train", "pitfall", remark.code), gap="xsmall"):
            _says(remark)
            action = remark.action
            if action is not None:
                _button(remark, key=state.key("train", "heed", remark.code), act=partial(_heed, action))


def _says(remark: Remark) -> None:
    text = said(f"narrator.{remark.code}.says", remark.values)
    tone = {"good": "green", "note": "blue", "warning": "orange"}[remark.severity]
    st.markdown(f":{tone}[{ICONS[remark.severity]}] {text}", width="content")


def _button(remark: Remark, *, key: str, act: Callable[[], None]) -> None:
    st.button(said(f"narrator.{remark.code}.action", remark.values), key=key, on_click=act)


def _act(run_id: str, recipe: Recipe, action: Action) -> None:
    """Change the run, stop it, or set up another like it."""
    state.forgive("run")
    try:
        if action.kind == "amend":
            services.amend(run_id, Amend(rules=action.rules, lr=action.lr))
        elif action.kind == "stop":
            services.send(run_id, Stop())
        else:
            state.replace(_changed(recipe.changed(name=""), action))
            state.show_run(None)
    except ThawError as error:
        state.refuse("run", error)


def _heed(action: Action) -> None:
    state.forgive("start")
    try:
        state.replace(_changed(state.recipe(), action))
    except ThawError as error:
        state.refuse("start", error)


def _changed(recipe: Recipe, action: Action) -> Recipe:
    """A strategy is more than its name: it writes its rules."""
    changes = dict(action.changes)
    strategy = changes.pop("strategy", None)
    recipe = recipe.changed(**changes)
    return recipe if strategy is None else drafting.with_strategy(recipe, strategy)
