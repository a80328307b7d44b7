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
    plain = room.needed(RECIPE, workspace).disk
    adam = room.needed(RECIPE.changed(optimizer="adamw"), workspace).disk
    frozen = room.needed(RECIPE.with_rule("features", trainable=False), workspace).disk
    average = room.needed(RECIPE.changed(ema=0.9), workspace).disk
    large = room.needed(RECIPE.changed(image_size=64), workspace).disk
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


def memory(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(room, "_free_memory", lambda: size)


def test_the_memory_needed_grows_with_the_batch_up_to_all_images(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    small, large, whole, more = (
        room.needed(RECIPE.changed(batch_size=size), workspace).memory for size in (8, 16, 4096, 8192)
    )
    assert small < large < whole == more


def test_a_run_that_would_fill_the_memory_is_refused_with_figures_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPE.changed(device="cpu", batch_size=64)
    store = RunStore(open_workspace(tmp_path))
    engine = Engine(store.workspace, store)
    need = room.needed(recipe, store.workspace).memory
    memory(monkeypatch, int(need / 0.7) + 2)
    waiting = engine.submit(recipe)
    memory(monkeypatch, int(need / 0.7) - 2)
    with pytest.raises(StoreError, match=r"needs about .* of memory; .* can be had\. Use a batch size below 64"):
        engine.submit(recipe)
    ended = drive(store, waiting)
    assert ended is not None
    assert (ended.outcome, ended.code) == ("paused", "run.no_memory")
    store.close()


def test_the_memory_of_a_gpu_is_not_judged_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory(monkeypatch, 0)
    room.check_room(RECIPE.changed(device="cuda:0"), open_workspace(tmp_path))


def test_what_this_process_has_counts_as_free() -> None:
    import psutil

    own = psutil.Process().memory_info().rss
    assert room._free_memory() > own > 0


def test_a_recipe_that_cannot_be_carried_out_is_for_the_run_to_explain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 0)
    room.check_room(RECIPE.changed(backbone="no such"), open_workspace(tmp_path))
