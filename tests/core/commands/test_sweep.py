"""`thaw sweep`: the best, the worst, the formula, a file, in both languages; failures in words."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.cli import main
from core.training.rates import RateSweep, Try
from core.words import say

FAST = ["--backbone", "thaw-small", "--strategy", "head", "--image-size", "32", "--batch-size", "16", "--epochs", "2"]


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
    folder = tmp_path_factory.mktemp("sweep") / "data"
    random = np.random.default_rng(0)
    for place, name in enumerate(("Blue", "Green", "Red")):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            pixels = random.integers(0, 120, (36, 40, 3), dtype=np.uint8)
            pixels[..., 2 - place] += 60
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return ["--workspace", str(tmp_path_factory.mktemp("workspace"))]


def test_it_shows_the_best_the_worst_and_the_formula(
    data: Path, home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sweep.json"
    given = ["--rates", "12", "--decays", "0", "0.1", "--json", str(file)]
    assert main(["sweep", str(data), *FAST, *home, *given]) == 0
    found = json.loads(file.read_text("utf-8"))
    assert len(found["tries"]) == 24
    assert found["decays"] == [0.0, 0.1]
    ranked = [found["tries"][at] for at in found["ranked"]]
    out = capsys.readouterr().out.splitlines()
    assert out[0] == say("cli.sweep.best", heads=24, n=9)
    assert out[1].split() == ["rate", "decay", "validation", "loss", "epoch", "training", "loss"]
    rows = [line.split() for line in out[2:7]]
    assert [(row[0], row[1], row[-2], row[-1]) for row in rows] == [
        (f"{one['rate']:g}", f"{one['decay']:g}", str(one["epoch"]), f"{one['train_loss']:.4f}") for one in ranked[:5]
    ]
    learned = [one for one in ranked if one["accuracy"] > found["majority"]]
    assert out[8] == say("cli.sweep.worst", share="33.3 %")
    assert out[10].split()[:2] == [f"{learned[-1]['rate']:g}", f"{learned[-1]['decay']:g}"]
    assert any("formula" in line for line in out)
    assert any(line.startswith("24 heads, 2 epochs each, in ") for line in out)
    assert f"--lr {ranked[0]['rate']:g} --set weight_decay={ranked[0]['decay']:g} " in out[-1]
    assert main(["runs", *home]) == 0
    assert capsys.readouterr().out.strip() == say("cli.no_runs")


def test_in_chinese_and_with_what_a_training_does_besides(
    data: Path, home: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THAW_LANGUAGE", "zh")
    assert main(["sweep", str(data), *FAST, *home, "--rates", "5", "--set", "label_smoothing=0.1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == say("cli.sweep.best", "zh", heads=5, n=9)
    assert say("cli.sweep.apart", "zh", fields="label_smoothing") in out
    assert "weight_decay" not in out[-1], "the recipe's own decay needs no flag"


@pytest.mark.parametrize(
    ("accuracies", "key"),
    [((None, None), "cli.sweep.all_diverged"), ((0.5, 0.5), "cli.sweep.none_learned")],
    ids=["diverged", "nothing-learned"],
)
def test_where_no_rate_is_any_good_this_is_said(
    accuracies: tuple[float | None, ...],
    key: str,
    data: Path,
    home: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = tuple(Try(1.0 + at, 0.0, 1, one, one, one, one, one, one is None) for at, one in enumerate(accuracies))
    ranked = tuple(at for at, one in enumerate(accuracies) if one is not None)
    found = RateSweep((1.0, 2.0), (0.0,), tries, ranked, 2, 1, 9, 8, 0.5, None, None, 1.0, 2.0, ())
    monkeypatch.setattr("core.training.rates.sweep_rates", lambda *_, **__: found)
    assert main(["sweep", str(data), *FAST, *home]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == say(key, share="50.0 %")
    assert len(out) == 3
    assert "--lr" not in out[-1]


@pytest.mark.parametrize(
    ("given", "code", "values"),
    [
        (["--strategy", "full"], "sweep.needs_head", {"backbone": "thaw-small", "head": "fc"}),
        (["--set", "val_fraction=0"], "sweep.no_validation", {"dataset": "data"}),
        (["--rates", "1"], "recipe.invalid", {"field": "--rates", "value": "1", "allowed": "2, 3, 4, …"}),
        (["--decays", "nan"], "recipe.invalid", {"field": "--decays", "value": "nan", "allowed": "≥ 0"}),
        (["--json", "/nowhere/sweep.json"], "cli.unwritable", {"path": "/nowhere/sweep.json"}),
    ],
    ids=["strategy", "validation", "rates", "decays", "file"],
)
def test_a_failure_is_two_sentences(
    given: list[str], code: str, values: dict[str, str], data: Path, home: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(data), *FAST, *home, *given]) == 1
    expected = [say(f"error.{code}.{part}", "en", **values) for part in ("cause", "remedy")]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-2:] == expected
