"""Runs as rows, what can be done with each, and what came of it. Deleting is undone with one press."""

import streamlit as st

from core.errors import ThawError
from core.run import ACTIVE, Run
from ui import navigation, outcomes, services, state
from ui.components.run_list import Row, Tone, run_list
from ui.names import shown
from ui.parts import notes
from ui.text import duration, has, moment, percent, plain, set_title, strategy, t, words

TONES: dict[str, Tone] = {
    "running": "warm",
    "paused": "cold",
    "interrupted": "cold",
    "stopped": "good",
    "finished": "good",
    "failed": "bad",
}
_TOLD = "runs.told"
_CLEARED = "runs.cleared"


def show(runs: list[Run]) -> tuple[str, ...]:
    """The rows; does what was pressed, and gives the ids that were ticked in the order of ticking."""
    ticked, pressed = run_list(
        [row(run) for run in runs],
        key=state.key("runs", "list"),
        words=words("runlist.row."),
        cleared=state.value(_CLEARED, 0),
    )
    if pressed is not None:
        _do(*pressed)
    return ticked


def show_bin(runs: list[Run]) -> None:
    """What lies in the bin, each with its way back."""
    st.caption(t("runlist.bin.how"))
    rows = [row(run, actions=("restore",)) for run in runs]
    if st.button(
        t("runlist.empty_bin"), key=state.key("runs", "empty-bin"), icon=":material/delete_forever:", type="tertiary"
    ):
        _empty(len(runs))
    _, pressed = run_list(rows, key=state.key("runs", "binned"), words=words("runlist.row."))
    if pressed is not None:
        _do(*pressed)


def _empty(many: int) -> None:
    @st.dialog(t("runlist.empty_bin"), icon=":material/delete_forever:")
    def ask() -> None:
        st.markdown(t("runlist.empty_bin.ask", n=many))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button(t("runlist.empty_bin.no"), key=state.key("runs", "empty-no")):
                st.rerun()
            yes = state.key("runs", "empty-yes")
            if st.button(t("runlist.empty_bin.yes"), key=yes, type="primary", on_click=outcomes.empty_bin):
                st.rerun()

    ask()


def clear() -> None:
    """Take all ticks away."""
    state.put(_CLEARED, state.value(_CLEARED, 0) + 1)


def row(run: Run, *, actions: tuple[str, ...] | None = None) -> Row:
    """What one run looks like in the list."""
    live = run.state in ACTIVE  # what changes by itself is said above the list, by a part that is drawn again and again
    epochs = run.recipe.epochs
    facts = (
        (t("runlist.fact.test"), percent(run.test_accuracy)),
        (t("runlist.fact.val"), percent(None if live else run.best_val_accuracy)),
        (t("runlist.fact.epochs"), str(epochs) if live else f"{run.epoch}/{epochs}"),
        (t("runlist.fact.time"), duration(None if live or not run.seconds else run.seconds)),
        (t("runlist.fact.created"), moment(run.created)),
    )
    offered = actions if actions is not None else possible(run)
    return Row(
        id=run.id,
        name=shown(run.name),
        state=t(f"state.{run.state}"),
        tone=TONES.get(run.state, ""),
        text=summary(run),
        facts=facts,
        actions=tuple((action, t(f"runlist.do.{action}")) for action in offered),
        note=_why(run),
        tickable=actions is None and run.epoch > 0,
    )


def possible(run: Run) -> tuple[str, ...]:
    """What can be done with a run, the most likely first."""
    if run.state == "queued":
        return "open", "rename"
    if run.state == "running":
        return "open", "pause", "rename"
    first = ("resume",) if outcomes.can_resume(run) else ()
    seen = ("open",) if first or outcomes.has_model(run) or run.step > 0 else ()
    return (*first, *seen, "rename", "delete")


def summary(run: Run) -> str:
    """Data set, backbone and strategy in one line."""
    recipe = run.recipe
    data = set_title(recipe.dataset, services.dataset_name(recipe.dataset)) or recipe.dataset
    return " · ".join((data, recipe.backbone, strategy(recipe.strategy)))


def _why(run: Run) -> str:
    """Why a run failed, as plain text."""
    if run.error is None or run.state != "failed":
        return ""
    code, values = run.error
    if not has(f"error.{code}.cause"):
        return code
    return f"{t(f'error.{code}.cause', **values)} {t(f'error.{code}.remedy', **values)}"


def _do(action: str, run_id: str) -> None:
    run = outcomes.find(run_id)
    if run is None:
        return
    if action == "open":
        state.show_run(run.id)
        navigation.go("results" if outcomes.has_model(run) else "train")
    elif action == "rename":
        _rename(run)
    else:
        _carry_out(action, run)
        st.rerun()


def _carry_out(action: str, run: Run) -> None:
    """What came of it, or why it was refused, is said at the top of the next run of the page."""
    try:
        if action == "resume":
            outcomes.resume(run.id)
        elif action == "pause":
            outcomes.pause(run.id)
        elif action == "delete":
            outcomes.delete(run.id)
        elif action == "restore":
            outcomes.restore(run.id)
        state.put(_TOLD, (action, run.id, None))
    except ThawError as error:
        state.put(_TOLD, (action, run.id, error))


def said() -> None:
    """What came of the last press, with the way back after a deletion. Said once, until the next press."""
    action, run_id, error = state.value(_TOLD) or ("", "", None)
    run = outcomes.find(run_id)
    if run is None:
        return
    if error is not None:
        notes.failure(error, key=state.key("runs", "refused"))
        return
    if action == "delete" and run.deleted:
        with st.container(horizontal=True, vertical_alignment="center", key=state.key("runs", "undo", "row")):
            st.markdown(f":material/delete: {t('runlist.told.delete', name=plain(run.name))}", width="content")
            st.button(
                t("runlist.undo"), key=state.key("runs", "undo"), icon=":material/undo:", on_click=_undo, args=(run.id,)
            )
    elif action != "delete":
        st.toast(t(f"runlist.told.{action}", name=plain(run.name)), icon=":material/check:")
        state.forget(_TOLD)


def _undo(run_id: str) -> None:
    outcomes.restore(run_id)
    state.put(_TOLD, ("restore", run_id, None))


def _rename(run: Run) -> None:
    @st.dialog(t("runlist.rename"))
    def dialog() -> None:
        name = st.text_input(
            t("runlist.rename.name"), value=run.name, key=state.key("runs", "rename", run.id), max_chars=200
        )
        if st.button(t("runlist.rename.save"), key=state.key("runs", "rename", "save"), type="primary"):
            try:
                outcomes.rename(run.id, name)
            except ThawError as error:
                notes.failure(error, key=state.key("runs", "rename", "refused"))
                return
            state.forget(_TOLD)
            st.rerun()

    dialog()


def training() -> None:
    """Runs that wait or run, with their progress; nothing if there are none."""
    live = outcomes.active()
    if live:
        _ticking(tuple(run.id for run in live))


@st.fragment(run_every=2.0)
def _ticking(shown: tuple[str, ...]) -> None:
    """Progress of the runs at work. When one of them begins or ends, the whole page is drawn anew."""
    live = outcomes.active()
    if tuple(run.id for run in live) != shown:
        st.rerun()
    for run in live:
        share = outcomes.run_state(run.id).fraction if run.state == "running" else 0.0
        key = "runlist.live" if run.state == "running" else "runlist.waits"
        st.progress(
            share, text=t(key, name=plain(run.name), epoch=run.epoch, epochs=run.recipe.epochs, share=percent(share, 0))
        )
