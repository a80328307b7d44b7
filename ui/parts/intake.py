"""Bringing pictures: an upload, a folder of this machine; and the import that follows, watched while it goes on."""

from pathlib import Path

import pandas as pd
import streamlit as st

from core.dataset import Refused
from core.errors import AccessError, DataError, ThawError
from ui import drafting, services, state
from ui.components.upload import upload
from ui.jobs import Job
from ui.names import shown
from ui.parts import look, notes
from ui.text import count, duration, percent, plain, said_cause, t

WAYS = ("upload", "folder")
JOB = state.key("data", "import")
LOST = state.key("data", "lost")


def show() -> None:
    """The ways to bring pictures, or the import under way."""
    job = current()
    if job is not None and job.state == "running":
        _progress(job.id)
        st.button(t("data.import.cancel"), key=state.key("data", "cancel"), on_click=job.cancel, icon=":material/close:")
        return
    if job is not None:
        _ended(job)
    _lost()
    way = _way() if services.reads_folders() else "upload"
    st.caption(t(f"data.bring.{way}.help"))
    if way == "folder":
        _folder()
    else:
        _upload()


def _way() -> str:
    return st.segmented_control(
        t("data.bring.way"),
        WAYS,
        default="upload",
        required=True,
        key=state.key("data", "way"),
        format_func=lambda way: t(f"data.bring.{way}"),
        label_visibility="collapsed",
    )


def current() -> Job | None:
    """The import that this tab watches: its own, or after a reload the one that is running."""
    own = services.jobs().get(state.value(JOB))
    if own is not None:
        return own
    running = services.running_import()
    if running is not None:
        state.put(JOB, running.id)
        return running
    return None


def _upload() -> None:
    widget = state.key("data", "upload")
    arrived = upload(key=widget, language=state.language())
    if arrived is None:
        return
    state.forget(f"{widget}:ticket")  # the next upload gets a folder of its own
    state.put(LOST, arrived.failed)
    try:
        job = services.start_import(arrived.path, arrived.name or t("data.bring.unnamed"), upload=True)
    except AccessError as error:
        notes.failure(error, key=state.key("data", "refused-import"))
        return
    state.put(JOB, job.id)
    st.rerun()


def _lost() -> None:
    """Files that did not arrive, by name: nothing is dropped without a word."""
    lost = state.value(LOST) or ()
    if not lost:
        return
    st.warning(t("data.lost", n=len(lost)), icon=":material/cloud_off:")
    rows = [(shown(name), said_cause(f"upload.{code}")) for name, code in lost]
    st.dataframe(
        pd.DataFrame(rows, columns=[t("data.skipped.file"), t("data.skipped.why")]),
        key=state.key("data", "lost-table"),
        hide_index=True,
        height=min(38 * (len(rows) + 1), 240),
        alt=t("data.lost", n=len(lost)),
    )


def _folder() -> None:
    with st.form(state.key("data", "folder-form"), border=False):
        st.text_input(
            t("data.bring.path"),
            key=state.key("data", "path"),
            placeholder=t("data.bring.path.example"),
            persist_state="session",
        )
        pressed = st.form_submit_button(
            t("data.bring.path.go"), key=state.key("data", "path-go"), icon=":material/folder_open:"
        )
    if pressed:
        _start_folder()
    notes.at_field("path")


def _home(text: str) -> Path:
    """`~` written out. Raises DataError (`path.missing`) if it is that of nobody."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise DataError("path.missing", path=text) from error


def _start_folder() -> None:
    text = str(state.value(state.key("data", "path")) or "").strip().strip("\"'")
    state.forgive("path")
    try:
        said = _home(text)
        source = services.server_folder(said) if said.is_absolute() else said
        if not said.is_absolute() or not source.exists():
            raise DataError("path.missing", path=text or "–")
        job = services.start_import(source, said.stem if source.is_file() else said.name)
    except ThawError as error:
        state.refuse("path", error)
        return
    state.put(JOB, job.id)
    st.rerun()


@st.fragment(run_every=0.5)
def _progress(job_id: str) -> None:
    job = services.jobs().get(job_id)
    if job is None or job.state != "running":
        st.rerun()
    done = t("data.import.progress", done=count(job.done), total=count(job.total)) if job.total else t("data.import.begin")
    st.markdown(f"**{t('data.import.running', name=plain(job.name))}**")
    st.progress(job.share, text=" · ".join((done, percent(job.share, 0), *_left(job))) if job.total else done)
    st.caption(t("data.import.leave"))


def _left(job: Job) -> tuple[str, ...]:
    return () if job.seconds_left is None else (t("data.import.left", time=duration(job.seconds_left)),)


def _ended(job: Job) -> None:
    if job.state == "done":
        state.forget(JOB)
        services.jobs().forget(job)
        state.put(state.key("data", "new"), job.result.id)
        choose(job.result.id)
        st.toast(t("data.import.done", name=plain(job.result.name)), icon=":material/check_circle:")
        st.rerun()
    elif job.state == "failed" and job.error is not None:
        notes.failure(job.error, key=state.key("data", "failed"))
        if isinstance(job.error, Refused) and job.error.skipped:
            with st.expander(t("data.import.files", n=len(job.error.skipped)), key=state.key("data", "refused")):
                look.skipped(job.error.skipped, key=state.key("data", "refused-table"))
    else:
        st.caption(t("data.import.cancelled", name=plain(job.name)))


def choose(dataset_id: str) -> None:
    """Make a data set the one of the draft, with an image size that suits its pictures."""
    if dataset_id != state.recipe().dataset:
        state.replace(drafting.with_dataset(state.recipe(), dataset_id))
