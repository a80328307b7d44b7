"""From figures to pictures: the confusion matrix and the classes on one side, on the other the pictures behind a click."""

import streamlit as st

from core.events import Tested
from core.run import Run
from ui import names, outcomes, services, state
from ui.components.answer import Answer, answer
from ui.components.class_scores import class_scores
from ui.components.confusion import confusion
from ui.components.gallery import Picture, gallery
from ui.names import shown
from ui.outcomes import Prediction
from ui.text import percent, plain, t, words

PAGE = 24
Cell = tuple[int, int | None] | None
"""(class, class named), (class, None) for those of a class that were missed, or None for every mistake."""


@st.fragment
def show(run: Run, tested: Tested) -> None:
    """Both sides. A click here redraws only this part of the page."""
    cell: Cell = state.value(_memory(run.id))
    many = len(tested.scores.per_class) > 12
    left, right = st.columns([3, 2] if many else 2, gap="large")
    with left:
        _sides(run, tested, cell)
    with right:
        _pictures(run, tested, cell)


def _memory(run_id: str) -> str:
    return state.key("results", "cell", run_id)


def _open(run_id: str, cell: Cell) -> None:
    """Show the pictures of another cell, from the first page on."""
    state.put(_memory(run_id), cell)
    state.follow(state.key("results", "page"), 1)


def _sides(run: Run, tested: Tested, cell: Cell) -> None:
    """The matrix or the classes, as chosen."""
    scores = tested.scores
    view = st.segmented_control(
        t("results.view"),
        ("matrix", "classes"),
        default="matrix",
        required=True,
        key=state.key("results", "view"),
        format_func=lambda code: t(f"results.view.{code}"),
        label_visibility="collapsed",
    )
    if view == "matrix":
        st.caption(t("results.matrix.how"))
        confusion(
            scores.confused,
            [names.shown(one.name) for one in scores.per_class],
            key=state.key("results", "matrix", run.id),
            words=words("confusion."),
            chosen=(cell[0], cell[1]) if cell and cell[1] is not None else None,
            on_open=lambda clicked: _open(run.id, clicked),
        )
        return
    st.caption(t("results.classes.how"))
    class_scores(
        scores.per_class,
        key=state.key("results", "classes", run.id),
        words=words("scores."),
        chosen=cell[0] if cell and cell[1] is None else None,
        height=640 if len(scores.per_class) > 12 else 0,
        on_pick=lambda picked: _open(run.id, (picked, None)),
    )


def _pictures(run: Run, tested: Tested, cell: Cell) -> None:
    """The pictures behind the click, the telling ones first; a press on one shows what the model thought."""
    found = outcomes.predictions(run.id)
    classes = [one.name for one in tested.scores.per_class]
    behind = outcomes.behind(found, cell)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader(_heading(classes, cell, len(behind)), anchor=False)
        if cell is not None:
            st.button(
                t("results.all"),
                key=state.key("results", "all"),
                type="tertiary",
                icon=":material/filter_alt_off:",
                on_click=_open,
                args=(run.id, None),
            )
    if not found:
        st.caption(t("results.no_pictures"))
        return
    if behind:
        wrong = cell is None or cell[0] != cell[1]
        st.caption(t("results.order.wrong" if wrong else "results.order.right"))
    page_key = state.key("results", "page")
    pages = max(1, -(-len(behind) // PAGE))
    if state.value(page_key, 1) > pages:
        state.follow(page_key, 1)
    place = st.container()
    with st.container(horizontal_alignment="center"):
        page = st.pagination(pages, key=page_key) if pages > 1 else 1
    shown = behind[(page - 1) * PAGE : page * PAGE]
    with place:
        picked = gallery(
            [_tile(run, classes, one) for one in shown],
            key=state.key("results", "pictures", run.id),
            label=t("results.pictures"),
            side=112,
            clickable=True,
            empty=t("results.none_wrong") if cell is None else t("results.none_here"),
        )
    if picked is not None:
        _look(run, classes, shown[picked])


def _heading(classes: list[str], cell: Cell, n: int) -> str:
    if cell is None:
        return t("results.mistakes", n=n) if n else t("results.mistakes.none")
    true, said = cell
    if said is None:
        return t("results.missed", n=n, name=plain(classes[true]))
    if true == said:
        return t("results.hits", n=n, name=plain(classes[true]))
    return t("results.confused", n=n, true=plain(classes[true]), said=plain(classes[said]))


def _tile(run: Run, classes: list[str], one: Prediction) -> Picture:
    right = one.true == one.predicted
    share = percent(one.sure, 0)
    return Picture(
        services.thumb_url(run.recipe.dataset, one.sha256, 192),
        names.shown(classes[one.true]),
        t("results.sure", share=share)
        if right
        else t("results.mistaken", said=names.shown(classes[one.predicted]), share=share),
        tone="good" if right else "bad",
    )


def _look(run: Run, classes: list[str], one: Prediction) -> None:
    """One picture large, with all that the model thought of it."""

    @st.dialog(t("results.look"), width="medium")
    def dialog() -> None:
        right = one.true == one.predicted
        said = t("results.look.right") if right else t("results.look.wrong", name=shown(classes[one.true]))
        answer(
            [
                Answer(
                    outcomes.image_url(run.recipe.dataset, one.sha256),
                    alt=shown(classes[one.true]),
                    note=said,
                    caption=shown(one.name),
                    bars=tuple((shown(classes[at]), share) for at, share in one.top),
                    truth=shown(classes[one.true]),
                    tone="good" if right else "bad",
                )
            ],
            key=state.key("results", "look", one.sha256),
            label=t("results.look"),
            side=260,
        )

    dialog()
