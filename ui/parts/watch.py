"""Watching a run: what it says about the same few validation images after every epoch."""

from typing import TYPE_CHECKING

import streamlit as st

from ui import services, state
from ui.components.film_strip import Cell, Strip, film_strip
from ui.text import t

if TYPE_CHECKING:
    from core.history import RunState
    from core.run import Run


def film(run: "Run", now: "RunState") -> None:
    """The film strip, from the first epoch on."""
    if not now.films or now.started is None:
        return
    classes = now.started.classes
    st.subheader(t("watch.film"), anchor=False)
    st.caption(t("watch.film.lead"))
    strips = [
        Strip(
            url=services.thumb_url(run.recipe.dataset, frame.image),
            label=classes[frame.label],
            cells=tuple(
                Cell(classes[shot.said], shot.confidence, shot.said == shot.label)
                for shot in (film.frames[at] for film in now.films)
            ),
        )
        for at, frame in enumerate(now.films[-1].frames)
    ]
    film_strip(strips, [film.epoch for film in now.films], key=state.key("train", "film", run.id), language=state.language())
