"""The verdict on a model in plain words: how many pictures it names right, how sure that is, what blind guessing gets."""

import streamlit as st

from core.events import Scores, Tested
from core.run import Run
from ui import outcomes, state
from ui.text import count, listed, percent, plain, t


def show(run: Run, tested: Tested) -> None:
    """The headline, what it means, and the figures beside it."""
    scores = tested.scores
    right = outcomes.right(scores)
    with st.container(border=True, key=state.key("results", "verdict")):
        st.header(
            t(f"results.headline.{tested.split}", n=scores.images, images=count(scores.images), right=count(right)),
            anchor=False,
        )
        st.markdown(_meaning(scores, right))
        with st.grid(4, min_column_width=140, gap="small"):
            _figures(tested, right)
        for sentence in _caveats(run, tested):
            st.caption(sentence)


def _meaning(scores: Scores, right: int) -> str:
    """How far chance goes, and whether the model beats naming one class for ever."""
    low, high = outcomes.interval(right, scores.images)
    likely = t("results.interval", n=scores.images, images=count(scores.images), low=percent(low, 0), high=percent(high, 0))
    name = outcomes.majority_class(scores)
    share = percent(scores.majority_accuracy)
    blind = t("results.blind", name=plain(name), share=share) if name else t("results.blind.unnamed", share=share)
    beaten = low > scores.majority_accuracy
    return f"{likely} {blind} {t('results.better' if beaten else 'results.no_better')}"


def _figures(tested: Tested, right: int) -> None:
    scores = tested.scores
    gain = 100 * (scores.accuracy - scores.majority_accuracy)
    st.metric(
        t("results.accuracy"),
        percent(scores.accuracy),
        delta=t("results.points", points=f"{gain:+.1f}"),
        border=True,
        help=t("results.accuracy.help"),
        height="stretch",
    )
    st.metric(
        t("results.macro_f1"),
        percent(scores.macro_f1),
        border=True,
        help=t("results.macro_f1.help"),
        height="stretch",
    )
    st.metric(
        t("results.baseline"),
        percent(scores.majority_accuracy),
        border=True,
        help=t("results.baseline.help"),
        height="stretch",
    )
    st.metric(
        t("results.wrong"),
        count(scores.images - right),
        border=True,
        help=t("results.wrong.help"),
        height="stretch",
    )


def _caveats(run: Run, tested: Tested) -> list[str]:
    """What one should know before believing the figures."""
    chosen = "results.epoch" if run.best_val_accuracy is not None else "results.epoch.last"
    said = [t(chosen, epoch=tested.epoch, epochs=run.recipe.epochs)]
    if run.state == "stopped":
        part = outcomes.run_state(run.id).best_part
        within = tested.epoch == run.epoch and part < 1
        said.append(t("results.stopped.within" if within else "results.stopped", epoch=run.epoch, share=percent(part, 0)))
    if without := [score.name for score in tested.scores.per_class if not score.support]:
        words = t(f"results.unseen.{tested.split}", n=len(without), classes=listed(map(plain, without)))
        said.append(f":orange[:material/warning: {words}]")
    if tested.split == "val":
        said.append(f":orange[:material/info:] {t('results.val')}")
    return said
