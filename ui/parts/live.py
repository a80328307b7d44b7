"""A run as it goes: key figures that tick, curves that grow, and what it can be told. Drawn anew when its state changes."""

from typing import TYPE_CHECKING

import streamlit as st

from core.errors import ThawError
from core.events import Discard, Pause, Stop
from core.recipe import Recipe
from ui import navigation, outcomes, services, state
from ui.components.live_chart import live_chart
from ui.parts import hindrance, narration, notes, pins, steer, watch
from ui.text import compact, count, duration, figure, moment, percent, plain, said, set_title, strategy, t

if TYPE_CHECKING:
    from core.events import Command, Kept
    from core.history import RunState
    from core.run import Run

ACTIVE = ("queued", "running")
DISCARDING = state.key("train", "discarding")
"""The run about which a person is being asked."""
BADGES = {
    "queued": ("gray", ":material/hourglass_empty:"),
    "running": ("orange", ":material/local_fire_department:"),
    "paused": ("blue", ":material/pause:"),
    "interrupted": ("violet", ":material/power_off:"),
    "stopped": ("green", ":material/check:"),
    "finished": ("green", ":material/check_circle:"),
    "failed": ("red", ":material/error:"),
    "discarded": ("gray", ":material/delete:"),
}


def show(run: "Run") -> None:
    """Everything about one run that is at work, waits, rests or has ended."""
    now = services.run_state(run.id)
    _title(run, edited=now.edited)
    with st.container(key=state.key("train", "figures")):
        st.fragment(_figures, run_every=1.0 if run.state in ACTIVE else None)(run.id, run.state, marks=_marks(now))
    _controls(run)
    if run.state not in ("queued", "discarded"):
        live_chart(
            run.id,
            key=state.key("train", "chart", run.id),
            language=state.language(),
            groups={group.name: group.lr_scale for group in now.first_groups},
            later=[(edit.step, {group.name: group.lr_scale for group in edit.groups}) for edit in now.edits],
            steps_per_epoch=now.started.steps_per_epoch if now.started else 0,
        )
        pins.show(run)
        hindrance.interruption(now)
        for notice in now.notices:
            st.caption(f":material/info: {said(f'notice.{notice.code}', notice.values)}")
        if now.started is not None:
            steer.show(run, now)
        watch.film(run, now)


def _title(run: "Run", *, edited: bool) -> None:
    color, icon = BADGES[run.state]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(plain(run.name), anchor=False, width="content")
        st.badge(t(f"state.{run.state}"), icon=icon, color=color)  # type: ignore[arg-type]
    st.caption(f"{recipe_line(run.recipe)} · {t('train.edited')}" if edited else recipe_line(run.recipe))


def recipe_line(recipe: Recipe) -> str:
    """What a run is made of, in one line."""
    name = services.dataset_name(recipe.dataset) or recipe.dataset
    return t(
        "train.recipe",
        dataset=plain(set_title(recipe.dataset, name)),
        backbone=plain(recipe.backbone),
        strategy=strategy(recipe.strategy),
        n=recipe.epochs,
        batch=recipe.batch_size,
        side=recipe.image_size,
    )


def _marks(now: "RunState") -> tuple[object, ...]:
    """What the page shows besides the figures that tick: it is drawn again when this changes."""
    shown = now.started is not None, now.step > 0, len(now.pins)
    return *shown, len(now.edits), len(now.films), now.notices, len(now.interruptions)


