"""A range test finds a rate that learns, stops by itself, and leaves no trace of itself."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core.dataset import Dataset
from core.errors import RecipeError, ThawError, TrainingError
from core.events import EpochDone
from core.recipe import BlockRule, Recipe
from core.training.finder import Found, find_rate, sweep
from core.training.job import Job
from core.training.learner import Learner
from core.training.opening import opened
from core.workspace import Workspace

HEAD = "classifier.3"
HEAD_ALONE = (BlockRule(path="", lr_scale=0.0), BlockRule(path=HEAD, lr_scale=1.0))
TWO_RATES = (BlockRule(path="", lr_scale=0.1), BlockRule(path=HEAD, lr_scale=1.0))
Open = Callable[[Recipe], Job]


@pytest.fixture
def open_job(workspace: Workspace, tmp_path: Path) -> Open:
    def go(recipe: Recipe) -> Job:
        opening = opened(recipe, workspace=workspace, folder=tmp_path, resume=None, told=lambda: False)
        while True:
            try:
                next(opening)
            except StopIteration as end:
                job: Job = end.value
                return job

    return go


def learn(job: Job, steps: int) -> list[float | None]:
    losses = []
    for rows in job.batches()[:steps]:
        list(job.step(rows))
        losses += [event.loss for event in job.read() if event.kind == "step"]
    return losses


def leaves(thing: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and number in nested dictionaries."""
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield from leaves(value, f"{path}/{key}")
    else:
        yield path, thing


def differing(before: Any, after: Any) -> list[str]:
    left, right = dict(leaves(before)), dict(leaves(after))
    assert left.keys() == right.keys()
    same = {k: torch.equal(v, right[k]) if isinstance(v, torch.Tensor) else v == right[k] for k, v in left.items()}
    return [key for key, equal in same.items() if not equal]


def weights(job: Job) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in job.learner.network.model.named_parameters()}


# what it finds


def test_the_suggestion_learns_and_a_thousandth_of_it_does_not(
    run: Callable[..., Any], recipe: Recipe, workspace: Workspace, pictures: Callable[..., Dataset]
) -> None:
    recipe = recipe.changed(dataset=pictures((60, 60, 60)).id, epochs=1, warmup_epochs=0, schedule="constant")
    found = find_rate(recipe, workspace=workspace, low=1e-6, steps=60)
    assert found.suggestion is not None
    assert 1e-6 <= found.suggestion <= 1.0
    assert found.rates[0] == 1e-6
    assert list(found.rates) == sorted(set(found.rates))
    assert len(found.rates) == len(found.losses) == len(found.smooth) <= 60
    good, slow = (
        run(recipe.changed(lr=rate), name).of(EpochDone)[0]
        for name, rate in (("good", found.suggestion), ("slow", found.suggestion / 1000))
    )
    assert good.train_loss < 0.85 * slow.train_loss


def test_it_stops_by_itself_where_the_loss_leaves(recipe: Recipe, workspace: Workspace) -> None:
    found = find_rate(recipe.changed(optimizer="sgd"), workspace=workspace, high=1e5, low=1e-3, steps=60)
    assert found.stopped == "diverged"
    assert len(found.rates) < 60
    assert found.rates[-1] < 1e5
    assert found.smooth[-1] > 4 * min(found.smooth)
    assert all(loss <= 4 * min(found.smooth[: at + 1]) for at, loss in enumerate(found.smooth[:-1]) if at >= 6)


def test_a_loss_that_is_no_number_ends_it_and_is_not_kept(open_job: Open, recipe: Recipe) -> None:
    job = open_job(recipe)
    with torch.no_grad():
        next(job.learner.network.model.parameters()).fill_(torch.nan)
    assert sweep(job, steps=20) == Found(None, (), (), (), None, "diverged")


