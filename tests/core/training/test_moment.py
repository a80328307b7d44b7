"""A moment that is kept is the model as it was then, to the bit; the run goes on as if nothing had been."""

import hashlib
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch

from core.backbones import layer_tree
from core.events import Discard, Event, Measuring, Notice, Pause, Pin, Pinned, Saved, StepDone
from core.model import load_model
from core.recipe import Recipe
from core.strategies import apply_strategy

Usage = namedtuple("Usage", "total used free")


def weights(file: Path) -> dict[str, torch.Tensor]:
    return load_model(file).network.model.state_dict()


def at_step(**commands: Any):
    return lambda event: commands.get(f"s{event.step}") if isinstance(event, StepDone) else None


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    assert left.keys() == right.keys()
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("how", ["plain", "averaged", "adapters"])
def test_the_moment_of_the_last_step_is_the_model_of_a_run_without_validation(
    run, recipe: Recipe, tmp_path: Path, how: str
) -> None:
    recipe = recipe.changed(val_fraction=0.0, epochs=1, patience=0, **({"ema": 0.9} if how == "averaged" else {}))
    if how == "adapters":
        tree = layer_tree("resnet18", classes=3, image_size=32)
        recipe = apply_strategy(recipe.changed(backbone="resnet18", lr=0.01), "lora", tree)
    steps = len(run(recipe, "plain").of(StepDone))
    said = run(recipe, told=at_step(**{f"s{steps}": Pin(name="the end")}))
    (pin,) = said.of(Pinned)
    assert (pin.step, pin.epoch, pin.name) == (steps, 1, "the end")
    assert same(weights(tmp_path / "run" / pin.file), weights(tmp_path / "run" / "model.safetensors"))


def test_nothing_of_the_run_changes_and_no_retention_removes_it(run, recipe: Recipe, tmp_path: Path) -> None:
    recipe = recipe.changed(epochs=4)
    plain = run(recipe, "plain")
    said = run(recipe, told=at_step(s2=Pin(name="early"), s7=Pin(name="later")))
    assert said.timeless(Pinned) == plain.timeless()
    assert same(weights(tmp_path / "run" / "model.safetensors"), weights(tmp_path / "plain" / "model.safetensors"))
    early, later = said.of(Pinned)
    assert [(pin.step, pin.epoch, pin.name) for pin in (early, later)] == [(2, 1, "early"), (7, 2, "later")]
    for pin in (early, later):
        data = (tmp_path / "run" / pin.file).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (pin.size_bytes, pin.sha256)
    assert not same(weights(tmp_path / "run" / early.file), weights(tmp_path / "run" / later.file))
    assert len(list((tmp_path / "run").glob("step-*.ckpt"))) <= 3 < len(said.of(Saved))


def test_one_step_may_be_kept_twice_and_what_is_asked_just_before_a_pause_is_kept(
    run, recipe: Recipe, tmp_path: Path
) -> None:
    wishes = iter([Pin(name="a"), Pin(name="b"), Pause()])

    def told(event: Event) -> Any:
        return next(wishes, None) if isinstance(event, StepDone | Pinned) else None

    said = run(recipe, told=told)
    assert said.ended.outcome == "paused"
    assert [pin.name for pin in said.of(Pinned)] == ["a", "b"]
    assert len({pin.file for pin in said.of(Pinned)}) == 2


def test_a_disk_that_is_full_keeps_nothing_and_the_run_goes_on(
    run, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage

    def told(event: Event) -> Any:
        if isinstance(event, StepDone) and event.step == 3:
            monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10, 10, 0))
            return Pin(name="no room")
        monkeypatch.setattr(shutil, "disk_usage", free)
        return None

    said = run(recipe, told=told)
    assert said.ended.outcome == "finished"
    assert said.of(Pinned) == []
    assert Notice(code="training.not_pinned", values={"cause": "checkpoint.disk_full"}) in said.timeless()
    assert not list((tmp_path / "run").glob("*kept-*"))


def test_what_is_asked_while_the_best_weights_are_tested_is_not_kept_and_that_is_said(run, recipe: Recipe) -> None:
    def told(event: Event) -> Any:
        return Pin(name="late") if isinstance(event, Measuring) and event.what == "test" else None

    said = run(recipe, told=told)
    assert said.ended.outcome == "finished"
    assert said.of(Pinned) == []
    assert Notice(code="training.not_pinned", values={"cause": "run.not_waiting"}) in said.timeless()


def test_whoever_throws_the_run_away_keeps_no_moment_of_it_later(run, recipe: Recipe, tmp_path: Path) -> None:
    wishes = iter([Pin(name="x"), Discard()])
    said = run(recipe, told=lambda event: next(wishes, None) if isinstance(event, StepDone) else None)
    assert said.ended.outcome == "discarded"
    assert len(said.of(Pinned)) <= 1
