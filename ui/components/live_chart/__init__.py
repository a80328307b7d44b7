"""The curves of one run while it learns and afterwards: loss, accuracy, and the learning rate of each group.

Outside of Streamlit's runs it asks the delta route by itself: nothing flickers and a zoom stays. When the run has ended it
stops asking. Knows a run by its id only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from core.words import catalogue
from ui.routes import PLOTLY_URL

HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "thaw_live_chart",
    html=(HERE / "live_chart.html").read_text("utf-8"),
    css=(HERE / "live_chart.css").read_text("utf-8"),
    js=(HERE / "live_chart.js").read_text("utf-8"),
    isolate_styles=False,
)


def live_chart(
    run_id: str,
    *,
    key: str,
    language: str,
    groups: Mapping[str, float] | None = None,
    later: Sequence[tuple[int, Mapping[str, float]]] = (),
    steps_per_epoch: int = 0,
    every_seconds: float = 1.0,
) -> None:
    """Draw the curves of `run_id`, and keep them up to date until it ends.

    `groups` are the parameter groups that the run began with, by name with their scale of the base learning rate
    (`Plan.rates()`), `later` those that took their place after a step; without them there is no chart of rates. With
    `steps_per_epoch` the axis counts epochs, else steps.
    """
    base = str(st.get_option("server.baseUrlPath")).strip("/")  # our routes get no prefix from Streamlit: a proxy maps them
    prefix = f"/{base}" if base else ""
    _mount(
        key=key,
        data={
            "run": run_id,
            "url": f"{prefix}/api/runs/{run_id}/curve",
            "plotly": prefix + PLOTLY_URL,
            "stretches": [(0, dict(groups or {})), *((step, dict(scales)) for step, scales in later)],
            "steps_per_epoch": steps_per_epoch,
            "every": every_seconds,
            "words": {
                name.removeprefix("chart."): text for name, text in catalogue(language).items() if name.startswith("chart.")
            },
        },
    )
