"""Pages are tested over a workspace of their own and an engine that only listens, unless a test asks for a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.workspace import Workspace, open_workspace
from ui import services


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return open_workspace(tmp_path / "workspace")


@pytest.fixture
def house(workspace: Workspace) -> Iterator[Workspace]:
    """`services` opened over an empty workspace with a real store and an engine that has not been started."""
    from core.engine import Engine
    from core.store import RunStore

    store = RunStore(workspace)
    services.open(Engine(workspace, store, "cpu"), store, workspace)
    yield workspace
    services.close()
    store.close()
