"""Steering a run at work: freeze and thaw its blocks, change rates; the next step obeys. Afterwards: what has moved."""

import math
import time
from typing import TYPE_CHECKING

import streamlit as st

from core.errors import ThawError
from core.events import Amend
from core.recipe import BlockRule
from ui import services, state
from ui.components.layer_tree import layer_tree
from ui.parts import notes, traces
from ui.text import compact, figure, percent, size, t

if TYPE_CHECKING:
    from core.history import RunState
    from core.run import Run

PATIENCE_SECONDS = 10.0
"""A wish that was not carried out by then is forgotten: the tree shows what the run says."""


def show(run: "Run", now: "RunState") -> None:
    """The tree of the run, to be clicked while it is at work, with the instruments of each block."""
    recipe = run.recipe
    try:
        made = services.tree(recipe)
    except ThawError as error:
        notes.failure(error, key=state.key("train", "tree-failed"))
        return
    active = run.state == "running"
    rules, base = _holding(run, now)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        st.subheader(t("steer.title") if active else t("steer.title.after"), anchor=False)
        st.caption(t("steer.lead") if active else t("steer.lead.after"))
    with right:
        if active:
            _base_rate(run.id, base)
    notes.at_field("steer")
    _holds(run, now)
    layer_tree(
        made,
        rules,
        key=state.key("train", "tree", run.id),
        language=state.language(),
        base_lr=base,
        disabled=not active,
        epoch=max(1, now.epoch),
        watch=services.readings_url(run.id),
        on_change=lambda before, wanted: _wish(run.id, rules=wanted),
    )
    traces.show(run, made)


def _holds(run: "Run", now: "RunState") -> None:
    """How much learns now, and whether batches had to be taken in parts."""
    total = now.started.parameters_total if now.started else 0
    share = percent(now.trainable / total, 1 if now.trainable >= total / 1000 else 3) if total else "–"
    text = t("steer.holds", trainable=compact(now.trainable), total=compact(total), share=share)
    if now.first_steps is not None:
        seconds, memory = now.first_steps.seconds_per_step, size(now.first_steps.memory_bytes)
        text += " " + t("steer.first_steps", steps=figure(1 / max(seconds, 1e-6)), memory=memory)
    if now.images_at_once is not None:
        batch, part = run.recipe.batch_size, now.images_at_once
        text += " " + t("steer.memory", batch=batch, part=part, parts=math.ceil(batch / part))
    st.caption(text)


def _holding(run: "Run", now: "RunState") -> tuple[tuple[BlockRule, ...], float]:
    """Rules and base rate: as wished for a moment ago, else as the run has them."""
    last = now.edits[-1] if now.edits else None
    rules, base = (last.rules, last.lr) if last else (run.recipe.rules, run.recipe.lr)
    wish = state.value(state.key("train", "wish"))
    if wish is None or wish["run"] != run.id or run.state != "running":
        return rules, base
    if time.monotonic() - wish["at"] > PATIENCE_SECONDS or (wish["rules"], wish["lr"]) == (rules, base):
        state.forget(state.key("train", "wish"))
        return rules, base
    return wish["rules"], wish["lr"]


def _base_rate(run_id: str, base: float) -> None:
    widget = state.key("train", "base", run_id)
    state.follow(widget, base)
    st.number_input(
        t("steer.base"), min_value=0.0, max_value=10.0, value=base, step=base / 10, format="%.6g", help=t("steer.base.help"),
        key=widget, on_change=_rate_typed, args=(run_id, widget),
    )  # fmt: skip


def _rate_typed(run_id: str, widget: str) -> None:
    typed = state.value(widget)
    if typed:
        _wish(run_id, lr=float(typed))


def _wish(run_id: str, *, rules: tuple[BlockRule, ...] | None = None, lr: float | None = None) -> None:
    """Ask the run for a change, and show it at once."""
    state.forgive("steer")
    run, now = services.run(run_id), services.run_state(run_id)
    held, base = _holding(run, now)
    try:
        services.amend(run_id, Amend(rules=rules, lr=lr))
    except ThawError as error:
        state.refuse("steer", error)
        return
    wish = {
        "run": run_id,
        "rules": held if rules is None else rules,
        "lr": base if lr is None else lr,
        "at": time.monotonic(),
    }
    state.put(state.key("train", "wish"), wish)
