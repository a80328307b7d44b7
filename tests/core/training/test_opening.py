"""A run goes on with the data that it began with, and a version of a set gives the same run each time."""

from collections.abc import Callable
from typing import Any

import pytest

from core.dataset import Dataset, decide, open_dataset, pinned, read_edits, undo
from core.dataset.edits import holding
from core.events import Notice, Pause, Saved, Started, StepDone
from core.recipe import Recipe
from core.training.material import divide
from core.workspace import Workspace

Run = Callable[..., Any]


@pytest.fixture
def own(pictures: Callable[..., Dataset], recipe: Recipe) -> tuple[Dataset, Recipe]:
    """A set that no other test decides about."""
    data = pictures((12, 11, 10))
    for edit in holding(read_edits(data.folder)):
        undo(data, edit.number)
    return data, recipe.changed(dataset=data.id)


def test_a_run_goes_on_exactly_as_it_was_though_images_were_excluded_meanwhile(
    own: tuple[Dataset, Recipe], run: Run, tmp_path: Any
) -> None:
    data, recipe = own
    whole = run(recipe, "whole")
    first = run(recipe, told=lambda event: Pause() if isinstance(event, StepDone) and event.step == 3 else None)
    saved = first.of(Saved)[-1]
    decide(data, "exclude", [item.sha256 for item in data.items[:3]])
    second = run(recipe, resume=tmp_path / "run" / saved.file)
    assert [notice.code for notice in second.of(Notice)] == [notice.code for notice in whole.of(Notice)]
    assert second.of(Started)[0].fingerprint == whole.of(Started)[0].fingerprint == data.fingerprint
    assert [step.loss for step in second.of(StepDone)] == [step.loss for step in whole.of(StepDone)][saved.step :]


def test_a_recipe_with_a_version_gives_its_own_data_after_later_decisions(
    own: tuple[Dataset, Recipe], workspace: Workspace
) -> None:
    data, recipe = own
    decide(data, "relabel", [data.items[0].sha256], label=data.classes[1])
    named = recipe.changed(dataset=pinned(workspace, data.id))
    before = divide(named, workspace)
    decide(data, "exclude", [data.items[1].sha256])
    assert divide(named, workspace) == before
    assert len(divide(recipe, workspace)[0].items) == 32
    assert divide(recipe, workspace, before[0].fingerprint)[0].version == before[0].version
    assert divide(recipe, workspace, "0" * 64)[0] == open_dataset(workspace, data.id)
