"""The settings of a training in two levels. Every field shows and edits the draft, and says in plain words what it does."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from core.layers import within
from core.recipe import AUGMENT_PRESETS, Augment, Recipe, augment_name
from ui import drafting, services, state
from ui.parts import finder, notes, rates, schedule
from ui.text import t

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
BATCHES = (4, 8, 16, 32, 64, 128, 256)
SIZES = (*drafting.SIZES, 256, 288, 320, 384, 448, 512)
GROUPS = ("optimizer", "loss", "keeping", "stopping", "changes", "machine")
CHANGES: dict[str, tuple[float, float]] = {
    "crop": (0.95, 0.05),
    "rotation": (180.0, 5.0),
    "translation": (0.5, 0.01),
    "scale": (0.9, 0.05),
    "color": (1.0, 0.05),
    "noise": (0.5, 0.01),
    "blur": (5.0, 0.1),
    "erasing": (1.0, 0.05),
}
"""Single changes of a picture: largest value and step, zero switches off."""


def essential() -> None:
    """The six that matter first."""
    with st.grid(2, min_column_width=220, gap="medium"):
        _number("epochs", low=1, high=10_000, step=1)
        _choice("batch_size", BATCHES, str)
        _choice("lr", RATES, lambda rate: f"{rate:g}")
        _choice("image_size", SIZES, lambda side: t("unit.px", side=side))
    augmentation()
    _number("seed", low=0, high=2**32 - 1, step=1, width=220)


def augmentation() -> None:
    """Named sets of random changes; single switches make it 'my own'."""
    name = augment_name(state.recipe().augment)
    options = [*AUGMENT_PRESETS, *(["custom"] if name == "custom" else [])]
    st.pills(
        t("train.set.augment"),
        options,
        required=True,
        format_func=lambda preset: t(f"augment.{preset}"),
        help=t("train.set.augment.help"),
        wrap=True,
        **state.field("augment", show=augment_name, take=_preset, default="default"),
    )
    st.caption(t(f"augment.{name}.help"))


def everything() -> None:
    """The rest, in groups."""
    tabs = st.tabs(
        [t(f"train.group.{name}") for name in GROUPS],
        key=state.key("train", "groups"),
    )
    with tabs[0]:
        _optimizer()
    with tabs[1], _fields():
        _loss()
    with tabs[2], _fields():
        _keeping()
    with tabs[3], _fields():
        _pick("metric", ("accuracy", "macro_f1", "loss"))
        _number("patience", low=0, high=10_000, step=1)
    with tabs[4]:
        changes()
    with tabs[5], _fields():
        _pick("precision", ("auto", "fp32", "bf16", "fp16"))
        _pick("device", _devices())
        _pick("fit", ("crop", "stretch", "pad"))
        _number("threads", low=0, high=1024, step=1)
        _number("max_hours", low=0.0, high=10_000.0, step=0.5)
        _switch("instruments")
        _switch("cache")
        if state.recipe().cache:
            _number("views", low=1, high=64, step=1)


def _optimizer() -> None:
    recipe = state.recipe()
    with _fields():
        _pick("optimizer", ("adamw", "adam", "sgd", "rmsprop"))
        _exact("lr", high=10.0)
        if recipe.optimizer in ("sgd", "rmsprop"):
            _share("momentum", high=0.99, step=0.01)
        if recipe.optimizer == "sgd":
            _switch("nesterov")
        _exact("weight_decay", high=10.0)
        _pick("schedule", ("cosine", "one-cycle", "step", "plateau", "constant"))
        if recipe.schedule == "step":
            _number("step_epochs", low=1, high=10_000, step=1)
        if recipe.schedule == "plateau":
            _number("plateau_epochs", low=1, high=10_000, step=1)
        if recipe.schedule in ("step", "plateau"):
            _share("step_factor", low=0.01, high=1.0, step=0.01)
        if recipe.schedule != "one-cycle":
            _number("warmup_epochs", low=0.0, high=1000.0, step=0.5)
        _exact("clip_norm", high=1e6)
        _number("accumulate", low=1, high=1024, step=1)
    if recipe.accumulate > 1:
        st.caption(
            t("train.effective", n=recipe.batch_size * recipe.accumulate, batch=recipe.batch_size, times=recipe.accumulate)
        )
    schedule.show()
    finder.show()
    rates.show()


def _loss() -> None:
    """What is made small, and which images are drawn."""
    _pick("loss", ("cross-entropy", "weighted", "focal"))
    if state.recipe().loss == "focal":
        _share("focal_gamma", high=5.0, step=0.5)
    _switch("balanced")
    _share("label_smoothing", high=0.5, step=0.05)


def _keeping() -> None:
    """What keeps the network from learning by heart, and what it knew from being lost."""
    recipe = state.recipe()
    with st.container():
        _pull(recipe)
    _share("dropout", high=0.9, step=0.05)
    _share("mixup", high=2.0, step=0.1)
    _share("cutmix", high=2.0, step=0.1)
    _share("ema", high=0.9999, step=0.0001)
    with st.container():
        chance = recipe.stochastic_depth
        st.slider(
            t("train.set.stochastic_depth"), min_value=0.0, max_value=0.9, value=chance or 0.0, step=0.05,
            help=t("train.set.stochastic_depth.help"), key=state.key("train", "depth"), on_change=_deepened,
        )  # fmt: skip
        notes.at_field("stochastic_depth")


def _pull(recipe: Recipe) -> None:
    """How strongly the network, or a block of it, is drawn back to where it began: rules, the nearest one above counts."""
    set_here = {rule.path: rule.pull for rule in recipe.rules if rule.pull is not None}
    paths = ["", *(row.path for row in services.tree(recipe).rows), *set_here]
    chosen = st.selectbox(
        t("train.set.pull.where"), list(dict.fromkeys(paths)), key=state.key("train", "pull-where"),
        format_func=lambda path: path or t("train.set.pull.all"), help=t("train.set.pull.where.help"),
        disabled=recipe.weights == "random",
    )  # fmt: skip
    above = [path for path in set_here if within(chosen, path)]
    strength = set_here[max(above, key=len)] if above else 0.0
    st.slider(
        t("train.set.pull"), min_value=0.0, max_value=10.0, value=strength, step=0.1, help=t("train.set.pull.help"),
        key=state.key("train", "pull", chosen or "all"), on_change=_pulled, args=(chosen,),
        disabled=recipe.weights == "random",
    )  # fmt: skip
    if others := [f"`{path}` {pull:g}" for path, pull in set_here.items() if path]:
        st.caption(t("train.set.pull.set", blocks=", ".join(others)))
    notes.at_field("rules")


def _pulled(path: str) -> None:
    wanted = state.value(state.key("train", "pull", path or "all"))
    if wanted is not None:
        state.edit(rules=state.recipe().with_rule(path, pull=float(wanted)).rules)


def _deepened() -> None:
    """Zero is the network's own habit: who wants no skipping at all says so on the command line."""
    wanted = state.value(state.key("train", "depth"))
    if wanted is not None:
        state.edit(stochastic_depth=float(wanted) or None)


