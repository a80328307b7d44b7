"""What keeps a run from going on, or once did: others in the queue, a lost device, an interruption, a disk nearly full."""

from typing import TYPE_CHECKING

import streamlit as st

from ui import services, state
from ui.text import count, plain, size, t, time_in

if TYPE_CHECKING:
    from core.history import RunState


def waits(run_id: str) -> str:
    """Why a run in the queue is not at work yet, and about how long that takes where it is known."""
    turn = services.turn(run_id)
    if turn.why != "turn":
        return t(f"train.live.queued.{turn.why}", device=plain(turn.device))
    if turn.who and turn.seconds is not None:
        return t("train.live.queued.until", place=turn.place, who=plain(turn.who), time=time_in(turn.seconds))
    return t("train.live.queued", place=turn.place)


def disk(now: "RunState") -> None:
    """How little is free, where the next checkpoint may not fit any more."""
    free = services.low_disk(now.saved.size_bytes if now.saved else 0)
    if free is not None:
        st.warning(t("train.live.low_disk", free=size(free)), icon=":material/hard_drive:")


def interruption(now: "RunState") -> None:
    """Where the run was interrupted last, and from where it went on."""
    if now.interruptions:
        last = now.interruptions[-1]
        st.caption(f":material/power_off: {t('train.live.went_on', at=count(last.at), step=count(last.went_on_from))}")


def left_behind() -> None:
    """Say once in each tab what became of the runs that the last server left."""
    told = state.key("frame", "left-behind")
    if state.value(told):
        return
    state.put(told, True)
    for code, many in zip(("resumed", "given_up"), services.left_behind(), strict=True):
        if many:
            st.toast(t(f"notice.engine.{code}", n=many), icon=":material/power:", duration="infinite")
