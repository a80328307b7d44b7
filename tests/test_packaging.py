"""What is installed is what stands here: every file of the app travels in the wheel, and no test or benchmark does."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("core", "ui", "assets")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (file,) = out.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_holds_every_file_of_the_app(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(["git", "ls-files", *SHIPPED], cwd=ROOT, check=True, capture_output=True, text=True)
    packed = {name for name in wheel.namelist() if not name.startswith("thaw-")}
    assert set(listed.stdout.split("\n")) - {""} <= packed


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist() if not name.startswith("thaw-")}
    assert tops == set(SHIPPED)


def test_each_direct_dependency_is_pinned_and_hashed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pins = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    for pin in pins:
        at = next((n for n, line in enumerate(lines) if line.split(" ")[0] == pin), None)
        assert at is not None, f"{pin} is not in requirements.txt: make it anew"
        assert "--hash=sha256:" in lines[at + 1]
