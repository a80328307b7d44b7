"""`thaw examine`: sentences on the screen, everything in the file, words for what does not exist."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.cli import main


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_LANGUAGE", "en")
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    def picture(number: int) -> Image.Image:
        pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3), np.uint8)
        return Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)

    for number in range(12):
        file = tmp_path / "set" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(file)
    picture(4).save(tmp_path / "set" / "a" / "copy.jpg", quality=80)
    return tmp_path / "set"


def test_what_is_found_is_said_and_written(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "found.json"
    assert main(["examine", str(folder), "--workspace", str(tmp_path / "w"), "--json", str(report)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("set: 13 images, version original\n\n1 picture has an almost identical copy.\n")
    document = json.loads(report.read_text("utf-8"))
    assert (document["images"], document["counts"]) == (13, {"near": 1})
    (finding,) = document["findings"]
    assert sorted(image["name"] for image in finding["images"]) == ["a/4.png", "a/copy.jpg"]
    assert (finding["kind"], finding["suggestion"]) == ("near", "together")
    for image in finding["images"]:
        assert f"{image['name']} (a)" in said


def test_nothing_found_is_said_too(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a" / "copy.jpg").unlink()
    assert main(["examine", str(folder), "--workspace", str(tmp_path / "w")]) == 0
    assert capsys.readouterr().out == "set: 12 images, version original\nNothing suspicious found in 12 images.\n"


def test_data_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["examine", "nowhere.zip", "--workspace", str(tmp_path)]) == 1
    assert "nowhere.zip" in capsys.readouterr().err
