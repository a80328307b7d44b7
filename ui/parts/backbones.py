"""The gallery of backbones and what one is started from: published weights, chance, or a file of one's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.errors import AccessError, ThawError, WeightsError
from ui import drafting, services, state
from ui.components.cards import Card as Tile
from ui.components.cards import Tools, cards
from ui.parts import notes
from ui.text import compact, figure, has, percent, plain, size, t

if TYPE_CHECKING:
    from core.backbones import Card

FILE = "file"


def gallery() -> None:
    """All backbones, searched and sorted in the browser; the one picked becomes the draft's."""
    tools = Tools(
        search=t("model.search"),
        sorts=(
            ("given", t("model.sort.given"), False),
            ("size", t("model.sort.size"), False),
            ("accuracy", t("model.sort.accuracy"), True),
            ("speed", t("model.sort.speed"), False),
        ),
        only=t("model.only_local"),
        found=t("model.found", n="{n}"),
        none=t("model.none"),
    )
    cards(
        [tile(card) for card in services.backbones()],
        key=state.key("model", "backbones"),
        label=t("model.gallery"),
        chosen=state.recipe().backbone,
        tools=tools,
        width=230,
        height=470,
        on_pick=_pick,
    )


def tile(card: "Card") -> Tile:
    """What a backbone looks like in the gallery."""
    facts = [
        (t("model.fact.parameters"), compact(card.parameters)),
        (t("model.fact.gflops"), figure(card.gflops)),
        (t("model.fact.top1"), percent(card.top1 / 100) if card.top1 is not None else "–"),
        (t("model.fact.image_size"), t("unit.px", side=card.image_size)),
    ]
    sort = {"size": float(card.parameters), "speed": card.gflops}
    if card.top1 is not None:
        sort["accuracy"] = card.top1
    return Tile(
        card.name,
        card.title,
        facts=tuple(facts),
        badges=(badge(card),),
        find=f"{card.family} {card.name} {card.source}",
        sort=sort,
        kept=card.local,
    )


def badge(card: "Card") -> tuple[str, str]:
    """Where its weights are, in a word."""
    if card.local:
        return t("model.state.local"), "good"
    if "pretrained" in card.weights:
        return t("model.state.download", size=size(card.weights_bytes)), "cold"
    return t("model.state.random"), ""


def chosen() -> None:
    """The chosen backbone: its figures, its licence, and what it starts from."""
    recipe = state.recipe()
    card = services.backbone(recipe.backbone)
    with st.container(border=True, key=state.key("model", "chosen")):
        st.subheader(plain(card.title), anchor=False)
        st.markdown(t(f"family.{card.family}"))
        st.caption(t("model.chosen.licence", licence=licence(card)), help=t("model.chosen.licence.help"))
        kinds = [kind for kind in ("bundled", "pretrained", "random") if kind in card.weights] + [FILE]
        kind = _kind(kinds)
        st.segmented_control(
            t("model.weights"),
            kinds,
            default=kind,
            required=True,
            format_func=lambda kind: t(f"model.weights.{kind}"),
            help=t("model.weights.help"),
            key=state.key("model", "weights"),
            on_change=_take_weights,
        )
        st.caption(t(f"model.weights.{kind}.help"))
        notes.at_field("weights")
        if kind == "pretrained":
            _download(card)
        elif kind == FILE:
            _own_file()


def licence(card: "Card") -> str:
    """What the licence of the weights is and allows, in a few words where they are known."""
    key = f"licence.{card.licence}"
    return t(key) if has(key) else plain(card.licence)


def kind_of(weights: str) -> str:
    """`pretrained`, `bundled`, `random`, or `file` for a path."""
    return weights if weights in ("pretrained", "bundled", "random") else FILE


def _kind(kinds: Sequence[str]) -> str:
    """What the switch shows: the draft's kind, but for a person who has said 'a file' and not yet which."""
    kind = kind_of(state.recipe().weights)
    if state.value(state.key("model", "asked-file")) == state.recipe().backbone:
        kind = FILE
    kind = kind if kind in kinds else kinds[0]
    state.follow(state.key("model", "weights"), kind)
    return kind


