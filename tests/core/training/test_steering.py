"""Live edits, timelines, adapters, averages, mixtures: each does what it says and repeats to the bit."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core import checkpoint
from core.backbones import build, layer_tree
from core.events import (
    Amend,
    Ended,
    EpochDone,
    Event,
    Film,
    FirstSteps,
    Memory,
    Notice,
    Pause,
    Readings,
    Replanned,
    Saved,
    Started,
    StepDone,
    Stop,
)
from core.model import load_model
from core.plan import plan
from core.recipe import AUGMENT_PRESETS, BlockRule, Recipe
from core.strategies import STRATEGIES, apply_strategy
from core.training.learner import Learner

HEAD_ONLY = (BlockRule(path="", trainable=False), BlockRule(path="classifier.3", trainable=True))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder / "model.safetensors").network.model.state_dict()


def state(folder: Path, said: Any) -> dict[str, Any]:
    return checkpoint.load(folder / said.of(Saved)[-1].file)


def differing(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> list[str]:
    assert left.keys() == right.keys()
    return [name for name in left if not torch.equal(left[name], right[name])]


def edits_at(wishes: dict[int, Amend]):
    return lambda event: wishes.get(event.step) if isinstance(event, StepDone) else None


# live edits


def test_an_amendment_holds_from_the_next_step_and_is_told_with_its_step(run, recipe: Recipe, tmp_path: Path) -> None:
    said = run(recipe.changed(schedule="constant", warmup_epochs=0), told=edits_at({3: Amend(rules=HEAD_ONLY, lr=5e-4)}))
    edit = said.of(Replanned)[0]
    assert (edit.cause, edit.step, edit.epoch, edit.lr, edit.rules) == ("person", 3, 1, 5e-4, HEAD_ONLY)
    assert edit.parameters_trainable == sum(group.parameters for group in edit.groups) < 10_000
    assert [step.lr for step in said.of(StepDone)] == [1e-3] * 3 + [5e-4] * 7
    at = said.index(edit)
    assert [step.step for step in said[:at] if isinstance(step, StepDone)] == [1, 2, 3]


def test_what_an_amendment_freezes_stays_to_the_bit(run, recipe: Recipe, tmp_path: Path) -> None:
    """A run that is stopped at step 3 and one that is frozen there end with the same trunk, statistics included."""
    short = run(
        recipe.changed(epochs=1), "short", told=lambda e: Stop() if isinstance(e, StepDone) and e.step == 3 else None
    )
    said = run(recipe.changed(epochs=1), "long", told=edits_at({3: Amend(rules=HEAD_ONLY)}))
    before, after = (state(tmp_path / name, one)["model"] for name, one in (("short", short), ("long", said)))
    assert {name.rpartition(".")[0] for name in differing(before, after)} == {"classifier.3"}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
def test_a_replay_of_recipe_and_edits_repeats_the_run_to_the_bit(
    run, recipe: Recipe, tmp_path: Path, optimizer: str
) -> None:
    recipe = recipe.changed(optimizer=optimizer, augment=AUGMENT_PRESETS["strong"], epochs=3)
    thawed = (*HEAD_ONLY, BlockRule(path="features.3", trainable=True, lr_scale=0.1))
    wishes = {2: Amend(rules=HEAD_ONLY), 5: Amend(lr=3e-4), 8: Amend(rules=thawed), 12: Amend(rules=(), lr=1e-4)}
    first = run(recipe, "first", told=edits_at(wishes))
    assert [edit.step for edit in first.of(Replanned)] == [2, 5, 8, 12]
    second = run(recipe, "second", edits=first.of(Replanned))
    assert second.timeless() == first.timeless()
    assert differing(weights(tmp_path / "first"), weights(tmp_path / "second")) == []


def test_a_run_that_was_amended_paused_and_resumed_equals_the_unbroken_one(run, recipe: Recipe, tmp_path: Path) -> None:
    wishes = {2: Amend(rules=HEAD_ONLY), 7: Amend(rules=(), lr=3e-4)}
    whole = run(recipe, "whole", told=edits_at(wishes))

    def told(event: Event):
        if isinstance(event, StepDone) and event.step == 6:
            return Pause()
        return edits_at(wishes)(event)

    first = run(recipe, "broken", told=told)
    assert first.ended.outcome == "paused"
    rest = run(
        recipe,
        "broken",
        resume=tmp_path / "broken" / first.of(Saved)[-1].file,
        edits=whole.of(Replanned),
    )
    assert [s.loss for s in first.of(StepDone) + rest.of(StepDone)] == [s.loss for s in whole.of(StepDone)]
    assert differing(weights(tmp_path / "whole"), weights(tmp_path / "broken")) == []


def test_what_was_acknowledged_just_before_a_pause_is_not_lost(run, recipe: Recipe, tmp_path: Path) -> None:
    said = iter([Amend(rules=HEAD_ONLY), Pause()])

    def told(event: Event):
        return next(said, None) if isinstance(event, StepDone) and event.step >= 4 else None

    first = run(recipe, told=told)
    assert [edit.rules for edit in first.of(Replanned)] == [HEAD_ONLY]
    rest = run(recipe, resume=tmp_path / "run" / first.of(Saved)[-1].file)
    assert rest.of(Started)[0].parameters_trainable == first.of(Replanned)[0].parameters_trainable


@pytest.mark.parametrize(
    "wish", [Amend(rules=(BlockRule(path="no.such"),)), Amend(rules=(BlockRule(path="", trainable=False),))]
)
def test_an_amendment_that_cannot_be_carried_out_is_said_and_the_run_goes_on(run, recipe: Recipe, wish: Amend) -> None:
    plain, said = run(recipe, "plain"), run(recipe, "asked", told=edits_at({3: wish}))
    assert [notice.code for notice in said.of(Notice)] == ["training.not_amended"]
    assert said.of(Replanned) == []
    assert said.timeless(Notice) == plain.timeless()


# timelines


def test_a_timeline_thaws_at_the_beginning_of_its_epoch_and_goes_on_after_a_pause(
    run, recipe: Recipe, tmp_path: Path
) -> None:
    tree = layer_tree(recipe.backbone, classes=3, image_size=32)
    recipe = apply_strategy(recipe.changed(epochs=4), "gradual", tree)
    whole = run(recipe, "whole")
    told = [(edit.cause, edit.epoch, edit.step) for edit in whole.of(Replanned)]
    assert told == [("timeline", 2, 5), ("timeline", 3, 10), ("timeline", 4, 15)]
    counts = [whole.of(Started)[0].parameters_trainable, *(e.parameters_trainable for e in whole.of(Replanned))]
    assert counts == [plan(tree, recipe.rules, epoch).trainable for epoch in (1, 2, 3, 4)]
    assert all(low < high for low, high in pairwise(counts))
    for step in (7, 10):
        first = run(recipe, f"b{step}", told=lambda e, s=step: Pause() if isinstance(e, StepDone) and e.step == s else None)
        file = tmp_path / f"b{step}" / first.of(Saved)[-1].file
        rest = run(recipe, f"b{step}", resume=file)
        assert [s.loss for s in first.of(StepDone) + rest.of(StepDone)] == [s.loss for s in whole.of(StepDone)]
        assert differing(weights(tmp_path / "whole"), weights(tmp_path / f"b{step}")) == []


# every strategy


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_frozen_blocks_are_bit_identical_and_their_distance_reads_exactly_zero(
    run, recipe: Recipe, live: list[dict[str, torch.Tensor]], strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.job.LEAST_STRIDE", 1)
    tree = layer_tree("shufflenet_v2_x0_5", classes=3, image_size=32)
    epochs = 2 if strategy in ("gradual", "lp-ft") else 1  # a timeline needs time
    recipe = apply_strategy(recipe.changed(backbone="shufflenet_v2_x0_5", epochs=epochs, lr=0.01), strategy, tree)
    said = run(recipe)
    last = plan(tree, recipe.rules)
    start = build("shufflenet_v2_x0_5", classes=3, seed=recipe.seed, image_size=32).model.state_dict()
    end = live[-1]
    held = tuple(f"{path}." for path in last.held)
    still = {name for name in start if name in last.frozen or name.startswith(held)}
    assert {name for name in start if not torch.equal(start[name], end[name])} == start.keys() - still
    readings = said.of(Readings)[-1].blocks
    adapted = {adapter.parameter.rpartition(".")[0] for adapter in last.adapters}
    for path, reading in readings.items():
        names = {name for name in start if name.rpartition(".")[0] == path}
        if names <= still and path not in adapted:
            assert (reading.gradient, reading.update, reading.distance, reading.drift) == (0, 0, 0, 0), path
        else:
            assert max(reading.distance, reading.drift) > 0, path


def test_adapters_are_merged_into_the_model_that_is_kept(run, recipe: Recipe, tmp_path: Path) -> None:
    tree = layer_tree("shufflenet_v2_x0_5", classes=3, image_size=32)
    recipe = apply_strategy(recipe.changed(backbone="shufflenet_v2_x0_5", lr=0.01, patience=0), "lora", tree)
    said = run(recipe)
    best = checkpoint.load(tmp_path / "run" / next(s.file for s in reversed(said.of(Saved)) if s.best))
    made, kept = best["adapters"], weights(tmp_path / "run")
    name = "stage3.1.branch2.0.weight"
    product = 2.0 * made[f"{name}.lora_up"] @ made[f"{name}.lora_down"]
    assert float(product.abs().max()) > 0
    assert torch.equal(kept[name], best["model"][name] + product.view(kept[name].shape))
    assert kept.keys() == build("shufflenet_v2_x0_5", classes=3).model.state_dict().keys()


def test_adapters_that_are_given_up_stay_in_the_weights(run, recipe: Recipe, tmp_path: Path) -> None:
    """Nothing jumps: the loss of the next step is as if the adapters were still there."""
    tree = layer_tree("shufflenet_v2_x0_5", classes=3, image_size=32)
    recipe = apply_strategy(recipe.changed(backbone="shufflenet_v2_x0_5", lr=0.01, epochs=1), "lora", tree)
    head = (BlockRule(path="", trainable=False), BlockRule(path="fc", trainable=True))
    plain, said = run(recipe, "plain"), run(recipe, "thawed", told=edits_at({3: Amend(rules=head)}))
    assert said.of(StepDone)[3].loss == pytest.approx(plain.of(StepDone)[3].loss, rel=1e-5)
    assert said.of(StepDone)[4].loss != plain.of(StepDone)[4].loss
    assert state(tmp_path / "thawed", said)["adapters"] == {}


# parts of a batch


def without_batch_norm(recipe: Recipe, **changes: Any) -> Recipe:
    changes = {"backbone": "squeezenet1_1", "optimizer": "sgd", "epochs": 1, "lr": 0.01, "warmup_epochs": 0, **changes}
    return recipe.changed(image_size=64, **changes)


def no_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x)


def test_accumulated_batches_learn_as_one_large_batch(
    run, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_dropout(monkeypatch)
    large = run(without_batch_norm(recipe, batch_size=16), "large")
    small = run(without_batch_norm(recipe, batch_size=4, accumulate=4), "small")
    assert [s.images for s in large.of(StepDone)] == [s.images for s in small.of(StepDone)]
    assert [s.loss for s in small.of(StepDone)] == pytest.approx([s.loss for s in large.of(StepDone)], rel=1e-4)
    left, right = weights(tmp_path / "large"), weights(tmp_path / "small")
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-3, atol=1e-5)


def test_out_of_memory_halves_what_goes_through_at_once_and_loses_no_step(
    run, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_dropout(monkeypatch)
    plain = run(without_batch_norm(recipe, batch_size=16), "plain")
    real = Learner._forward

    def narrow(self: Learner, images: torch.Tensor, **how: bool) -> torch.Tensor:
        if len(images) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(self, images, **how)

    monkeypatch.setattr(Learner, "_forward", narrow)
    monkeypatch.setattr("core.training.job.measuring_batch", lambda device: 5)
    monkeypatch.setattr("core.model.measuring_batch", lambda device: 5)
    said = run(without_batch_norm(recipe, batch_size=16), "narrow")
    assert [(event.step, event.images_at_once) for event in said.of(Memory)] == [(0, 8), (0, 4)]
    assert said.ended.outcome == "finished"
    assert [s.images for s in said.of(StepDone)] == [s.images for s in plain.of(StepDone)]
    assert [s.loss for s in said.of(StepDone)] == pytest.approx([s.loss for s in plain.of(StepDone)], rel=1e-4)


def test_memory_that_runs_out_in_the_middle_leaves_statistics_as_they_were(
    run, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step that failed half way is repeated: batch norm has counted each batch once."""
    real, failed = torch.autograd.backward, []

    def fail_once(*given: Any) -> None:
        if len(failed) < 1 and armed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        real(*given)

    armed: list[bool] = []
    monkeypatch.setattr(torch.autograd, "backward", fail_once)
    said = run(recipe.changed(epochs=1), told=lambda e: armed.append(True) if isinstance(e, StepDone) else None)
    assert len(said.of(Memory)) == len(failed) == 1
    counts = {int(t) for n, t in state(tmp_path / "run", said)["model"].items() if n.endswith("num_batches_tracked")}
    parts = [-(-step.images // 4) for step in said.of(StepDone)[1:]]
    assert parts == [2, 2, 2, 1]
    assert counts == {1 + sum(parts)}, "the first batch at once, the others in parts of four"


def test_what_a_step_costs_is_told_once_after_the_second_or_the_only_one(run, recipe: Recipe, tmp_path: Path) -> None:
    first = run(recipe, told=lambda event: Pause() if isinstance(event, Readings) else None)
    assert first.of(FirstSteps) == []
    [cost] = run(recipe, resume=tmp_path / "run" / first.of(Saved)[-1].file).of(FirstSteps)
    assert cost.seconds_per_step > 0
    assert cost.memory_bytes > 0
    only = run(recipe.changed(epochs=1, batch_size=64), "only")
    assert len(only.of(StepDone)) == len(only.of(FirstSteps)) == 1


# what keeps it from learning by heart


def test_the_average_is_what_is_judged_kept_and_resumed(run, recipe: Recipe, tmp_path: Path) -> None:
    recipe = recipe.changed(ema=0.9, epochs=3)
    whole = run(recipe, "whole")
    best = checkpoint.load(tmp_path / "whole" / next(s.file for s in reversed(whole.of(Saved)) if s.best))
    assert differing(best["average"], weights(tmp_path / "whole")) == []
    assert differing(best["average"], best["model"]) != []
    first = run(recipe, "broken", told=lambda e: Pause() if isinstance(e, StepDone) and e.step == 7 else None)
    run(recipe, "broken", resume=tmp_path / "broken" / first.of(Saved)[-1].file)
    assert differing(weights(tmp_path / "whole"), weights(tmp_path / "broken")) == []


def test_the_average_of_a_frozen_block_is_the_block(run, recipe: Recipe, tmp_path: Path) -> None:
    run(recipe.changed(rules=HEAD_ONLY, ema=0.99))
    start = build(recipe.backbone, classes=3, seed=recipe.seed, image_size=32).model.state_dict()
    assert {n.rpartition(".")[0] for n in differing(start, weights(tmp_path / "run"))} == {"classifier.3"}


def test_a_stronger_pull_keeps_weights_nearer_to_where_they_began(run, recipe: Recipe, monkeypatch) -> None:
    monkeypatch.setattr("core.training.job.LEAST_STRIDE", 1)
    far = []
    for pull in (0.0, 10.0):
        rules = (BlockRule(path="features.0", pull=pull),)
        said = run(recipe.changed(rules=rules, lr=0.02, optimizer="sgd"), f"p{pull}")
        far.append(said.of(Readings)[-1].blocks["features.0.0"].distance)
    assert far[0] > 1.2 * far[1] > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"mixup": 0.4},
        {"cutmix": 1.0},
        {"mixup": 0.4, "cutmix": 1.0, "accumulate": 2},
        {"loss": "weighted"},
        {"loss": "focal"},
        {"balanced": True},
        {"dropout": 0.5},
        {"clip_norm": 0.1},
        {"schedule": "one-cycle"},
        {"optimizer": "sgd", "nesterov": True},
        {"optimizer": "rmsprop"},
        {"schedule": "plateau", "plateau_epochs": 1, "lr": 0.3, "epochs": 4},
    ],
)
def test_each_setting_changes_the_run_repeats_and_goes_on_exactly(
    run, recipe: Recipe, tmp_path: Path, changes: dict[str, Any]
) -> None:
    recipe = recipe.changed(momentum=0.9, epochs=1)
    base = {key: value for key, value in changes.items() if key in ("optimizer", "lr", "epochs", "accumulate")}
    plain = run(recipe.changed(**base) if base != changes else recipe, "plain")
    whole = run(recipe.changed(**changes), "whole")
    assert [s.loss for s in whole.of(StepDone)] != [s.loss for s in plain.of(StepDone)]
    first = run(
        recipe.changed(**changes), "broken", told=lambda e: Pause() if isinstance(e, StepDone) and e.step == 2 else None
    )
    rest = run(recipe.changed(**changes), "broken", resume=tmp_path / "broken" / first.of(Saved)[-1].file)
    assert [s.loss for s in first.of(StepDone) + rest.of(StepDone)] == [s.loss for s in whole.of(StepDone)]
    assert differing(weights(tmp_path / "whole"), weights(tmp_path / "broken")) == []


