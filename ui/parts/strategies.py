"""Presets that write onto the tree, each with a picture of what it lets learn."""

import streamlit as st

from core.errors import ThawError
from ui import drafting, state
from ui.components.cards import Card, cards
from ui.parts import notes
from ui.text import t


def show() -> None:
    """The presets as cards; 'my own choice' is marked by none of them."""
    recipe = state.recipe()
    stripes = drafting.stripes(recipe)
    items = [Card(name, t(f"strategy.{name}.title"), _text(name), stripe=stripe) for name, stripe in stripes.items()]
    chosen = recipe.strategy if recipe.strategy in stripes else None
    cards(items, key=state.key("model", "strategies"), label=t("model.strategies"), chosen=chosen, width=200, on_pick=_pick)
    notes.at_field("strategy")
    if recipe.strategy == "custom":
        st.caption(f":material/edit: {t('model.strategy.custom.help')}")
    elif recipe.weights == "random" and recipe.strategy not in ("full", "scratch"):
        st.caption(f":orange[:material/lightbulb: {t('model.strategy.random')}]")


def _text(name: str) -> str:
    return t("strategy.card", help=t(f"strategy.{name}.help"), source=t(f"strategy.{name}.source"))


def _pick(name: str) -> None:
    state.forgive("strategy")
    try:
        state.replace(drafting.with_strategy(state.recipe(), name))
    except ThawError as error:
        state.refuse("strategy", error)
