"""The doors of the start page: a press on a demo starts a training, a press on what was begun before goes on with it."""

import streamlit as st

from core.dataset import DEMOS
from core.errors import ThawError
from core.recipe import Recipe, augment_preset
from core.run import ACTIVE
from ui import drafting, navigation, outcomes, services, state
from ui.components.cards import Card, cards
from ui.parts import notes, run_rows
from ui.text import count, percent, plain, set_title, t

SIDE = 64
"""Pixels: enough for every demo, and quick on a laptop."""
_OPENING = "start.opening"


def demos() -> None:
    """A card for each demo; the one picked is trained."""
    sheets = services.demo_sheets()
    items = []
    for dataset_id in services.demo_ids():
        demo = DEMOS[dataset_id.removeprefix("demo:")]
        facts = ((t("data.fact.images"), count(demo.images)), (t("data.fact.classes"), count(len(demo.classes))))
        items.append(
            Card(
                dataset_id,
                set_title(dataset_id, demo.key),
                t(f"demo.{demo.key}.story"),
                facts=facts,
                images=(sheets or {}).get(dataset_id, ()),
                disabled=sheets is None,
            )
        )
    cards(items, key=state.key("start", "demos"), label=t("start.demo"), chosen=None, width=230, on_pick=_picked)
    if sheets is None:
        _wait()


def demo_recipe(dataset_id: str) -> Recipe:
    """What a demo is trained with: the small network that is on board, from its best weights, for a minute or so."""
    demo = DEMOS[dataset_id.removeprefix("demo:")]
    card = services.backbone(services.FIRST_BACKBONE)
    return Recipe(
        dataset=dataset_id,
        backbone=card.name,
        weights=drafting.best_weights(card),
        image_size=SIDE,
        epochs=demo.epochs,
        augment=augment_preset(demo.augment),
    )


def opening() -> bool:
    """True while a picked demo is made ready; then its training is started and shown."""
    dataset_id = state.value(_OPENING)
    if not isinstance(dataset_id, str):
        return False
    try:
        ready = services.dataset_if_ready(dataset_id) is not None
    except ThawError as error:
        state.forget(_OPENING)
        state.refuse("demo", error)
        return False
    if ready:
        _begin(dataset_id)
        return False
    with st.container(border=True, key=state.key("start", "opening")):
        st.subheader(plain(set_title(dataset_id, dataset_id)), anchor=False)
        _progress(dataset_id)
    return True


def again() -> None:
    """The newest run and the way to it; without one, what will be here."""
    runs = outcomes.runs(many=2)
    if not runs:
        st.markdown(t("start.again.empty"))
        return
    run = runs[0]
    st.markdown(f"**{plain(run.name)}** · {t(f'state.{run.state}')}")
    told = plain(run_rows.summary(run))
    if run.test_accuracy is not None:
        told += f" · {t('start.again.right', share=percent(run.test_accuracy))}"
    st.caption(told)
    with st.container(horizontal=True):
        watch = run.state in ACTIVE
        if st.button(
            t("start.again.watch" if watch else "start.again.open"),
            key=state.key("start", "again", "go"),
            icon=":material/visibility:" if watch else ":material/arrow_forward:",
        ):
            state.show_run(run.id)
            navigation.go("results" if outcomes.has_model(run) else "train")
        if len(runs) > 1 and st.button(
            t("start.again.all", n=outcomes.count()), key=state.key("start", "again", "all"), type="tertiary"
        ):
            navigation.go("runs")


def _picked(dataset_id: str) -> None:
    state.forgive("demo")
    state.put(_OPENING, dataset_id)


def _begin(dataset_id: str) -> None:
    recipe = demo_recipe(dataset_id)
    state.forget(_OPENING)
    state.replace(recipe)
    try:
        run_id = services.submit(recipe)
    except ThawError as error:
        state.refuse("demo", error)
        return
    state.show_run(run_id)
    navigation.go("train")


@st.fragment(run_every=0.3)
def _progress(dataset_id: str) -> None:
    try:
        if services.dataset_if_ready(dataset_id) is not None:
            st.rerun()
    except ThawError:
        st.rerun()  # the page says what went wrong
    st.progress(services.demo_share(dataset_id), t("start.painting"))


@st.fragment(run_every=0.4)
def _wait() -> None:
    if services.demo_sheets() is not None:
        st.rerun()
    notes.waiting(t("data.shelf.wait"))
