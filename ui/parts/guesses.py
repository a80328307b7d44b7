"""What the model thinks of the pictures a person gave: each as the model sees it, with the likeliest classes as bars."""

import streamlit as st

from core.run import Run
from ui import outcomes, state
from ui.components.answer import Answer, answer
from ui.jobs import Job
from ui.names import shown
from ui.parts import notes
from ui.parts.offer import Pictures
from ui.text import percent, t

SMALL = 160
"""Below so many pixels the squares that the model sees are shown."""
PATIENCE_SECONDS = 0.6
"""So long the page waits itself; what takes longer is asked for again and again, and the page stays alive."""


def show(run: Run, pictures: Pictures, kept: str = "") -> None:
    """Ask the model, or the moment in the file `kept`, and show what it says."""
    if not pictures:
        with st.container(border=True, horizontal_alignment="center", key=state.key("try_it", "nothing")):
            st.space("medium")
            st.markdown(t("try_it.nothing"), width="content", text_alignment="center")
            st.space("medium")
        return
    job = outcomes.predict(run.id, pictures, kept)
    if not job.wait(PATIENCE_SECONDS):
        _wait(job)
        return
    if job.error is not None:
        notes.failure(job.error, key=state.key("try_it", "failed"))
        return
    _answers(job.result)


@st.fragment(run_every=0.5)
def _wait(job: Job) -> None:
    if job.state != "running":
        st.rerun()
    st.skeleton(height=180)
    notes.waiting(t("try_it.thinking", done=job.done, total=job.total) if job.done else t("try_it.waking"))


def _answers(guesses: list[outcomes.Guess]) -> None:
    for number, one in enumerate(guesses):
        if one.error is not None:
            notes.failure(one.error, key=state.key("try_it", "bad", number))
    good = [one for one in guesses if one.error is None]
    answer(
        [
            Answer(
                one.picture,
                alt=t("try_it.picture.alt", name=one.name),
                title=shown(one.name),
                note=_sureness(one.bars[0][1]),
                bars=one.bars,
                caption=t("try_it.seen", side=one.side),
                grain=one.side < SMALL,
            )
            for one in good
        ],
        key=state.key("try_it", "answers"),
        label=t("try_it.answers"),
    )
    if good:
        st.caption(t("try_it.only_known", n=good[0].classes))


def _sureness(share: float) -> str:
    """How sure the model is, in words and as a number."""
    grade = "high" if share >= 0.9 else "middle" if share >= 0.6 else "low"
    return t(f"try_it.sure.{grade}", share=f"> {percent(0.999)}" if share > 0.9995 else percent(share))
