"""Checking the images of a set: what looks suspicious, as cards with pictures, and a person's decisions with their undo."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from core.dataset import Dataset, Edit, Item
from core.dataset.summary import TINY
from core.errors import ThawError
from core.examine import HARD, Finding
from core.examine.finding import COPIES, KINDS
from ui import examining, services, state
from ui.components.gallery import Picture, gallery
from ui.jobs import Job
from ui.parts import notes
from ui.text import count, percent, plain, t, version

ON_A_PAGE = 6
"""Findings shown at a time."""
PICTURES = 4
"""Of one finding."""
SUREST = 0.99
"""Nothing is said to be surer."""
UNDOABLE = 30
"""Decisions listed, the newest ones."""


def show(dataset_id: str, data: Dataset) -> None:
    """The section of the data page."""
    st.subheader(t("examine.title"), anchor=False)
    st.caption(t("examine.lead"))
    if "@" in dataset_id:
        _older(dataset_id, data)
        return
    job = examining.job(dataset_id)
    if job is not None and job.state == "running":
        _progress(dataset_id)
        st.button(t("examine.stop"), key=state.key("data", "examine-stop"), on_click=job.cancel, icon=":material/close:")
        return
    if job is not None:
        _ended(job)
    notes.at_field("examine")
    found = examining.result(dataset_id)
    if found is None:
        _go(dataset_id, t("examine.go", n=count(len(data.items))), first=True)
    else:
        _found(dataset_id, data, found)
    if found is not None and not found.current:  # below, so that nothing moves at the first decision
        with st.container(horizontal=True, vertical_alignment="center"):
            _go(dataset_id, t("examine.again"), first=False)
            st.caption(f":material/history: {t('examine.stale')}", width="content")
    _decided(dataset_id)


def _go(dataset_id: str, label: str, *, first: bool) -> None:
    st.button(
        label,
        key=state.key("data", "examine"),
        on_click=partial(_begin, dataset_id),
        icon=":material/search_check:",
        type="primary" if first else "secondary",
    )


def _begin(dataset_id: str) -> None:
    try:
        examining.start(dataset_id)
    except ThawError as error:
        state.refuse("examine", error)


@st.fragment(run_every=0.5)
def _progress(dataset_id: str) -> None:
    job = examining.job(dataset_id)
    if job is None or job.state != "running":
        st.rerun()
    st.progress(job.share, text=f"{t('examine.running')} {percent(job.share, 0)}")


def _ended(job: Job) -> None:
    if job.state == "failed" and job.error is not None:
        notes.failure(job.error, key=state.key("data", "examine-failed"))
    elif job.state == "cancelled":
        st.caption(t("examine.stopped"))


def _older(dataset_id: str, data: Dataset) -> None:
    st.info(t("examine.older", version=version(data.version)), icon=":material/history:")
    st.button(
        t("examine.newest"),
        key=state.key("data", "examine-newest"),
        on_click=partial(_newest, dataset_id),
        icon=":material/update:",
    )


def _newest(dataset_id: str) -> None:
    state.edit(dataset=dataset_id.partition("@")[0])


# --- findings -------------------------------------------------------------------------------------------------------------


def _found(dataset_id: str, data: Dataset, found: examining.Open) -> None:
    if not found.findings:
        sentence = t("examine.done" if found.found else "examine.clean", n=count(len(data.items)))
        st.markdown(f":green[:material/check_circle:] {sentence}")
        return
    by_kind: dict[str, list[Finding]] = {}
    for finding in found.findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    kinds = [kind for kind in KINDS if kind in by_kind]
    with st.container(gap="xsmall", key=state.key("data", "examine-counts")):
        for kind in kinds:
            n = len(by_kind[kind])
            sentence = t(f"examine.count.{kind}", n=n, total=count(len(data.items)))
            st.markdown(f":orange[:material/report:] {sentence}")
    chosen = _which(kinds, by_kind)
    st.caption(t(f"examine.why.{chosen}", limit=TINY))
    if chosen == "label" and found.examination.told_apart < HARD:
        st.caption(f":orange[:material/help:] {t('examine.hard', share=percent(found.examination.told_apart, 0))}")
    mine = examining.may_decide(dataset_id)
    if not mine:
        st.caption(f":material/lock: {t('examine.shared')}")
    if chosen in COPIES:
        _leaks(dataset_id, by_kind[chosen], mine)
    _cards(dataset_id, data, by_kind[chosen], mine)


def _which(kinds: Sequence[str], by_kind: dict[str, list[Finding]]) -> str:
    """The kind that is looked at; once the last of a kind is settled, the next one."""
    widget = state.key("data", "examine-kind")
    if state.value(widget, kinds[0]) not in kinds:
        state.follow(widget, kinds[0])
    if len(kinds) == 1:
        return kinds[0]
    chosen: str = st.segmented_control(
        t("examine.which"),
        kinds,
        default=kinds[0],
        required=True,
        key=widget,
        format_func=lambda kind: f"{t(f'examine.kind.{kind}')} · {count(len(by_kind[kind]))}",
    )
    return chosen


def _leaks(dataset_id: str, findings: Sequence[Finding], mine: bool) -> None:
    """How many copies are learned from and tested with as the draft divides the set, and one button for all of them."""
    try:
        n = examining.leaking(state.recipe(), findings)
    except ThawError:
        return
    sentence = t("examine.leaks", n=n) if n else t("examine.leaks.none")
    st.markdown(f":orange[:material/call_split:] {sentence}" if n else f":green[:material/check:] {sentence}")
    if len(findings) > 1 and findings[0].kind in {"near", "same"}:
        st.button(
            t("examine.act.all_together", n=len(findings)),
            key=state.key("data", "examine-all"),
            on_click=partial(_decide_all, dataset_id, tuple(findings)),
            icon=":material/group_work:",
            disabled=not mine,
        )


def _cards(dataset_id: str, data: Dataset, findings: Sequence[Finding], mine: bool) -> None:
    pages = max(1, -(-len(findings) // ON_A_PAGE))
    page_key = state.key("data", "examine-page", findings[0].kind)
    if state.value(page_key, 1) > pages:
        state.follow(page_key, pages)
    place = st.container()
    with st.container(horizontal_alignment="center"):
        page = st.pagination(pages, key=page_key) if pages > 1 else 1
    known = examining.items(dataset_id)
    with place, st.grid(3, min_column_width=270, gap="small"):
        for finding in findings[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]:
            with st.container(border=True, key=state.key("data", "finding", _name(finding))):
                _card(dataset_id, data, finding, known, mine)


def _card(dataset_id: str, data: Dataset, finding: Finding, known: dict[str, Item], mine: bool) -> None:
    if finding.kind == "imbalance":
        n = data.counts()[finding.label]
        st.markdown(t("examine.rare", n=n, label=plain(finding.label), ratio=f"{finding.number:.3g}"))
        _button(dataset_id, "ignore", finding, "ignore", label=finding.label, disabled=not mine)
        return
    images = [known[sha] for sha in finding.images]
    several = len({item.label for item in images}) > 1 or finding.kind == "leak"
    gallery(
        [
            Picture(
                services.thumb_url(dataset_id, item.sha256, 192),
                data.classes[item.label] if several else "",
                t("examine.split", split=t(f"split.{item.split}")) if several and item.split else "",
                alt=t("examine.picture", n=number),
            )
            for number, item in enumerate(images[:PICTURES], 1)
        ],
        key=state.key("data", "finding-pictures", _name(finding)),
        label=t(f"examine.kind.{finding.kind}"),
        side=108 if len(images) > 1 else 132,
        fit="contain" if finding.kind in {"shape", "tiny"} else "cover",
    )
    lines = [] if several else [t("examine.filed", label=f"**{plain(data.classes[images[0].label])}**")]
    if finding.kind == "label":
        looks, sure = t("examine.looks", label=f"**{plain(finding.label)}**"), min(finding.number, SUREST)
        lines.append(f"{looks} · {t('examine.sure', share=percent(sure, 0))}")
    st.markdown("  \n".join(lines))
    _buttons(dataset_id, data, finding, mine)


def _buttons(dataset_id: str, data: Dataset, finding: Finding, mine: bool) -> None:
    off = not mine
    known = examining.items(dataset_id)
    labels = dict.fromkeys(data.classes[known[sha].label] for sha in finding.images)
    with st.container(horizontal=True, gap="xsmall"):
        if finding.kind == "label":
            _button(dataset_id, "move", finding, "relabel", label=finding.label, primary=True, disabled=off)
        if finding.kind == "clash":
            for label in labels:
                _button(dataset_id, "move", finding, "relabel", label=label, disabled=off)
        if finding.kind in {"near", "same"}:
            _button(dataset_id, "together", finding, "together", primary=finding.kind == "near", disabled=off)
        if finding.kind in {"near", "same", "leak"}:
            _button(dataset_id, "exclude_copies", finding, "exclude", images=finding.images[1:], disabled=off)
        else:
            _button(dataset_id, "exclude", finding, "exclude", disabled=off)
        if finding.kind == "label":
            _other_class(dataset_id, data, finding, off)
        _button(dataset_id, "ignore", finding, "ignore", disabled=off)


def _button(
    dataset_id: str,
    words: str,
    finding: Finding,
    act: examining.Act,
    *,
    images: Sequence[str] = (),
    label: str = "",
    primary: bool = False,
    disabled: bool = False,
) -> None:
    meant = tuple(images or finding.images)
    st.button(
        t(f"examine.act.{words}", label=plain(label), n=len(meant)),
        key=state.key("data", "finding", words, label, _name(finding)),
        on_click=partial(_decide, dataset_id, act, meant, label, finding.kind),
        type="primary" if primary else "secondary",
        disabled=disabled,
    )


def _other_class(dataset_id: str, data: Dataset, finding: Finding, off: bool) -> None:
    """Any class at all, in a little window of its own."""
    with st.popover(t("examine.act.other"), key=state.key("data", "finding-other", _name(finding)), disabled=off):
        widget = state.key("data", "finding-class", _name(finding))
        chosen = st.selectbox(t("examine.act.class"), data.classes, key=widget)
        st.button(
            t("examine.act.set"),
            key=state.key("data", "finding-set", _name(finding)),
            on_click=partial(_decide, dataset_id, "relabel", finding.images, chosen, finding.kind),
            type="primary",
        )


def _name(finding: Finding) -> str:
    """Of its widgets."""
    return f"{finding.kind}-{finding.images[0][:16] if finding.images else finding.label}"


# --- decisions ------------------------------------------------------------------------------------------------------------


def _decide(dataset_id: str, act: examining.Act, images: Sequence[str], label: str, kind: str) -> None:
    _try(lambda: examining.make(dataset_id, act, images, label=label, kind=kind))


def _decide_all(dataset_id: str, findings: Sequence[Finding]) -> None:
    _try(lambda: examining.keep_together(dataset_id, findings))


def _take_back(dataset_id: str, number: int) -> None:
    _try(lambda: examining.take_back(dataset_id, number))


def _try(act: Callable[[], object]) -> None:
    state.forgive("examine")
    try:
        act()
    except ThawError as error:
        state.refuse("examine", error)


def _decided(dataset_id: str) -> None:
    made = examining.decisions(dataset_id)
    if not made:
        return
    with st.expander(t("examine.decided", n=count(len(made))), key=state.key("data", "examine-decided")):
        st.caption(t("examine.decided.help"))
        mine = examining.may_decide(dataset_id)
        for edit in made[:UNDOABLE]:
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.markdown(_said(edit), width="content")
                st.button(
                    t("examine.undo"),
                    key=state.key("data", "examine-undo", edit.number),
                    on_click=partial(_take_back, dataset_id, edit.number),
                    icon=":material/undo:",
                    type="tertiary",
                    disabled=not mine,
                )


def _said(edit: Edit) -> str:
    kind = t(f"examine.kind.{edit.kind}") if edit.kind in KINDS else "–"
    return t(f"examine.decided.{edit.act}", n=len(edit.images), label=plain(edit.label), kind=kind)
