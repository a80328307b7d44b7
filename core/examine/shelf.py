"""Shelf: examinations kept in the workspace's cache by what was examined. Knows files, not how things are found."""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from core.dataset.edits import read_edits, versions
from core.dataset.record import Dataset
from core.examine.finding import Examination, from_dict
from core.heavy import load_torch
from core.workspace import Workspace


def examine(
    dataset: Dataset,
    workspace: Workspace,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Examination:
    """Look at every image of `dataset`; equal content gives equal findings on one machine, and costs nothing a second time.

    `progress` hears (steps done, steps). Raises DataError: `examine.cancelled`, `dataset.image_missing`,
    `dataset.image_changed`, `image.*`.
    """
    file = _file(dataset, dataset.version, workspace)
    kept = _read(file)
    if kept is not None:
        return kept
    load_torch()
    from core.examine.look import look

    found = look(dataset, workspace, progress=progress, cancelled=cancelled)
    _keep(file, found)
    return found


def last_examination(dataset: Dataset, workspace: Workspace) -> Examination | None:
    """That of the newest version of `dataset` that was examined, or None. Its findings may be settled: see `still_open`."""
    seen: set[str] = set()
    for now in versions(read_edits(dataset.folder)):
        if now.version not in seen:
            seen.add(now.version)
            found = _read(_file(dataset, now.version, workspace))
            if found is not None:
                return found
    return None


def _file(dataset: Dataset, version: str, workspace: Workspace) -> Path:
    """The images, excluded ones too, stand for the import; the version for what was decided since."""
    everything = sorted((item.sha256, item.split or "") for item in (*dataset.items, *dataset.left_out))
    name = hashlib.sha256(json.dumps([dataset.id, dataset.classes, everything, version]).encode()).hexdigest()[:40]
    return workspace.cache / "examine" / f"{name}.json"


def _read(file: Path) -> Examination | None:
    try:
        return from_dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(file: Path, found: Examination) -> None:
    part = file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(found.to_dict()), "utf-8")
        part.replace(file)
    except OSError:  # a full disk: it is worked out again next time
        part.unlink(missing_ok=True)
