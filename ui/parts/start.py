"""The start: what would be trained, what stands in the way, and the button."""

import base64

import streamlit as st

from core.errors import ThawError
from core.recipe import Recipe
from ui import navigation, previews, ready, services, state
from ui.components.gallery import Picture, gallery
from ui.parts import narration, notes
from ui.text import count, duration, plain, set_title, size, strategy, t


def card() -> None:
    """One sentence that says what will happen, the reason why it cannot, the button."""
    recipe = state.recipe()
    with st.spinner(t("model.reading")):
        blocked = ready.obstacle(recipe)
    with st.container(border=True, key=state.key("train", "start-card")):
        st.subheader(t("train.start.title"), anchor=False)
        if recipe.dataset and blocked is None:
            st.markdown(_plan(recipe))
            _costs(recipe)
        st.text_input(
            t("train.set.name"),
            placeholder=t("train.set.name.example"),
            max_chars=200,
            help=t("train.set.name.help"),
            **state.field("name"),
        )
        _hint(recipe)
        narration.draft()
        notes.at_field("start")
    with (
        st.bottom,
        st.container(
            horizontal=True, horizontal_alignment="right", vertical_alignment="center", key=state.key("train", "start-row")
        ),
    ):
        if blocked is not None:
            _in_the_way(blocked)
        st.button(
            t("train.queue") if services.active_runs() else t("train.start"),
            key=state.key("train", "start"),
            type="primary",
            icon=navigation.ICONS["train"],
            disabled=blocked is not None,
            on_click=_start,
        )


def _plan(recipe: Recipe) -> str:
    name = set_title(recipe.dataset, services.dataset_name(recipe.dataset))
    train = sum(services.split_counts(recipe)["train"].values())
    return t(
        "train.plan",
        backbone=plain(services.backbone(recipe.backbone).title),
        strategy=strategy(recipe.strategy),
        images=count(train),
        dataset=plain(name),
        n=recipe.epochs,
    )


def _costs(recipe: Recipe) -> None:
    """How long and how much memory, about; the page is drawn again when the costs of the network are known."""
    made = services.tree(recipe)
    reckoned = services.forecast(recipe, made)
    memory = size(reckoned.memory_bytes)
    seconds = reckoned.seconds(recipe.epochs)
    if seconds is None:
        st.caption(t("train.cost.memory", memory=memory))
    else:
        st.caption(t("train.cost", time=duration(max(1.0, seconds)), memory=memory))


def _hint(recipe: Recipe) -> None:
    """What would surprise a person: a download first, a head of chance that cannot learn much."""
    if recipe.weights == "pretrained":
        card = services.backbone(recipe.backbone)
        if not card.local:
            st.caption(f":material/download: {t('train.hint.download', size=size(card.weights_bytes))}")
    if recipe.weights == "random" and recipe.strategy not in ("full", "scratch", "custom"):
        st.caption(f":orange[:material/lightbulb: {t('model.strategy.random')}]")


def _in_the_way(blocked: ready.Obstacle) -> None:
    values = {name: plain(value) if isinstance(value, str) else value for name, value in blocked.values.items()}
    st.markdown(f":orange[:material/block:] {t(f'train.block.{blocked.code}', **values)}", width="content")
    if blocked.fix and st.button(t(f"train.fix.{blocked.fix}"), key=state.key("train", "fix"), icon=":material/build:"):
        if blocked.fix in navigation.ICONS:
            navigation.go(blocked.fix)
        try:
            state.replace(ready.repair(state.recipe(), blocked.fix))
        except ThawError as error:
            state.refuse("start", error)
        st.rerun()


def _start() -> None:
    state.forgive("start")
    try:
        run_id = services.submit(state.recipe())
    except ThawError as error:
        state.refuse("start", error)
        return
    state.edit(name="")
    state.show_run(run_id)


@st.fragment
def preview() -> None:
    """Real pictures of the set, changed at random as the network will see them."""
    recipe = state.recipe()
    st.subheader(t("train.preview"), anchor=False)
    if not recipe.dataset:
        st.caption(t("train.preview.none"))
        return
    place = st.container(key=state.key("train", "preview"))
    try:
        with place.skeleton(height=180):
            pictures = previews.preview(recipe)
    except ThawError as error:
        notes.failure(error, key=state.key("train", "preview-failed"))
        return
    with place:
        gallery(
            [
                Picture(f"data:image/webp;base64,{base64.b64encode(one).decode()}", alt=t("train.preview.alt"))
                for one in pictures
            ],
            key=state.key("train", "pictures"),
            label=t("train.preview"),
            side=92,
        )
    st.caption(t("train.preview.caption"))