def test_a_plateau_lowers_the_rate_after_epochs_without_gain(run, recipe: Recipe) -> None:
    changes = {"schedule": "plateau", "plateau_epochs": 1, "step_factor": 0.5, "epochs": 6, "warmup_epochs": 0}
    said = run(recipe.changed(**changes, lr=0.05))
    losses = [epoch.val_loss for epoch in said.of(EpochDone)]
    rate, expected, lowest = 0.05, [], float("inf")
    for loss in losses:
        expected.append(rate)
        if loss < lowest * (1 - 1e-4):
            lowest = loss
        else:
            rate /= 2
    assert [s.lr for s in said.of(StepDone)][::5] == pytest.approx(expected)
    assert min(expected) < 0.05


def test_stochastic_depth_is_only_where_blocks_can_be_skipped(run, recipe: Recipe) -> None:
    assert run(recipe.changed(stochastic_depth=0.3)).of(Notice)[0].code == "training.no_stochastic_depth"
    efficient = recipe.changed(backbone="efficientnet_b0", epochs=1)
    skipped = run(efficient.changed(stochastic_depth=0.9), "skipped")
    assert skipped.of(Notice) == []
    assert [s.loss for s in skipped.of(StepDone)] != [s.loss for s in run(efficient, "own").of(StepDone)]


