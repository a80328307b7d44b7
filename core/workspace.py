"""The one folder that holds everything a person makes: data sets, runs, weights and what can be computed again."""

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import platformdirs

from core.errors import StoreError

DATABASE = "thaw.sqlite"
"""By this file a folder is known as a workspace."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths inside a workspace. Nothing here opens a file."""

    root: Path

    @property
    def database(self) -> Path:
        """The run store."""
        return self.root / DATABASE

    @property
    def datasets(self) -> Path:
        """One folder a data set."""
        return self.root / "datasets"

    @property
    def runs(self) -> Path:
        """One folder a run: checkpoints, the model, predictions, log."""
        return self.root / "runs"

    @property
    def weights(self) -> Path:
        """Downloaded pretrained weights."""
        return self.root / "weights"

    @property
    def uploads(self) -> Path:
        """Files on their way in; pieces and imports that were cut short wait here for a day or until they are done."""
        return self.root / "uploads"

    @property
    def backups(self) -> Path:
        """Copies of the run store, made hourly."""
        return self.root / "backups"

    @property
    def cache(self) -> Path:
        """What can be deleted at any time and is computed again."""
        return self.root / "cache"


def default_root() -> Path:
    """`THAW_WORKSPACE` if set, else the user's data directory."""
    chosen = os.environ.get("THAW_WORKSPACE")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("thaw", appauthor=False))


def open_workspace(root: Path | str | None = None) -> Workspace:
    """The workspace at `root` (default: `default_root()`), made if it is not there, for its owner alone.

    Raises StoreError (`workspace.unusable`) if the folder cannot be made or written to.
    """
    path = Path(root).expanduser().absolute() if root else default_root().absolute()
    workspace = Workspace(path)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (workspace.datasets, workspace.runs, workspace.weights, workspace.uploads, workspace.cache):
            folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass  # it can be written to
    except OSError as error:
        raise StoreError("workspace.unusable", path=str(path), reason=error.strerror or str(error)) from error
    return workspace