def changes() -> None:
    """One switch for each change of a picture."""
    with _fields():
        for name, (high, step) in CHANGES.items():
            st.slider(
                t(f"augment.set.{name}"),
                min_value=0.0,
                max_value=high,
                step=step,
                help=t(f"augment.set.{name}.help"),
                **state.field(f"augment.{name}"),
            )
        for name in ("flip_horizontal", "flip_vertical"):
            st.toggle(t(f"augment.set.{name}"), help=t(f"augment.set.{name}.help"), **state.field(f"augment.{name}"))


# --- kinds of fields ------------------------------------------------------------------------------------------------------


def _fields() -> Any:
    return st.grid(3, min_column_width=220, gap="medium")


def _switch(name: str) -> None:
    with st.container():
        st.toggle(t(f"train.set.{name}"), help=t(f"train.set.{name}.help"), **state.field(name))
        notes.at_field(name)


def _number(name: str, *, low: float, high: float, step: float, width: int | None = None) -> None:
    with st.container():
        st.number_input(
            t(f"train.set.{name}"),
            min_value=low,
            max_value=high,
            step=step,
            help=t(f"train.set.{name}.help"),
            width=width or "stretch",
            **state.field(name),
        )
        notes.at_field(name)


def _exact(name: str, *, high: float) -> None:
    with st.container():
        st.number_input(
            t(f"train.set.{name}.exact"),
            min_value=0.0,
            max_value=high,
            step=0.0001,
            format="%.6g",
            help=t(f"train.set.{name}.help"),
            **state.field(name, twin="exact"),
        )
        notes.at_field(name)


def _share(name: str, *, low: float = 0.0, high: float, step: float) -> None:
    with st.container():
        st.slider(
            t(f"train.set.{name}"),
            min_value=low,
            max_value=high,
            step=step,
            help=t(f"train.set.{name}.help"),
            **state.field(name),
        )
        notes.at_field(name)


def _choice(name: str, proposed: Sequence[float], words: Callable[[Any], str]) -> None:
    """A slider over proposed values; what the draft holds besides them has its place too."""
    here = getattr(state.recipe(), name)
    with st.container():
        st.select_slider(
            t(f"train.set.{name}"),
            sorted({*proposed, here}),
            format_func=words,
            help=t(f"train.set.{name}.help"),
            **state.field(name),
        )
        notes.at_field(name)


def _pick(name: str, options: Sequence[str]) -> None:
    with st.container():
        st.selectbox(
            t(f"train.set.{name}"),
            options,
            format_func=lambda code: t(f"train.set.{name}.{code.partition(':')[0]}"),
            help=t(f"train.set.{name}.help"),
            **state.field(name, options=options),
        )
        notes.at_field(name)


def _preset(name: str) -> Augment:
    return AUGMENT_PRESETS.get(name, state.recipe().augment)


def _devices() -> Sequence[str]:
    here = state.recipe().device
    return tuple(dict.fromkeys(("auto", "cpu", "cuda", "mps", here)))
