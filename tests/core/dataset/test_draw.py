"""A demo that another process has made is the one that this one would have made."""

import subprocess
from pathlib import Path

import pytest

from core.dataset import open_dataset
from core.dataset.draw import draw_apart
from core.errors import Interrupted
from core.workspace import Workspace, open_workspace


def test_a_demo_made_apart_is_there_at_once_and_the_same(workspace: Workspace, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    assert draw_apart(workspace, "demo-digits", lambda done, total: heard.append((done, total)), lambda: False)
    assert heard == [(number, heard[-1][1]) for number in range(1, len(heard) + 1)]
    found = open_dataset(workspace, "demo:digits", progress=lambda done, total: pytest.fail("it was made again"))
    assert found == open_dataset(open_workspace(tmp_path / "other"), "demo:digits")


def test_it_ends_when_it_is_called_off(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[subprocess.Popen[str]] = []
    begin = subprocess.Popen

    def remember(*given: object, **more: object) -> object:
        children.append(begin(*given, **more))  # type: ignore[call-overload]
        return children[-1]

    monkeypatch.setattr(subprocess, "Popen", remember)

    def interrupted() -> bool:
        raise Interrupted

    assert not draw_apart(workspace, "demo-leaves", lambda done, total: None, lambda: True)
    with pytest.raises(Interrupted):
        draw_apart(workspace, "demo-leaves", lambda done, total: None, interrupted)
    assert [child.returncode for child in children] == [-9, -9]
    assert not (workspace.datasets / "demo-leaves").exists()


def test_what_cannot_be_made_is_said_by_a_status(workspace: Workspace) -> None:
    assert not draw_apart(workspace, "demo-nothing", lambda done, total: None, lambda: False)
