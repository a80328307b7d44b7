"""A hundred rates on the page: offered while only the head learns, said in a sentence, taken with a button."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.dataset import import_dataset
from core.recipe import BlockRule, Recipe
from core.training.rates import RateSweep, Try
from core.words import catalogue, say
from core.workspace import Workspace
from ui import services
from ui.jobs import Job

Draw = Callable[..., AppTest]
HEAD_ALONE = (BlockRule(path="", trainable=False), BlockRule(path="fc", trainable=True))


@pytest.fixture
def ready(house: Workspace, tmp_path: Path) -> Recipe:
    """A draft in which only the head learns, of pictures that are told apart by their colour."""
    random = np.random.default_rng(0)
    for label, name in enumerate(("blue", "green", "red")):
        (tmp_path / "colours" / name).mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(0, 120, (32, 32, 3), dtype=np.uint8)
            pixels[..., 2 - label] += 100
            Image.fromarray(pixels).save(tmp_path / "colours" / name / f"{number}.png")
    fields = {"backbone": "thaw-small", "weights": "bundled", "image_size": 32, "epochs": 3}
    dataset = import_dataset(tmp_path / "colours", house)
    recipe = Recipe(dataset=dataset.id, rules=HEAD_ALONE, val_fraction=0.3, **fields)
    services.keep_draft(recipe)
    return recipe


def lines(at: AppTest) -> list[str]:
    return [one.value for one in (*at.markdown, *at.caption)]


def swept(*tries: Try, **changes: Any) -> RateSweep:
    """A sweep of some rates at one decay, of eight validation images."""
    ranked = sorted((-(one.accuracy or 0.0), at) for at, one in enumerate(tries) if not one.diverged)
    fields: dict[str, Any] = {
        "rates": tuple(one.rate for one in tries), "decays": (0.01,), "tries": tries,
        "ranked": tuple(at for _, at in ranked), "epochs": 3, "views": 1, "train_images": 20, "val_images": 8,
        "majority": 0.375, "ridge_left_out": 0.7, "ridge": 0.75, "seconds": 2.0, "ready_seconds": 1.0, "apart": (),
    }  # fmt: skip
    return RateSweep(**{**fields, **changes})


def tried(rate: float, accuracy: float | None) -> Try:
    return Try(rate, 0.01, 2, accuracy, accuracy, accuracy, accuracy, accuracy, accuracy is None)


@pytest.fixture
def show(ready: Recipe, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """The page after a sweep with this result."""

    def shown(found: RateSweep, **given: str) -> AppTest:
        job = Job("j", "sweep", "", state="done", result=found)
        monkeypatch.setattr(services, "sweep_job", lambda recipe: job)
        return draw("train", **given)

    return shown


def test_a_rate_of_a_real_sweep_can_be_taken(ready: Recipe, draw: Draw) -> None:
    at = draw("train")
    at.button(key="train.sweep").click().run()
    job = services.sweep_job(ready)
    assert job is not None
    assert job.wait(60)
    assert job.error is None
    at.run()
    best = job.result.winner
    assert len(job.result.tries) == 100
    assert any(f"At **{best.rate:g}** the head gets" in line for line in lines(at))
    assert at.button(key="train.sweep-take").label == f"Use {best.rate:g}"
    at.button(key="train.sweep-take").click().run()
    assert at.session_state["thaw.draft"].lr == best.rate
    assert at.button(key="train.sweep-take").disabled, "and what was found is still there"
    assert services.sweep_job(ready.changed(epochs=4)) is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_was_found_is_a_sentence_and_its_limits(show: Callable[..., AppTest], language: str) -> None:
    tries = [tried(0.001, 0.25), tried(0.01, 0.75), tried(0.03, 0.875), tried(0.1, 0.75), tried(1.0, None)]
    at = show(swept(*tries, apart=("label_smoothing", "rules")), lang=language)
    best = say("rates.best", language, rate="0.03", share="87.5 %", n=8)
    assert say("rates.against", language, best=best, ridge="75.0 %") in lines(at)
    fields = f"{say('train.set.label_smoothing', language)}, {say('rates.field.rules', language)}"
    said = next(one for one in lines(at) if say("rates.lucky", language) in one)
    for part in (
        say("rates.plateau", language, low="0.01", high="0.1"),
        say("rates.diverged", language, rate="1"),
        say("rates.apart", language, fields=fields),
    ):
        assert part in said
    assert at.button(key="train.sweep-take").label == say("rates.take", language, rate="0.03")
    alone = show(swept(*tries, ridge=None, ridge_left_out=None), lang=language)
    assert say("rates.alone", language, best=best) in lines(alone)


@pytest.mark.parametrize(
    ("accuracy", "key"), [(None, "rates.none"), (0.375, "rates.poor")], ids=["all-astray", "nothing-learned"]
)
def test_a_rate_that_is_no_good_cannot_be_taken(show: Callable[..., AppTest], accuracy: float | None, key: str) -> None:
    at = show(swept(tried(0.1, accuracy), tried(1.0, accuracy)))
    assert any(say(key, share="37.5 %") in line for line in lines(at))
    assert "train.sweep-take" not in {button.key for button in at.button}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rules": ()}, "only_head"),
        ({"val_fraction": 0.0}, "no_validation"),
        (
            {
                "backbone": "squeezenet1_1",
                "rules": (HEAD_ALONE[0], BlockRule(path="classifier.1", trainable=True)),
                "weights": "random",
            },
            "not_linear",
        ),
    ],
    ids=["more-learns", "no-validation", "no-linear-head"],
)
def test_where_it_is_not_offered_one_line_says_why(changes: dict[str, Any], reason: str, ready: Recipe, draw: Draw) -> None:
    services.keep_draft(ready.changed(**changes))
    at = draw("train")
    assert say(f"rates.{reason}") in lines(at)
    assert "train.sweep" not in {button.key for button in at.button}


def test_what_went_wrong_is_said(ready: Recipe, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.errors import TrainingError

    job = Job("j", "sweep", "", state="failed", error=TrainingError("sweep.not_kept", backbone="thaw-small"))
    monkeypatch.setattr(services, "sweep_job", lambda recipe: job)
    at = draw("train")
    assert any("There is no room to keep" in line for line in lines(at))


def test_every_field_that_may_be_apart_has_a_name() -> None:
    fields = (
        "optimizer", "nesterov", "schedule", "clip_norm", "loss", "balanced", "label_smoothing", "mixup", "cutmix",
        "augment.noise", "dropout", "ema", "metric", "patience", "rules", "cache",
    )  # fmt: skip
    for language in ("en", "zh"):
        known = catalogue(language)
        assert [one for one in fields if f"train.set.{one}" not in known and f"rates.field.{one}" not in known] == []
