"""A process of ours opens as many files as it may, makes nothing that others can read, and says when the files run out."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from core import cli, process
from core.commands import look
from core.drive import drive
from core.events import Command, Event
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import open_workspace

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither a umask nor such a limit")

SPEAK = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"


def child(script: str, *, umask: int = 0o022) -> str:
    lowered = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 256))\n"
    done = subprocess.run(
        [sys.executable, "-c", lowered + script], capture_output=True, text=True, check=False, umask=umask, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_command_line_raises_a_low_limit_of_open_files(tmp_path: Path) -> None:
    said = child(f"from core.cli import main\nmain(['runs', '--workspace', {str(tmp_path)!r}])\n{SPEAK}")
    assert said.splitlines()[-1] == "256 256"


def test_hundreds_of_files_are_open_where_64_were_allowed(tmp_path: Path) -> None:
    opened = "files = [open('/dev/null') for _ in range(200)]\nprint(len(files))"
    assert child(f"from core.process import settle\nsettle()\n{opened}") == "200\n"


def test_the_server_raises_it_too(tmp_path: Path) -> None:
    script = f"""
import anyio, os
os.environ["THAW_WORKSPACE"] = {str(tmp_path)!r}
from ui.server import app, lifespan
async def live():
    async with lifespan(app):
        {SPEAK}
anyio.run(live)
"""
    assert child(script).splitlines()[-1] == "256 256"
    assert mode(tmp_path / "thaw.sqlite") == 0o600


def test_a_workspace_and_all_in_it_is_its_makers_alone(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    child(f"from core.cli import main\nmain(['runs', '--workspace', {str(root)!r}])")
    assert mode(root) == 0o700
    assert {mode(file) for file in root.rglob("*") if file.is_file()} == {0o600}
    assert mode(root / "thaw.sqlite") == 0o600
    assert {mode(folder) for folder in root.rglob("*") if folder.is_dir()} == {0o700}


def test_a_workspace_that_others_share_keeps_its_modes(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for folder in (tmp_path, tmp_path / "runs"):
        folder.chmod(0o2775)
    child(f"from core.cli import main\nmain(['runs', '--workspace', {str(tmp_path)!r}])")
    assert [mode(tmp_path), mode(tmp_path / "runs")] == [0o2775, 0o2775]
    assert mode(tmp_path / "thaw.sqlite") == 0o600


def test_too_many_open_files_is_said_with_the_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*given: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(process, "settle", lambda: None)
    monkeypatch.setattr(process, "open_files", lambda: 64)
    monkeypatch.setattr(look, "runs", full)
    monkeypatch.setenv("THAW_LANGUAGE", "en")
    assert cli.main(["runs", "--workspace", str(tmp_path)]) == 1
    assert "more files open than the system allows (64)" in capsys.readouterr().err
    assert not (tmp_path / "log.txt").exists()


def test_a_run_that_ends_so_says_it_too(tmp_path: Path) -> None:
    def train(recipe: Recipe, **more: object) -> Generator[Event, Command | None, None]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        yield

    store = RunStore(open_workspace(tmp_path))
    run = store.create(Recipe())
    ended = drive(store, run.id, train=train)
    store.close()
    assert ended is not None
    assert (ended.outcome, ended.code, ended.values) == ("failed", "process.files", {"limit": process.open_files()})


def test_other_errors_are_not_taken_for_it() -> None:
    assert process.out_of_files(OSError(errno.ENOSPC, "full")) is None
    assert process.out_of_files(ValueError()) is None