# what is watched


def test_the_film_shows_the_same_images_of_all_classes_after_every_epoch(run, recipe: Recipe, dataset) -> None:
    said = run(recipe)
    films = said.of(Film)
    assert [film.epoch for film in films] == [1, 2]
    assert len({tuple(frame.image for frame in film.frames) for film in films}) == 1
    items = {item.sha256: item for item in dataset.items}
    for film, done in zip(films, said.of(EpochDone), strict=True):
        assert all(items[frame.image].label == frame.label for frame in film.frames)
        right = np.mean([frame.said == frame.label for frame in film.frames])
        assert right == pytest.approx(done.val_accuracy), "four images are all of them"
        assert all(0 < frame.truth <= frame.confidence <= 1 for frame in film.frames)
    assert {frame.label for frame in films[0].frames} == {0, 1, 2}


def test_the_film_shows_the_images_that_were_chosen(run, recipe: Recipe) -> None:
    first = run(recipe, "first").of(Film)[0].frames[2].image
    chosen = run(recipe.changed(film=(first, "0" * 64)), "chosen")
    assert [[frame.image for frame in film.frames] for film in chosen.of(Film)] == [[first], [first]]


def test_instruments_can_be_switched_off_and_change_nothing(run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.training.job.LEAST_STRIDE", 2)
    on, off = run(recipe, "on"), run(recipe.changed(instruments=False), "off")
    assert {reading.step for reading in on.of(Readings)} == {1, 2, 4, 7, 9}
    assert off.of(Readings) == []
    assert off.timeless(Saved) == on.timeless(Readings, Saved)
    assert isinstance(off[-1], Ended)


def test_readings_are_those_of_plain_arithmetic(run, recipe: Recipe, tmp_path: Path, monkeypatch) -> None:
    """After one step of plain SGD: the update is the rate times the gradient, and so is the distance from the start."""
    monkeypatch.setattr("core.training.job.LEAST_STRIDE", 1)
    changes = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "lr": 0.02, "warmup_epochs": 0}
    said = run(recipe.changed(**changes, schedule="constant"), told=lambda e: Stop() if isinstance(e, StepDone) else None)
    start = build(recipe.backbone, classes=3, seed=recipe.seed, image_size=32).model.state_dict()
    end = state(tmp_path / "run", said)["model"]
    for path, reading in said.of(Readings)[0].blocks.items():
        own = [n for n in start if n.rpartition(".")[0] == path and n.rpartition(".")[2] in ("weight", "bias")]
        moved = float(torch.cat([(end[n] - start[n]).flatten() for n in own]).norm())
        size = float(torch.cat([end[n].flatten() for n in own]).norm())
        assert reading.distance == pytest.approx(moved, rel=1e-3)
        assert reading.update == reading.distance
        assert reading.weight == pytest.approx(size, rel=1e-3)
        assert reading.update == pytest.approx(0.02 * reading.gradient, rel=5e-3, abs=1e-7)
