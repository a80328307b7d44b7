"""Material is what the recipe says, and long work can be watched and called off."""

import threading

import numpy as np
import pytest
import torch

import core.training.material
from core.dataset import Dataset
from core.errors import DataError
from core.events import Preparing
from core.images import decode
from core.recipe import Augment, Recipe
from core.training.material import Watched, divide, load, resident
from core.workspace import Workspace

FIRST = Preparing(what="data", done=0, total=1000)
MODEL = Preparing(what="model", done=0, total=1)


def test_each_split_is_decoded_as_the_recipe_says(workspace: Workspace, recipe: Recipe) -> None:
    recipe = recipe.changed(augment=Augment(crop=0.3), fit="pad")
    dataset, splits = divide(recipe, workspace)
    heard: list[tuple[int, int]] = []
    material = load(recipe, dataset, splits, workspace, lambda *report: heard.append(report), lambda: False)
    for part, indices, size in (
        (material.train, splits.train, 40),
        (material.val, splits.val, 32),
        (material.test, splits.test, 32),
    ):
        assert part.indices == indices
        assert part.pixels.shape == (len(indices), 3, size, size)
        assert part.labels.tolist() == [dataset.items[index].label for index in indices]
        expected = decode(dataset.image(dataset.items[indices[0]]), size, "pad")
        assert np.array_equal(part.pixels[0].permute(1, 2, 0).numpy(), expected)
    assert heard[-1] == (43, 43)
    assert material.majority == 0


def test_of_equally_frequent_classes_the_first_is_the_majority(workspace, recipe: Recipe, pictures) -> None:
    given: Dataset = pictures(given={"train": (3, 5, 5), "val": (1, 1, 1), "test": (1, 1, 1)})
    recipe = recipe.changed(dataset=given.id)
    material = load(recipe, *divide(recipe, workspace), workspace, lambda done, total: None, lambda: False)
    assert material.majority == 1


def told(*reports: tuple[int, int], first: Preparing = FIRST) -> list[tuple[str, int, int]]:
    def work(progress, cancelled) -> str:
        for report in reports:
            progress(*report)
        return "done"

    watched = Watched(first, work, lambda: False)
    events = [(event.what, event.done, event.total) for event in watched]
    assert watched.result == "done"
    return events


def test_milestones_do_not_depend_on_the_pace_of_the_work() -> None:
    marks = [("data", done, 1000) for done in range(0, 1001, 20)]
    assert told((1000, 1000)) == marks
    assert told(*((done, 1000) for done in (*range(0, 1000, 16), 1000))) == marks
    assert told((999, 1000), (1000, 1000)) == marks


def test_milestones_are_never_more_than_128_images_apart() -> None:
    events = told((50_000, 50_000), first=Preparing(what="data", done=0, total=50_000))
    assert [event[1] for event in events] == [*range(0, 50_000, 128), 50_000]
    assert told((7, 7), first=Preparing(what="data", done=0, total=7)) == [("data", 0, 7), ("data", 7, 7)]


def test_a_download_is_told_in_fiftieths_and_only_if_there_is_one() -> None:
    assert told(first=MODEL) == [("model", 0, 1)]
    events = told((100, 5000), (5000, 5000), first=MODEL)
    assert events == [("model", 0, 1), *(("weights", done, 5000) for done in range(100, 5001, 100))]


def test_silent_work_is_still_open_to_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.training.material, "SILENCE_SECONDS", 0.01)
    asked = threading.Event()

    def work(progress, cancelled) -> None:
        progress(500, 1000)
        asked.wait(20)
        if cancelled():
            raise DataError("data.cancelled")

    events = []

    def listen() -> None:
        for event in Watched(FIRST, work, asked.is_set):
            events.append(event)
            if len(events) > 30:
                asked.set()

    with pytest.raises(DataError):
        listen()
    assert events[-1].done == 500


def test_what_goes_wrong_in_the_work_comes_out() -> None:
    def work(progress, cancelled) -> None:
        progress(500, 1000)
        raise DataError("data.not_a_zip", name="x")

    watched = Watched(FIRST, work, lambda: False)
    with pytest.raises(DataError, match="x is not a zip"):
        list(watched)


def test_on_a_cpu_everything_is_resident() -> None:
    tensor = torch.ones(3)
    assert resident(tensor, torch.device("cpu")) is tensor
