"""The doctor tells what is there and what is broken, and changes nothing."""

import sqlite3
from pathlib import Path

import pytest

from core import doctor
from core.doctor import examine
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import open_workspace


def test_a_sound_installation_has_no_problems(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    store = RunStore(workspace)
    store.create(Recipe())
    store.close()
    found = examine(workspace)
    assert found["problems"] == []
    assert found["devices"][-1] == "cpu"
    assert found["sqlite"] == sqlite3.sqlite_version
    assert (found["workspace"]["path"], found["workspace"]["runs"], found["workspace"]["datasets"]) == (str(tmp_path), 1, 0)
    assert [name for name, number in found["packages"].items() if number is None] == []


def test_what_is_broken_is_told_and_the_rest_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = open_workspace(tmp_path)
    workspace.database.write_bytes(b"no database" * 1000)
    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no-such-package"))
    found = examine(workspace)
    assert len(found["problems"]) == 1
    assert "thaw.sqlite is damaged" in found["problems"][0]
    assert found["packages"]["no-such-package"] is None
    assert "runs" not in found["workspace"]
