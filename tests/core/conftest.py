"""A workspace and its list of runs, both empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.store import RunStore
from core.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """The test's own folder."""
    return open_workspace(tmp_path)


@pytest.fixture
def store(workspace: Workspace) -> Iterator[RunStore]:
    """Open, and closed at the end."""
    store = RunStore(workspace)
    yield store
    store.close()
