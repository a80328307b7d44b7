"""`thaw find-rate`: a table, a suggestion, a file, in both languages; failures in words."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.cli import main
from core.training.finder import Found
from core.words import say
from tests import tiny

FAST = ["--backbone", "tiny-residual", "--weights", "random", "--image-size", "32", "--batch-size", "16"]


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    with tiny.known():
        yield


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    """English, and no thread settings left behind in this process."""
    monkeypatch.setenv("THAW_LANGUAGE", "en")
    for name, value in (
        ("OMP_NUM_THREADS", "1"),
        ("OMP_WAIT_POLICY", "passive"),
        ("GOMP_SPINCOUNT", "0"),
        ("KMP_BLOCKTIME", "0"),
    ):
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of noisy pictures, one colour a class."""
    folder = tmp_path_factory.mktemp("find") / "data"
    random = np.random.default_rng(0)
    for place, name in enumerate(("Blue", "Green", "Red")):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            pixels = random.integers(0, 120, (36, 40, 3), dtype=np.uint8)
            pixels[..., 2 - place] += 100
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return ["--workspace", str(tmp_path_factory.mktemp("workspace"))]


def test_it_shows_a_table_and_a_rate_to_train_with(
    data: Path, home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "found.json"
    assert main(["find-rate", str(data), *FAST, *home, "--json", str(file)]) == 0
    found = json.loads(file.read_text("utf-8"))
    assert sorted(found) == ["losses", "part", "rates", "smooth", "stopped", "suggestion"]
    assert len(found["rates"]) == len(found["losses"]) == len(found["smooth"])
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["rate", "loss", "smoothed"]
    table = [line.split() for line in out[1 : out.index("")]]
    assert len(table) == 12
    assert table[0] == ["1.0e-07", f"{found['losses'][0]:.4f}", f"{found['smooth'][0]:.4f}"]
    assert table[-1][0] == f"{found['rates'][-1]:.1e}"
    rate = f"{found['suggestion']:.1e}"
    assert out[-2:] == [f"Suggested learning rate: {rate}", f"Train with it by adding --lr {rate} to the same flags."]
    assert main(["runs", *home]) == 0
    assert capsys.readouterr().out.strip() == say("cli.no_runs")


def test_a_group_is_spoken_of_by_its_name_and_in_chinese(
    data: Path, home: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("THAW_LANGUAGE", "zh")
    file = tmp_path / "found.json"
    given = ["--strategy", "layerwise", "--part", "fc", "--lr", "0.0001", "--json", str(file)]
    assert main(["find-rate", str(data), *FAST, *home, *given]) == 0
    found = json.loads(file.read_text("utf-8"))
    out = capsys.readouterr().out.splitlines()
    assert found["part"] == "fc"
    suggestion = found["suggestion"]
    scale = str(round(suggestion / 1e-4, -1)).removesuffix(".0")
    assert 100 < float(scale) < 1000
    assert out[-2:] == [
        say("cli.find.suggestion.part", "zh", part="fc", rate=f"{suggestion:.1e}"),
        say("cli.find.use.part", "zh", part="fc", scale=scale, lr="0.0001"),
    ]


def test_where_the_loss_never_fell_this_is_said(
    data: Path, home: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, key in ((None, "cli.find.none"), ("fc", "cli.find.none.part")):
        found = Found(part, (1e-7, 1e-3), (2.0, 9.0), (2.0, 9.0), None, "diverged")
        monkeypatch.setattr("core.training.finder.find_rate", lambda *_, found=found, **__: found)
        assert main(["find-rate", str(data), *FAST, *home]) == 0
        expected = [say("cli.find.diverged", rate="1.0e-03"), say(key, part="fc")]
        assert capsys.readouterr().out.splitlines()[-2:] == expected


@pytest.mark.parametrize(
    ("given", "code", "values"),
    [
        (["--part", "nope", "--strategy", "full"], "finder.unknown_part", {"part": "nope", "known": "''"}),
        (["--lr", "-1"], "recipe.invalid", {"field": "lr", "value": "-1.0", "allowed": "> 0"}),
        (["--json", "/nowhere/found.json"], "cli.unwritable", {"path": "/nowhere/found.json"}),
    ],
    ids=["part", "rate", "file"],
)
def test_a_failure_is_two_sentences(
    given: list[str], code: str, values: dict[str, str], data: Path, home: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find-rate", str(data), *FAST, *home, *given]) == 1
    expected = [say(f"error.{code}.{part}", "en", **values) for part in ("cause", "remedy")]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-2:] == expected


def test_data_that_is_not_there_is_named(home: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find-rate", "nothing-here", *FAST, *home]) == 1
    assert say("error.data.missing.cause", "en", path="nothing-here") in capsys.readouterr().err