def _figures(run_id: str, drawn: str, *, marks: tuple[object, ...]) -> None:
    """Ticks once a second while the run is active; when anything but a figure changes, the whole page is drawn again."""
    try:
        run, now = services.run(run_id), services.run_state(run_id)
    except ThawError as error:
        notes.failure(error, key=state.key("train", "tick"))
        return
    if run.state != drawn or _marks(now) != marks:
        st.rerun()
    if run.state in ("finished", "stopped"):
        st.success(sentence(run, now), icon=":material/check_circle:")
    else:
        st.progress(_share(now), text=sentence(run, now))
    if run.state == "running":
        hindrance.disk(now)
    if run.state == "running" and now.kept is not None and now.stage != "preparing":
        st.caption(_remembered(now.kept, now))
    if run.state == "running" and now.glance is not None:
        looked = now.glance
        words = {"right": count(looked.right), "share": percent(looked.right / looked.images)}
        st.caption(t(f"train.live.glance.{looked.split}", n=looked.images, time=f"{looked.seconds:.2f}", **words))
    narration.run(run, now)
    active = run.state in ACTIVE
    with st.grid(4, min_column_width=150, gap="small"):
        epochs = now.epochs_total or run.recipe.epochs
        _figure("epoch", f"{min(now.epoch, epochs)} / {epochs}", percent(now.fraction, 0))
        if active or run.test_accuracy is None:
            speed = compact(now.images_per_second) if now.images_per_second else "–"
            _figure("speed", speed, now.started.device if now.started else "–")
        else:
            _figure("test", percent(run.test_accuracy), t("train.live.test.of", n=now.scores.images if now.scores else 0))
        if active:
            _figure("left", duration(now.seconds_left), t("train.live.worked", time=duration(now.seconds)))
        else:
            _figure("took", duration(run.seconds), moment(run.ended))
        best = _when(run, now) if run.best_epoch else t("train.live.best.none")
        _figure("best" if active else "validation", percent(run.best_val_accuracy), best)


def _remembered(kept: "Kept", now: "RunState") -> str:
    """What the frozen blocks save, measured: an image's way through them against its way through the rest."""
    words = {
        "block": f"`{kept.block}`" if kept.block else t("train.live.kept.all"),
        "views": t("train.live.kept.views", n=kept.views) if kept.views > 1 else "",
    }
    if kept.seconds_per_image is None or not now.images_per_second:
        return t("train.live.kept.before", **words)
    times = 1 + kept.seconds_per_image * now.images_per_second
    return t("train.live.kept", times=f"{times:.0f}" if times >= 10 else f"{times:.1f}", **words)


def _figure(name: str, value: str, below: str) -> None:
    st.metric(
        t(f"train.live.{name}"),
        value,
        below,
        delta_color="off",
        delta_arrow="off",
        border=True,
        help=t(f"train.live.{name}.help"),
    )


def sentence(run: "Run", now: "RunState") -> str:
    """What the run does right now, in one sentence."""
    if run.state == "queued":
        return hindrance.waits(run.id)
    if run.state == "running":
        if now.stage == "preparing" and now.preparing is not None:
            what = now.preparing
            return t(f"train.live.preparing.{what.what}", done=count(what.done), total=count(what.total))
        if now.measuring is not None:
            looked = now.measuring
            return t(f"train.live.measuring.{looked.what}", done=count(looked.done), total=count(looked.total))
        return t(
            f"train.live.{now.stage}",
            step=count(now.step),
            steps=count(now.steps_total),
            loss=figure(now.loss),
        )
    if run.state in ("finished", "stopped"):
        return result(run, now)
    if run.state == "interrupted" and run.error is not None:
        return t("train.live.interrupted.device")
    return t(f"train.live.{run.state}")


def result(run: "Run", now: "RunState") -> str:
    """How it ended, in one sentence."""
    if not outcomes.has_model(run):
        return t("train.result.nothing")
    why = "early" if now.ended is not None and now.ended.reason == "early_stop" else run.state
    epoch, when = run.best_epoch or now.epoch, _when(run, now)
    if run.test_accuracy is not None:
        return t(f"train.result.{why}.test", accuracy=percent(run.test_accuracy), epoch=epoch, when=when)
    if run.best_val_accuracy is None:
        return t("train.result.unjudged", epoch=epoch)
    return t(f"train.result.{why}.val", accuracy=percent(run.best_val_accuracy), epoch=epoch, when=when)


def _when(run: "Run", now: "RunState") -> str:
    """The epoch of the best weights, and how much of it they had learned where the run was stopped within it."""
    epoch = run.best_epoch or now.epoch
    if now.best_part == 1.0:
        return t("train.live.best.epoch", epoch=epoch)
    return t("train.live.best.within", epoch=epoch, share=percent(now.best_part, 0))


def _share(now: "RunState") -> float:
    if now.stage != "preparing":
        return now.fraction
    return min(1.0, now.preparing.done / now.preparing.total) if now.preparing and now.preparing.total else 0.0


