"""Which validation pictures the film strip follows: pressed ones, else Thaw picks some of every class."""

import streamlit as st

from core.errors import ThawError
from ui import services, state
from ui.components.gallery import Picture, gallery
from ui.parts import notes
from ui.text import t

MOST = 12
"""As many as a recipe takes."""
OFFERED = 36


@st.fragment
def show() -> None:
    """Folded; a press on a picture takes it or leaves it."""
    recipe = state.recipe()
    if not recipe.dataset:
        return
    try:
        offered = services.validation_items(recipe, OFFERED)
        classes = services.dataset(recipe.dataset).classes
    except ThawError:
        return  # what is wrong with the data is said where it stands in the way
    if not offered:
        return
    with st.expander(t("follow.title"), icon=":material/movie:", key=state.key("train", "follow")):
        chosen = [item.sha256 for item in offered if item.sha256 in recipe.film]
        st.caption(t("follow.lead", most=MOST) if not chosen else t("follow.chosen", n=len(chosen), most=MOST))
        pictures = [
            Picture(
                services.thumb_url(recipe.dataset, item.sha256),
                caption=classes[item.label],
                note=t("follow.followed") if item.sha256 in recipe.film else "",
                tone="good" if item.sha256 in recipe.film else "",
            )
            for item in offered
        ]
        pressed = gallery(
            pictures, key=state.key("train", "film-choice"), label=t("follow.title"), side=72, clickable=True, rows=3
        )
        if pressed is not None:
            _toggle(offered[pressed].sha256, [item.sha256 for item in offered])
            st.rerun()
        notes.at_field("film")


def _toggle(sha256: str, offered: list[str]) -> None:
    """Take a picture or leave it; those of another data set go, and a thirteenth is not taken."""
    held = [one for one in state.recipe().film if one in offered]
    film = [one for one in held if one != sha256] if sha256 in held else [*held, sha256]
    state.edit(film=tuple(film[:MOST]))