def test_gradients_that_are_no_numbers_end_it_though_the_loss_is_one(
    open_job: Open, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Learner._gradients

    def poisoned(self: Learner, *given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        answer = real(self, *given)
        if given[3] == 3:
            self._optimizer.param_groups[0]["params"][0].grad.fill_(float("inf"))
        return answer

    monkeypatch.setattr(Learner, "_gradients", poisoned)
    found = sweep(open_job(recipe), steps=20, high=1e-4)
    assert (found.stopped, len(found.rates)) == ("diverged", 4)


def test_rates_that_change_nothing_suggest_nothing(recipe: Recipe, workspace: Workspace) -> None:
    found = find_rate(recipe, workspace=workspace, low=1e-12, high=1e-10, steps=20)
    assert (found.suggestion, found.stopped, len(found.rates)) == (None, "end", 20)


def test_what_the_others_have_learned_speaks_for_no_rate_of_a_group(recipe: Recipe, workspace: Workspace) -> None:
    recipe = recipe.changed(lr=0.03, rules=(BlockRule(path="features.4", lr_scale=1.0),))
    found = find_rate(recipe, workspace=workspace, part="features.4", low=1e-12, high=1e-10, steps=20)
    assert found.smooth[-1] < 0.96 * found.smooth[0]
    assert found.suggestion is None


@pytest.mark.parametrize("part", [None, HEAD])
def test_equal_recipes_find_equal_things(part: str | None, recipe: Recipe, workspace: Workspace) -> None:
    recipe = recipe.changed(rules=TWO_RATES, augment={"noise": 0.1, "rotation": 10}, mixup=0.2)
    first, second = (find_rate(recipe, workspace=workspace, part=part, low=1e-4, steps=20) for _ in range(2))
    assert first == second
    assert first.part == part
    other = find_rate(recipe.changed(seed=1), workspace=workspace, part=part, low=1e-4, steps=20)
    assert other.losses != first.losses


# one group


def test_of_a_group_only_that_group_moves_when_the_others_have_no_rate(open_job: Open, recipe: Recipe) -> None:
    job = open_job(recipe.changed(rules=HEAD_ALONE))
    before, moved = weights(job), set[str]()

    def look(done: int, total: int) -> None:
        assert total == 40
        moved.update(differing(before, weights(job)))

    found = sweep(job, part=HEAD, steps=20, low=1e-3, progress=look)
    assert moved == {f"/{HEAD}.weight", f"/{HEAD}.bias"}
    assert found.part == HEAD


def test_of_a_group_the_others_learn_at_their_own_rates(open_job: Open, recipe: Recipe) -> None:
    job = open_job(recipe.changed(rules=TWO_RATES, schedule="one-cycle"))
    seen: list[dict[str, float]] = []
    optimizer = job.learner._optimizer

    def look(done: int, total: int) -> None:
        seen.append({group["name"]: group["lr"] for group in optimizer.param_groups})

    found = sweep(job, part=HEAD, steps=20, low=1e-4, high=1e-1, progress=look)
    assert found.stopped == "end"
    assert {rates[""] for rates in seen} == {1e-3 * 0.1}
    assert [rates[HEAD] for rates in seen] == pytest.approx([*found.rates, *[1e-4] * 20])
    assert {group["name"]: group["lr_scale"] for group in optimizer.param_groups} == {"": 0.1, HEAD: 1.0}


def test_a_group_that_is_not_there_is_named_with_those_that_are(recipe: Recipe, workspace: Workspace) -> None:
    with pytest.raises(RecipeError) as caught:
        find_rate(recipe.changed(rules=TWO_RATES), workspace=workspace, part="features.99")
    assert caught.value.code == "finder.unknown_part"
    assert caught.value.values == {"part": "features.99", "known": f"'', {HEAD}"}


# no trace


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        (None, {"optimizer": "adamw", "ema": 0.9, "dropout": 0.2}),
        (HEAD, {"optimizer": "sgd", "momentum": 0.9}),
    ],
    ids=["whole", "group"],
)
def test_everything_is_as_it_was_to_the_bit(
    part: str | None, changes: dict[str, Any], open_job: Open, recipe: Recipe
) -> None:
    """In the middle of an epoch: weights, statistics, the optimizer's memory, averages, chance, place; and what follows."""
    recipe = recipe.changed(rules=TWO_RATES, **changes)
    job, twin = open_job(recipe), open_job(recipe)
    assert learn(job, 2) == learn(twin, 2)
    before, chance, inside = copy.deepcopy(job.state()), torch.get_rng_state(), set[str]()

    def look(done: int, total: int) -> None:
        inside.update(differing(before, job.state()))

    sweep(job, part=part, steps=20, low=1e-3, progress=look)
    touched = {"/".join(path.split("/")[:2]) for path in inside}
    assert touched >= {"/model", "/optimizer", "/place"}
    assert any(path.endswith("running_mean") for path in inside)
    assert differing(before, job.state()) == []
    assert torch.equal(torch.get_rng_state(), chance)
    assert job.recipe is recipe
    assert learn(job, 3) == learn(twin, 3)
    assert differing(twin.state(), job.state()) == []


def test_it_is_as_it_was_when_it_is_called_off_half_way(open_job: Open, recipe: Recipe) -> None:
    job = open_job(recipe)
    before, asked = copy.deepcopy(job.state()), iter([False] * 5 + [True])
    with pytest.raises(TrainingError) as caught:
        sweep(job, steps=20, low=1e-3, cancelled=lambda: next(asked))
    assert caught.value.code == "finder.cancelled"
    assert differing(before, job.state()) == []


def test_finding_leaves_chance_and_threads_alone(recipe: Recipe, workspace: Workspace) -> None:
    chance, threads = torch.get_rng_state(), torch.get_num_threads()
    told: list[tuple[int, int]] = []
    find_rate(
        recipe.changed(threads=threads + 1), workspace=workspace, high=1e-3, steps=20, progress=lambda *at: told.append(at)
    )
    assert torch.equal(torch.get_rng_state(), chance)
    assert torch.get_num_threads() == threads
    assert told[0] == (0, 20)
    assert [at for at in told if at[0]] == [(done, 20) for done in range(1, 21)]


# what can go wrong


def test_it_can_be_called_off_while_the_data_is_read(recipe: Recipe, workspace: Workspace) -> None:
    with pytest.raises(TrainingError) as caught:
        find_rate(recipe, workspace=workspace, cancelled=lambda: True)
    assert caught.value.code == "finder.cancelled"


def test_what_a_training_would_explain_is_explained(
    recipe: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failure(recipe: Recipe) -> str:
        with pytest.raises(ThawError) as caught:
            find_rate(recipe, workspace=workspace)
        return caught.value.code

    assert failure(recipe.changed(rules=(BlockRule(path="", trainable=False),))) == "training.nothing_learns"
    assert failure(recipe.changed(backbone="mobilenet_v3_small", batch_size=1)) == "training.batch_of_one"

    def greedy(self: Learner, *given: object, **named: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Learner, "step", greedy)
    assert failure(recipe) == "training.out_of_memory"


@pytest.mark.parametrize("wrong", [{"steps": 19}, {"low": 0.0}, {"low": 1.0, "high": 0.1}])
def test_an_empty_range_is_refused(wrong: dict[str, Any], open_job: Open, recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="no range test"):
        sweep(open_job(recipe), **wrong)