def _take_weights() -> None:
    kind = state.value(state.key("model", "weights"))
    recipe = state.recipe()
    state.forgive("weights")
    if kind == FILE:
        state.put(state.key("model", "asked-file"), recipe.backbone)
        return
    state.forget(state.key("model", "asked-file"))
    if kind is not None:
        _adopt(kind)


def _adopt(weights: str) -> None:
    try:
        state.replace(drafting.with_weights(state.recipe(), weights))
    except ThawError as error:
        state.refuse("weights", error)


def _pick(name: str) -> None:
    state.forget(state.key("model", "asked-file"))
    try:
        state.replace(drafting.with_backbone(state.recipe(), name))
    except ThawError as error:
        state.refuse("backbone", error)


# --- pretrained -----------------------------------------------------------------------------------------------------------


def _download(card: "Card") -> None:
    if card.local:
        st.markdown(f":green[:material/check_circle:] {t('model.weights.here')}")
        return
    job = services.jobs().find("weights", card.name)
    if job is not None and job.state == "running":
        _progress(card.name)
        st.button(t("model.weights.cancel"), key=state.key("model", "cancel"), on_click=job.cancel, icon=":material/close:")
        return
    if job is not None and job.state == "failed" and job.error is not None:
        notes.failure(job.error, key=state.key("model", "download-failed"))
    st.button(
        t("model.weights.download", size=size(card.weights_bytes)),
        key=state.key("model", "download"),
        icon=":material/download:",
        on_click=_fetch,
        args=(card.name,),
    )


def _fetch(name: str) -> None:
    old = services.jobs().find("weights", name)
    if old is not None:
        services.jobs().forget(old)
    services.start_fetch(name)


@st.fragment(run_every=0.5)
def _progress(name: str) -> None:
    job = services.jobs().find("weights", name)
    if job is None or job.state != "running":
        st.rerun()
    total = size(job.total) if job.total else "?"
    st.progress(job.share, text=t("model.weights.progress", done=size(job.done), total=total))


# --- a file of one's own --------------------------------------------------------------------------------------------------


def _own_file() -> None:
    recipe = state.recipe()
    earlier = {str(file): name for name, file in services.models_of(recipe.backbone).items()}
    if kind_of(recipe.weights) == FILE:
        name = earlier.get(recipe.weights) or Path(recipe.weights).name
        st.markdown(f":green[:material/check_circle:] {t('model.file.chosen', name=plain(name))}")
    if earlier:
        chosen = list(earlier).index(recipe.weights) if recipe.weights in earlier else None
        widget = state.key("model", "earlier")
        state.follow(widget, recipe.weights if chosen is not None else None)
        st.selectbox(
            t("model.file.run"),
            list(earlier),
            index=chosen,
            format_func=earlier.__getitem__,
            placeholder=t("model.file.run.none"),
            key=widget,
            on_change=_take_earlier,
        )
    if services.keeps():
        st.text_input(
            t("model.file.path"),
            key=state.key("model", "path"),
            placeholder=t("model.file.path.example"),
            on_change=_take_path,
            persist_state="session",
        )
    sent = st.file_uploader(t("model.file.upload"), type="safetensors", key=state.key("model", "file"))
    if sent is not None and sent.file_id != state.value(state.key("model", "sent")):
        state.put(state.key("model", "sent"), sent.file_id)
        _adopt(str(services.keep_weights(sent.name, sent.getvalue())))
        st.rerun()


def _take_earlier() -> None:
    chosen = state.value(state.key("model", "earlier"))
    state.forgive("weights")
    if chosen:
        _adopt(chosen)


def _take_path() -> None:
    text = str(state.value(state.key("model", "path")) or "").strip().strip("\"'")
    path = Path(text).expanduser()
    state.forgive("weights")
    if not text:
        return
    if not services.keeps():
        state.refuse("weights", AccessError("gate.weights_place"))
    elif path.suffix != ".safetensors":
        state.refuse("weights", WeightsError("file.not_safetensors", name=path.name))
    elif not path.is_file():
        state.refuse("weights", WeightsError("file.missing", path=text))
    else:
        _adopt(str(path))
