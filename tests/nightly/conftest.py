"""Where something is killed in the middle of a save, a save has to take its time: a real disk, not one in memory."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="thaw-proof-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
