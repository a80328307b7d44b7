"""Bring a data set from the browser: a zip, a folder or pictures, straight to the disk of the server and with nothing lost.

Knows how bytes travel; what they are is looked at when they are imported. Words of refusals come from the catalogues by the
codes that the upload route answers with.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from core.words import catalogue
from ui import services
from ui.uploads import BATCH, SUFFIXES

HERE = Path(__file__).parent
NAMED = 200
"""Failed files that are given by name."""
_mount = st.components.v2.component(
    "thaw_upload",
    html=(HERE / "upload.html").read_text("utf-8"),
    css=(HERE / "upload.css").read_text("utf-8"),
    js=(HERE / "upload.js").read_text("utf-8"),
)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What has arrived."""

    path: Path
    """The zip, or the folder in which everything lies; inside the workspace's uploads, to be removed once imported."""
    name: str
    """What the zip or the folder is called, without its suffix; '' for pictures without a folder."""
    files: int
    bytes: int
    skipped: int
    """Files of other kinds that the browser did not send."""
    failed: tuple[tuple[str, str], ...]
    """(name as given, code) of files that did not arrive, the first few hundred; words: `error.upload.<code>.cause`."""
    failed_count: int


def upload(*, key: str, language: str) -> Uploaded | None:
    """Show where to drop files; gives what has arrived, once, in a run after it did."""
    state, place, news = st.session_state, f"{key}:ticket", f"{key}:arrived"
    if services.upload_folder(state.get(place, "")) is None:
        state[place] = services.new_ticket()

    def heard() -> None:  # before the page runs: a run that is cut short loses nothing
        arrived = _arrived(state[key].get("done"), state[place])
        if arrived is not None:
            state[news] = arrived

    base = str(st.get_option("server.baseUrlPath")).strip("/")
    _mount(
        key=key,
        data={
            "url": f"/{base}/api/upload" if base else "/api/upload",
            "token": state[place],
            "suffixes": list(SUFFIXES),
            "words": _words(language),
        },
        on_done_change=heard,
    )
    found = state.pop(news, None)
    return found if isinstance(found, Uploaded) else None


def _arrived(said: Any, token: str) -> Uploaded | None:
    """What lies in the folder of this upload. What the browser says of it is only repeated as figures."""
    folder = services.upload_folder(token)
    if folder is None or not isinstance(said, dict) or not BATCH.fullmatch(str(said.get("batch"))):
        return None
    folder /= str(said["batch"])
    if said.get("cancelled"):
        shutil.rmtree(folder, ignore_errors=True)
    if not folder.is_dir():
        return None
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.endswith(".part")]
    inside = list(folder.iterdir())
    failed = said.get("failed")
    pairs = [pair for pair in failed if isinstance(pair, list) and len(pair) == 2] if isinstance(failed, list) else []
    alone = len(inside) == 1 and (inside[0].is_dir() or inside[0].suffix.lower() == ".zip")
    name = (inside[0].name if inside[0].is_dir() else inside[0].stem) if alone else ""
    return Uploaded(
        path=inside[0] if alone else folder,
        name=name,
        files=len(files),
        bytes=sum(file.stat().st_size for file in files),
        skipped=_count(said.get("skipped")),
        failed=tuple((str(name), str(code)) for name, code in pairs[:NAMED]),
        failed_count=_count(said.get("failed_count")),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _words(language: str) -> dict[str, str]:
    texts = catalogue(language)
    words = {name.removeprefix("upload."): text for name, text in texts.items() if name.startswith("upload.")}
    for name, text in texts.items():
        if name.startswith("error.upload.") and name.endswith(".cause"):
            words["error." + name.removeprefix("error.upload.").removesuffix(".cause")] = text
    return words
