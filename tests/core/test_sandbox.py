"""From `lock_up` on a process can do what it must and nothing else; each claim is tried in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import sandbox

CHILD = """
import json, os, socket, subprocess, sys, ctypes
from pathlib import Path
from core import sandbox
folder = Path(sys.argv[1])
open_before = (folder / "before").open("wb")
inside = str(folder) + os.sep
sandbox.lock_up(lambda path: path.startswith(inside), memory_bytes=256 * 2**20, file_bytes=2**20, files=32)

def tried(what):
    try:
        what()
    except BaseException as error:
        return type(error).__name__
    return "done"

def many():
    held = [open(os.devnull, "rb") for _ in range(40)]

print(json.dumps({name: tried(what) for name, what in {
    "write inside": lambda: (folder / "a").write_bytes(b"a"),
    "rename inside": lambda: (folder / "a").rename(folder / "b"),
    "remove inside": lambda: (folder / "b").unlink(),
    "an open file": lambda: open_before.write(b"x") and open_before.flush(),
    "read outside": lambda: Path(os.__file__).read_bytes(),
    "write outside": lambda: (folder.parent / "c").write_bytes(b"c"),
    "write outside by number": lambda: os.open(folder.parent / "c", os.O_WRONLY | os.O_CREAT),
    "climb out": lambda: (folder / ".." / "c").write_bytes(b"c"),
    "append outside": lambda: (folder.parent / "mine").open("a"),
    "rename outside": lambda: (folder / "before").rename(folder.parent / "c"),
    "remove outside": lambda: (folder.parent / "mine").unlink(),
    "link outside": lambda: (folder / "link").symlink_to(folder.parent / "mine"),
    "make a folder outside": lambda: (folder.parent / "d").mkdir(),
    "a program": lambda: subprocess.run(["true"]),
    "a shell": lambda: os.system("true"),
    "a fork": lambda: os.fork(),
    "a socket": lambda: socket.socket(),
    "a library": lambda: ctypes.CDLL("libm.so.6"),
    "memory": lambda: bytearray(2**30),
    "a file too long": lambda: (folder / "long").write_bytes(bytes(2**21)),
    "files": many,
}.items()}))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("outside") / "inside"
    folder.mkdir()
    (folder.parent / "mine").write_text("mine")
    command = [sys.executable, "-c", CHILD, str(folder)]
    done = subprocess.run(
        command, capture_output=True, cwd=sandbox.root(), env=sandbox.environment(), text=True, timeout=60, check=True
    )
    assert (folder.parent / "mine").read_text() == "mine"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["inside", "mine"]
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("what", ["write inside", "rename inside", "remove inside", "an open file", "read outside"])
def test_what_it_must_do_it_can(said: dict[str, str], what: str) -> None:
    assert said[what] == "done"


@pytest.mark.parametrize(
    "what",
    [
        "write outside", "write outside by number", "climb out", "append outside", "rename outside", "remove outside",
        "link outside", "make a folder outside", "a program", "a shell", "a fork", "a socket", "a library",
    ],
)  # fmt: skip
def test_nothing_reaches_outside(said: dict[str, str], what: str) -> None:
    assert said[what] == "PermissionError"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_memory_files_and_their_sizes_are_limited(said: dict[str, str]) -> None:
    assert (said["memory"], said["a file too long"], said["files"]) == ("MemoryError", "OSError", "OSError")


def test_nothing_that_a_person_has_set_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("PYTHONSTARTUP", "x")
    assert set(sandbox.environment()) <= sandbox.PASSED_ON | {
        "PYTHONPATH", "OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8",
    }  # fmt: skip
    assert Path(sandbox.environment()["PYTHONPATH"], "core", "sandbox.py").is_file()
    assert os.environ["SECRET_TOKEN"] == "x"
