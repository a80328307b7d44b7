"""A picture for the model to look at: a file, the camera, or one of the pictures it was tested on."""

import streamlit as st

from core.errors import ThawError
from core.run import Run
from ui import outcomes, services, state
from ui.components.gallery import Picture, gallery
from ui.parts import notes
from ui.text import t

TYPES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif")
SAMPLES = 18
Pictures = list[tuple[str, bytes]]
"""Names and bytes."""


def show(run: Run) -> Pictures:
    """The ways in; what a person chose, nothing as long as nothing is chosen."""
    way = st.segmented_control(
        t("try_it.way"),
        ("file", "camera", "sample"),
        default="file",
        required=True,
        key=state.key("try_it", "way"),
        format_func=lambda code: t(f"try_it.way.{code}"),
        label_visibility="collapsed",
    )
    if way == "camera":
        return _camera()
    return _sample(run) if way == "sample" else _files()


def _files() -> Pictures:
    files = st.file_uploader(
        t("try_it.files"), TYPES, accept_multiple_files=True, key=state.key("try_it", "files"), max_upload_size=50
    )
    if len(files) > outcomes.MOST_PICTURES:
        st.caption(t("try_it.many", most=outcomes.MOST_PICTURES))
    return [(file.name, file.getvalue()) for file in files[: outcomes.MOST_PICTURES]]


def _camera() -> Pictures:
    st.caption(t("try_it.camera.how"))
    shot = st.camera_input(t("try_it.camera"), key=state.key("try_it", "camera"), label_visibility="collapsed")
    return [(t("try_it.camera.name"), shot.getvalue())] if shot else []


def _sample(run: Run) -> Pictures:
    """Some of the pictures the model was tested on, spread over the classes."""
    found = outcomes.predictions(run.id)
    shown = found[:: max(1, len(found) // SAMPLES)][:SAMPLES]
    picked = gallery(
        [
            Picture(services.thumb_url(run.recipe.dataset, one.sha256, 96), alt=t("try_it.sample.alt", n=number))
            for number, one in enumerate(shown, 1)
        ],
        key=state.key("try_it", "samples", run.id),
        label=t("try_it.way.sample"),
        side=64,
        clickable=True,
        empty=t("try_it.sample.none"),
    )
    memory = state.key("try_it", "sample", run.id)
    if picked is not None:
        state.put(memory, shown[picked].sha256)
    wanted = state.value(memory)
    if wanted is None:
        if shown:
            st.caption(t("try_it.sample.how"))
        return []
    try:
        item = services.picture(run.recipe.dataset, wanted)
        return [] if item is None else [(item[1].name, item[0].image(item[1]))]
    except ThawError as error:
        notes.failure(error, key=state.key("try_it", "sample", "gone"))
        return []
