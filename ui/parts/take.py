"""Taking a model along: its weights as safetensors, and ONNX, which is written and checked before it is offered."""

from math import ceil
from typing import TYPE_CHECKING

import streamlit as st

from core.run import Run
from ui import outcomes, state
from ui.components.download import download
from ui.jobs import Job
from ui.parts import notes
from ui.text import count, percent, size, t

if TYPE_CHECKING:
    from core.export import ExportReport


def show(run: Run) -> None:
    """Both formats, side by side where there is room."""
    st.header(t("take.title"), anchor=False)
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, key=state.key("take", "weights"), height="stretch"):
        _weights(run)
    with right.container(border=True, key=state.key("take", "onnx"), height="stretch"):
        report = _onnx(run)
    if report is not None:
        _code(run, report)


def _weights(run: Run) -> None:
    st.subheader(t("take.safetensors"), anchor=False)
    st.markdown(t("take.safetensors.what"))
    number_bytes = outcomes.weights_bytes(run.id)
    if number_bytes is None:
        st.caption(t("take.gone"))
        return
    download(
        t("take.safetensors.get"),
        outcomes.download_url(run.id, outcomes.MODEL),
        key=state.key("take", "weights", "get", run.id),
        note=size(number_bytes),
    )


def _onnx(run: Run) -> "ExportReport | None":
    """The way from nothing to a checked file; what is known about it, once it is there."""
    st.subheader(t("take.onnx"), anchor=False)
    st.markdown(t("take.onnx.what"))
    job = outcomes.export_job(run.id)
    if job is not None and job.state == "running":
        _wait(job)
        return None
    if job is not None and job.error is not None and job.state == "failed":
        notes.failure(job.error, key=state.key("take", "failed"))
    report = outcomes.exported(run.id)
    if report is None:
        st.button(
            t("take.onnx.prepare"),
            key=state.key("take", "onnx", "prepare"),
            icon=":material/verified:",
            on_click=_begin,
            args=(run.id,),
        )
        return None
    _checked(run, report)
    return report


def _begin(run_id: str) -> None:
    outcomes.export(run_id)


@st.fragment(run_every=0.7)
def _wait(job: Job) -> None:
    if job.state != "running":
        st.rerun()
    notes.waiting(t("take.onnx.working"))
    st.skeleton(height=40)


def _checked(run: Run, report: "ExportReport") -> None:
    """What the check found, and only then the file."""
    said = t(
        f"take.checked.{report.images_source}",
        same=count(report.same_top1),
        n=report.images_checked,
        difference=percent(ceil(report.largest_difference * 1e5) / 1e5, 3),
    )
    st.markdown(f":green[:material/verified:] {said}")
    download(
        t("take.onnx.get"),
        outcomes.download_url(run.id, outcomes.ONNX),
        key=state.key("take", "onnx", "get", run.id),
        note=size(report.bytes),
        primary=True,
    )


def _code(run: Run, report: "ExportReport") -> None:
    with st.expander(t("take.code"), icon=":material/code:", key=state.key("take", "code")):
        st.caption(t("take.code.how"))
        st.code(outcomes.usage(run), language="python")
        st.caption(t("take.sha256"))
        st.code(report.sha256, language=None, wrap_lines=True)