# --- what it can be told --------------------------------------------------------------------------------------------------


def _controls(run: "Run") -> None:
    if run.state in ("failed", "paused", "interrupted") and run.error is not None:
        notes.failure(ThawError(run.error[0], **run.error[1]), key=state.key("train", "failed"))
    now = services.run_state(run.id)
    asked = state.value(state.key("train", "asked"))  # of another attempt: it was heard, and the run went on since
    told = asked[1] if asked and (asked[0], asked[2]) == (run.id, now.attempt) and run.state in ACTIVE else None
    with st.container(horizontal=True, vertical_alignment="center", key=state.key("train", "controls")):
        if run.state == "running":
            _tell("pause", run.id, Pause(), ":material/pause:", told)
            _tell("stop", run.id, Stop(), ":material/flag:", told)
            pins.button(run, now.step, disabled=told is not None or now.stage == "testing")
        elif run.state in ("paused", "interrupted", "failed"):
            _resume(run.id, primary=True)
            if run.state != "failed" and now.saved is not None:  # what it has learned lies on the disk
                _tell("stop", run.id, Stop(), ":material/flag:", told)
        elif outcomes.has_model(run):
            if st.button(
                t("train.to_results"), key=state.key("train", "results"), type="primary", icon=":material/fact_check:"
            ):
                navigation.go("results")
            if st.button(t("train.to_try"), key=state.key("train", "try"), icon=":material/center_focus_strong:"):
                navigation.go("try_it")
            if run.state == "stopped":
                _resume(run.id, primary=False)
        if run.state in (*ACTIVE, "paused", "interrupted") and st.button(
            t("train.discard"),
            key=state.key("train", "discard"),
            type="tertiary",
            icon=":material/delete:",
            disabled=bool(told),
        ):
            state.put(DISCARDING, run.id)
        st.button(
            t("train.another"), key=state.key("train", "another"), type="tertiary", icon=":material/add:", on_click=_another
        )
    if state.value(DISCARDING) == run.id and run.state in (*ACTIVE, "paused", "interrupted"):
        _confirm(run.id)  # drawn again with the page, which the run draws anew while somebody thinks
    if told:
        notes.waiting(t("train.told.stop.waits" if (told, run.state) == ("stop", "queued") else f"train.told.{told}"))


def _tell(name: str, run_id: str, command: "Command", icon: str, told: str | None) -> None:
    st.button(
        t(f"train.{name}"),
        key=state.key("train", name),
        help=t(f"train.{name}.help"),
        icon=icon,
        disabled=told is not None,
        on_click=_send,
        args=(run_id, name, command),
    )


def _resume(run_id: str, *, primary: bool) -> None:
    st.button(
        t("train.resume"),
        key=state.key("train", "resume"),
        help=t("train.resume.help"),
        type="primary" if primary else "secondary",
        icon=":material/play_arrow:",
        on_click=_again,
        args=(run_id,),
    )
    notes.at_field("run")


def _send(run_id: str, name: str, command: "Command") -> None:
    try:
        services.send(run_id, command)
        state.put(state.key("train", "asked"), (run_id, name, services.run_state(run_id).attempt))
    except ThawError as error:
        state.refuse("run", error)


def _again(run_id: str) -> None:
    state.forget(state.key("train", "asked"))
    state.forgive("run")
    try:
        services.resume(run_id)
    except ThawError as error:
        state.refuse("run", error)


def _another() -> None:
    state.show_run(None)


def _confirm(run_id: str) -> None:
    """Ask before weights are thrown away."""

    @st.dialog(t("train.discard.title"), icon=":material/delete:", on_dismiss=lambda: state.forget(DISCARDING))
    def ask() -> None:
        st.markdown(t("train.discard.ask"))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button(t("train.discard.no"), key=state.key("train", "discard-no")):
                state.forget(DISCARDING)
                st.rerun()
            if st.button(t("train.discard.yes"), key=state.key("train", "discard-yes"), type="primary"):
                state.forget(DISCARDING)
                _send(run_id, "discard", Discard())
                st.rerun()

    ask()
