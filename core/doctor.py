"""Doctor: what this installation is made of and what it can use: versions, devices, workspace, weights. Changes nothing."""

import os
import platform
import shutil
import sqlite3
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from core.container import memory_bytes, usable_cores
from core.errors import StoreError, ThawError
from core.store import RunStore
from core.workspace import Workspace

PACKAGES = (
    "thaw",
    "torch",
    "torchvision",
    "streamlit",
    "numpy",
    "pillow",
    "safetensors",
    "onnx",
    "onnxruntime",
    "plotly",
    "pandas",
)


def examine(workspace: Workspace) -> dict[str, Any]:
    """Plain data. What is broken is told in `problems`, a list of sentences, instead of raised."""
    problems: list[str] = []
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: _version(name) for name in PACKAGES},
        "cores": min(psutil.cpu_count(logical=False) or usable_cores(), usable_cores()),
        "memory_bytes": memory_bytes(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "devices": _devices(problems),
        "workspace": {
            "path": str(workspace.root),
            "free_bytes": shutil.disk_usage(workspace.root).free,
            **_contents(workspace, problems),
        },
        "offline_weights": _weights(workspace, problems),
        "problems": problems,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices(problems: list[str]) -> list[str]:
    try:
        from core.eager import torch  # a torchvision that does not fit its torch fails here

        devices = [f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in range(torch.cuda.device_count())]
        return [*devices, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
    except (ImportError, OSError, RuntimeError) as error:
        problems.append(f"torch: {error}")
        return []


def _contents(workspace: Workspace, problems: list[str]) -> dict[str, Any]:
    from core.dataset import list_datasets

    try:
        _look_through(workspace)  # opening a damaged one would set it aside: that is the server's work
        store = RunStore(workspace)
        try:
            runs = store.count()
        finally:
            store.close()
        return {"runs": runs, "datasets": len(list_datasets(workspace))}
    except ThawError as error:
        problems.append(str(error))
        return {}


def _look_through(workspace: Workspace) -> None:
    """Raises StoreError (`store.damaged`)."""
    if not workspace.database.exists():
        return
    wrong = StoreError("store.damaged", path=str(workspace.database))
    try:
        with closing(sqlite3.connect(f"{workspace.database.absolute().as_uri()}?mode=ro", uri=True)) as db:
            found = db.execute("PRAGMA quick_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise wrong from error
    if found != ("ok",):
        raise wrong


def _weights(workspace: Workspace, problems: list[str]) -> list[str]:
    """Backbones whose pretrained weights are on this machine."""
    from core.backbones import cards

    try:
        return [card.name for card in cards(workspace) if card.local]
    except (ThawError, ImportError, OSError) as error:
        problems.append(str(error))
        return []
