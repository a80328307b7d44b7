"""One component a page, chosen by the address, ?page=tree&net=resnet18&lang=zh, or by the box, where a visit begins anew."""

import json
from functools import cache
from urllib.parse import parse_qsl

import streamlit as st

from core.backbones import layer_tree as read
from core.layers import LayerTree
from core.recipe import BlockRule
from core.words import LANGUAGES
from ui.components.film_strip import Cell, Strip, film_strip
from ui.components.layer_tree import layer_tree
from ui.components.live_chart import live_chart
from ui.components.timeline import Row, timeline
from ui.components.upload import upload

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="


@cache
def network(name: str) -> LayerTree:
    return read(name, classes=10, image_size=224)


def said(rules: tuple[BlockRule, ...]) -> str:
    return json.dumps({rule.path: [rule.trainable, rule.lr_scale] for rule in rules})


def keep(before: tuple[BlockRule, ...], now: tuple[BlockRule, ...]) -> None:
    if st.session_state.rules == before:
        st.session_state.rules = now


def tree_page() -> None:
    tree = network(ASKED.get("net", "resnet18"))
    head_only = (BlockRule(path="", trainable=False), BlockRule(path=tree.head, trainable=True))
    deep = [row for row in tree.rows if row.children and row.path != tree.head][-1]
    last = (*head_only, BlockRule(path=deep.path, trainable=True, lr_scale=0.1))
    presets = {"head": head_only, "last": last, "all": ()}
    st.session_state.setdefault("rules", presets[ASKED.get("preset", "last")])
    st.session_state.setdefault("of", tree.backbone)
    if st.session_state.of != tree.backbone:
        st.session_state.update(of=tree.backbone, rules=presets["last"])

    def use(name: str) -> None:
        st.session_state.rules = presets[name]

    with st.container(horizontal=True):
        for name in presets:
            st.button(name, key=f"preset_{name}", on_click=use, args=(name,))
        busy = st.toggle("busy", key="busy")
        shown = st.toggle("shown", value=True, key="shown")
        start = st.button("start", key="start")
    with st.container(key="started"):
        st.code(said(st.session_state.rules) if start else "", language=None)
    if shown:
        st.session_state.rules = layer_tree(
            tree, st.session_state.rules, key="tree", language=LANG, base_lr=0.001, disabled=busy, on_change=keep
        )
    with st.container(key="rules"):
        st.code(said(st.session_state.rules), language=None)


def chart_page() -> None:
    many = {f"encoder.layer_{n}": 0.65**n for n in range(12)}
    live_chart(
        ASKED.get("run", "01JCQ8Y5T0000000000000VE01"),
        key="chart",
        language=LANG,
        groups=many if ASKED.get("groups") == "many" else {"": 1.0, "layer4": 0.1},
        steps_per_epoch=50,
    )
    if st.toggle("again", key="again"):
        st.write("a run of the page")


def upload_page() -> None:
    done = upload(key="upload", language=LANG)
    if done:
        st.session_state.done = done
    with st.container(key="result"):
        st.code(str(st.session_state.get("done")), language=None)


def line_page() -> None:
    st.session_state.setdefault("since", {"stem": None, "body": 4, "head": 1})

    def use(since: dict[str, int | None]) -> None:
        st.session_state.since = since

    with st.container(horizontal=True):
        st.button("preset", key="preset", on_click=use, args=({"stem": None, "body": 1, "head": 1},))
        busy = st.toggle("busy", key="busy")
        now = 5 if st.toggle("live", key="live") else None
        start = st.button("start", key="start")
    st.session_state.since = timeline(
        [Row(key, f"Stage <b>{key}</b>", since) for key, since in st.session_state.since.items()],
        epochs=10,
        key="line",
        language=LANG,
        now=now,
        disabled=busy,
        on_change=use,
        current=lambda: dict(st.session_state.since),
    )
    got = json.dumps(st.session_state.since)
    for key, text in {"got": got, "started": got if start else ""}.items():
        with st.container(key=key):
            st.code(text, language=None)


def film_page() -> None:
    st.session_state.setdefault("epochs", int(ASKED["epochs"]))
    if st.button("grow", key="grow"):
        st.session_state.epochs += 1
    epochs = range(1, st.session_state.epochs + 1)
    labels = json.loads(ASKED["labels"])
    said = [labels, labels[1:] + labels[:1]]  # wrong in odd epochs
    strips = [
        Strip(PIXEL, label, tuple(Cell(said[n % 2][at], min(1, 0.2 + n / 10), n % 2 == 0) for n in epochs))
        for at, label in enumerate(labels)
    ]
    film_strip(strips, epochs, key="film", language=LANG)


def forget() -> None:
    visit = st.session_state.visit
    st.session_state.clear()
    st.session_state.visit = visit


if __name__ == "__main__":
    st.set_page_config(page_title="Components", layout="wide", page_icon=None)
    ASKED = dict(parse_qsl(st.text_input("visit", key="visit", on_change=forget))) or st.query_params.to_dict()
    LANG = ASKED.get("lang", LANGUAGES[0])
    pages = {"tree": tree_page, "chart": chart_page, "upload": upload_page, "line": line_page, "film": film_page}
    if shown := pages.get(ASKED.get("page", "none")):
        with st.container(key="stage"):
            shown()
