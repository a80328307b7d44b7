"""A run that would fill the disk is not begun, and what it needs follows from its recipe."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from core import room
from core.drive import drive
from core.engine import Engine
from core.errors import StoreError
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import open_workspace

Usage = namedtuple("Usage", "total used free")


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 0, size))


RECIPE = Recipe(dataset="demo:digits", backbone="mobilenet_v3_small", image_size=32, optimizer="sgd")


def test_what_is_needed_follows_optimizer_average_and_size(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    plain = room.needed_bytes(RECIPE, workspace)
    adam = room.needed_bytes(RECIPE.changed(optimizer="adamw"), workspace)
    frozen = room.needed_bytes(RECIPE.with_rule("features", trainable=False), workspace)
    average = room.needed_bytes(RECIPE.changed(ema=0.9), workspace)
    large = room.needed_bytes(RECIPE.changed(image_size=64), workspace)
    assert frozen < plain < adam == average < 2 * plain
    images = (large - plain) / (3 * (64**2 - 32**2))
    assert images == int(images) > 100


def test_a_full_disk_refuses_a_start_in_words_and_leaves_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = open_workspace(tmp_path)
    store = RunStore(workspace)
    engine = Engine(workspace, store)
    waiting = store.create(RECIPE)
    free(monkeypatch, 100 * 2**20)
    with pytest.raises(StoreError, match=r"needs about 0.2 GB of disk space.*; 100 MB are free"):
        engine.submit(RECIPE)
    assert [run.id for run in store.runs()] == [waiting.id]
    ended = drive(store, waiting.id)
    assert ended is not None
    assert (ended.outcome, ended.code) == ("paused", "run.no_space")
    with pytest.raises(StoreError) as caught:
        engine.resume(waiting.id)
    assert caught.value.code == "run.no_space"
    free(monkeypatch, 2**40)
    engine.resume(waiting.id)
    assert store.run(waiting.id).state == "queued"
    store.close()


def test_a_recipe_that_cannot_be_carried_out_is_for_the_run_to_explain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 0)
    room.check_room(RECIPE.changed(backbone="no such"), open_workspace(tmp_path))
