"""The loop tells everything, obeys at once, repeats itself to the bit, goes on where it was, and keeps its best."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core import checkpoint
from core.backbones import build, layer_tree
from core.checkpoint import checkpoints
from core.errors import DataError
from core.events import (
    COMMAND,
    Command,
    Discard,
    Ended,
    EpochDone,
    Event,
    Interrupt,
    Measuring,
    Notice,
    Pause,
    Preparing,
    Saved,
    Started,
    StepDone,
    Stop,
)
from core.events import Tested as Measured  # pytest would take the name for a class of tests
from core.model import load_model
from core.plan import plan
from core.recipe import AUGMENT_PRESETS, BlockRule, Recipe
from core.strategies import apply_strategy
from core.training import shelf, train
from core.training.job import Job, versions
from core.training.learner import Learner
from core.training.place import Place

STRONG = AUGMENT_PRESETS["strong"].model_copy(update={"noise": 0.05, "blur": 1.0})


def at_step(step: int, command: Command):
    return lambda event: command if isinstance(event, StepDone) and event.step == step else None


def at(kind: type, command: Command):
    return lambda event: command if isinstance(event, kind) else None


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_model(path).network.model.state_dict()


def same_weights(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# the story


def test_a_run_tells_its_story_in_order(run, recipe: Recipe, dataset, tmp_path: Path) -> None:
    said = run(recipe)
    kinds = [event.kind for event in said.timeless()]
    epoch = ["step"] * 5 + ["measuring", "epoch", "film", "saved"]
    ready = ["preparing"] * sum(isinstance(event, Preparing) for event in said.timeless())
    first = ["step", "readings", "step", "first_steps", *epoch[2:]]
    assert kinds == [*ready, "started", *first, *epoch, "measuring", "tested", "ended"]
    started = said.of(Started)[0]
    assert (started.splits, started.steps_per_epoch, started.epochs) == ({"train": 35, "val": 4, "test": 4}, 5, 2)
    assert started.fingerprint == dataset.fingerprint
    assert started.classes == ("a", "b", "c")
    assert started.parameters_total == started.parameters_trainable == sum(g.parameters for g in started.groups)
    assert [step.step for step in said.of(StepDone)] == list(range(1, 11))
    assert {step.epoch for step in said.of(StepDone)[:5]} == {1}
    assert said.ended == Ended(
        clock=said.ended.clock, outcome="finished", step=10, epoch=2, best_epoch=said.of(Measured)[0].epoch
    )
    clocks = [event.clock for event in said]
    assert clocks == sorted(clocks)


def test_training_figures_of_an_epoch_are_means_over_its_images(run, recipe: Recipe) -> None:
    said = run(recipe)
    for epoch in said.of(EpochDone):
        steps = [step for step in said.of(StepDone) if step.epoch == epoch.epoch]
        images = sum(step.images for step in steps)
        assert images == said.of(Started)[0].splits["train"]
        assert epoch.train_loss == pytest.approx(sum(step.loss * step.images for step in steps) / images)
        assert epoch.train_accuracy == pytest.approx(sum(step.correct for step in steps) / images)


def test_a_small_network_learns_what_is_easy(run, recipe: Recipe) -> None:
    said = run(recipe.changed(backbone="thaw-small", epochs=6, lr=3e-3))
    assert said.of(Measured)[0].scores.accuracy == 1.0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_equal_recipes_tell_equal_stories(run, recipe: Recipe, tmp_path: Path, precision: str) -> None:
    recipe = recipe.changed(augment=STRONG, label_smoothing=0.1, precision=precision)
    first = run(recipe, "first")
    torch.manual_seed(99)
    np.random.seed(99)

    def disturb(event: Event) -> None:
        torch.rand(3)
        np.random.rand(3)

    second = run(recipe, "second", told=disturb)
    assert first.timeless() == second.timeless()
    same_weights(tensors(tmp_path / "first/model.safetensors"), tensors(tmp_path / "second/model.safetensors"))
    third = run(recipe.changed(seed=1), "third")
    assert [s.loss for s in third.of(StepDone)] != [s.loss for s in first.of(StepDone)]


def test_a_run_leaves_the_random_numbers_of_others_alone(run, recipe: Recipe) -> None:
    before = torch.get_rng_state()
    run(recipe.changed(epochs=1, augment=STRONG))
    assert torch.equal(torch.get_rng_state(), before)


def test_figures_read_in_groups_are_those_read_one_by_one(run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(recipe, "eager")
    grouped = property(lambda job: len(job._pending) >= 3 or job.place.offset >= job.steps_per_epoch)
    monkeypatch.setattr(Job, "readable", grouped)
    assert run(recipe, "grouped").timeless() == expected.timeless()


# going on


@pytest.mark.parametrize(("step", "command"), [(1, Pause()), (3, Interrupt()), (5, Pause()), (7, Interrupt())])
def test_a_run_that_was_broken_off_goes_on_as_if_it_had_not_been(
    run, recipe: Recipe, tmp_path: Path, step: int, command: Command
) -> None:
    recipe = recipe.changed(augment=STRONG, label_smoothing=0.1, optimizer="adamw", schedule="cosine")
    unbroken = run(recipe, "unbroken")
    first = run(recipe, "broken", told=at_step(step, command))
    outcome = {"pause": "paused", "interrupt": "interrupted"}[command.kind]
    assert (first.ended.outcome, first.ended.step) == (outcome, step)
    assert isinstance(first[-2], Saved)
    second = run(recipe, "broken", resume=tmp_path / "broken" / first[-2].file)
    assert second.of(Notice) == []
    assert second.of(Started)[0].step == step
    outside = (Preparing, Started, Saved)
    assert first.timeless(*outside)[:-1] + second.timeless(*outside) == unbroken.timeless(*outside)
    if step != 5:  # there a second checkpoint of one step has another name, which the best remembers
        assert second.of(Saved)[-1].sha256 == unbroken.of(Saved)[-1].sha256
    same_weights(tensors(tmp_path / "broken/model.safetensors"), tensors(tmp_path / "unbroken/model.safetensors"))
    assert second[0].clock >= first.of(StepDone)[-1].clock


@pytest.mark.parametrize(("optimizer", "schedule"), [("sgd", "step"), ("adam", "constant")])
def test_other_optimizers_and_schedules_go_on_exactly_too(
    run, recipe: Recipe, tmp_path: Path, optimizer: str, schedule: str
) -> None:
    recipe = recipe.changed(optimizer=optimizer, schedule=schedule, step_epochs=1)
    unbroken = run(recipe, "unbroken")
    first = run(recipe, "broken", told=at_step(4, Pause()))
    second = run(recipe, "broken", resume=tmp_path / "broken" / first[-2].file)
    assert second.of(Saved)[-1].sha256 == unbroken.of(Saved)[-1].sha256


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_goes_on_exactly_too(run, recipe: Recipe, tmp_path: Path, precision: str) -> None:
    recipe = recipe.changed(precision=precision)
    unbroken = run(recipe, "unbroken")
    assert unbroken.of(Started)[0].precision == precision
    first = run(recipe, "broken", told=at_step(4, Pause()))
    second = run(recipe, "broken", resume=tmp_path / "broken" / first[-2].file)
    assert second.of(Saved)[-1].sha256 == unbroken.of(Saved)[-1].sha256


def test_long_epochs_are_saved_on_their_way_and_old_checkpoints_go(
    run, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(recipe, "plain")
    monkeypatch.setattr(shelf, "SAVE_SECONDS", 0.0)
    seen: list[set[str]] = []

    def told(event: Event) -> None:
        if isinstance(event, StepDone):
            seen.append({path.name for path in checkpoints(tmp_path / "often")})

    said = run(recipe, "often", told=told)
    assert [saved.step for saved in said.of(Saved)] == list(range(1, 11))
    assert [saved.best for saved in said.of(Saved)][:5] == [False] * 4 + [True]
    assert max(map(len, seen)) == 3
    assert seen[8] == {"step-00000005.ckpt", "step-00000007.ckpt", "step-00000008.ckpt"}
    assert said.timeless(Preparing, Saved) == expected.timeless(Preparing, Saved)


def test_a_run_paused_while_it_validates_validates_again(run, recipe: Recipe, tmp_path: Path) -> None:
    unbroken = run(recipe, "unbroken")
    first = run(recipe, "broken", told=at(Measuring, Pause()))
    assert first.of(EpochDone) == []
    second = run(recipe, "broken", resume=tmp_path / "broken" / first[-2].file)
    outside = (Preparing, Started, Saved, Measuring)
    assert first.timeless(*outside)[:-1] + second.timeless(*outside) == unbroken.timeless(*outside)


def test_a_run_paused_while_it_is_tested_is_only_tested_again(run, recipe: Recipe, tmp_path: Path) -> None:
    told = lambda event: Pause() if isinstance(event, Measuring) and event.what == "test" else None  # noqa: E731
    first = run(recipe, told=told)
    assert first.ended.outcome == "paused"
    saved = first.of(Saved)[-1]
    second = run(recipe, resume=tmp_path / "run" / saved.file)
    assert second.of(StepDone) == second.of(Saved) == []
    assert second.of(Measured)[0].scores.images == 4
    assert second.ended.outcome == "finished"


def test_a_continuation_from_an_old_checkpoint_clears_what_came_after_it(run, recipe: Recipe, tmp_path: Path) -> None:
    run(recipe, told=at_step(7, Pause()))
    old = tmp_path / "run/step-00000005.ckpt"
    second = run(recipe, resume=old)
    assert second.ended.outcome == "finished"
    kept = {path.name for path in checkpoints(tmp_path / "run")}
    assert kept == {"step-00000005.ckpt", "step-00000010.ckpt"}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("fingerprint", "0" * 64, "training.other_data"),
        ("versions", {"torch": "1.0"}, "training.other_versions"),
        ("versions", {**versions(), "pillow": "1.0"}, "training.other_versions"),
        ("threads", 77, "training.other_threads"),
        ("device", "cuda", "training.other_device"),
    ],
)
def test_what_has_changed_since_is_said(run, recipe: Recipe, tmp_path: Path, field: str, value: object, code: str) -> None:
    first = run(recipe, told=at_step(2, Pause()))
    state = checkpoint.load(tmp_path / "run" / first[-2].file)
    changed = {key: value if key == field else old for key, old in state.items() if key != "format"}
    checkpoint.save(tmp_path / "run/step-00000002-9.ckpt", changed)
    second = run(recipe, resume=tmp_path / "run/step-00000002-9.ckpt")
    assert [notice.code for notice in second.of(Notice)] == [code]
    assert second.ended.outcome == "finished"


def test_changed_settings_are_named_and_obeyed(run, recipe: Recipe, tmp_path: Path) -> None:
    first = run(recipe, told=at_step(2, Pause()))
    second = run(recipe.changed(epochs=3, name="x"), resume=tmp_path / "run" / first[-2].file)
    assert [(n.code, n.values) for n in second.of(Notice)] == [("training.other_recipe", {"fields": "epochs"})]
    assert second.ended.step == 15


def test_a_checkpoint_of_another_network_and_a_damaged_one_are_refused(run, recipe: Recipe, tmp_path: Path) -> None:
    first = run(recipe, told=at_step(1, Pause()))
    path = tmp_path / "run" / first[-2].file
    other = run(recipe.changed(backbone="thaw-small"), "other", resume=path)
    assert (other.ended.outcome, other.ended.code) == ("failed", "checkpoint.other_network")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert run(recipe, resume=path).ended.code == "checkpoint.damaged"
    assert run(recipe, resume=tmp_path / "run/step-00009999.ckpt").ended.code == "checkpoint.missing"


# commands


def test_a_run_stopped_in_its_first_epoch_still_has_a_best(run, recipe: Recipe, tmp_path: Path) -> None:
    said = run(recipe, told=at_step(2, Stop()))
    assert [step.step for step in said.of(StepDone)] == [1, 2]
    assert [(epoch.epoch, epoch.step, epoch.best) for epoch in said.of(EpochDone)] == [(1, 2, True)]
    assert said.of(Measured)[0].epoch == 1
    assert (said.ended.outcome, said.ended.reason, said.ended.best_epoch) == ("stopped", "user", 1)
    same_weights(
        tensors(tmp_path / "run/model.safetensors"), checkpoint.load(tmp_path / "run" / said.of(Saved)[-1].file)["model"]
    )


def test_a_stopped_run_can_go_on_and_ends_as_if_it_had_not_been_stopped(run, recipe: Recipe, tmp_path: Path) -> None:
    unbroken = run(recipe, "unbroken")
    first = run(recipe, told=at_step(7, Stop()))
    second = run(recipe, resume=tmp_path / "run" / first.of(Saved)[-1].file)
    steps = [event for event in unbroken.timeless() if isinstance(event, StepDone)]
    assert [event for event in second.timeless() if isinstance(event, StepDone)] == steps[7:]
    assert second.ended.outcome == "finished"


def test_a_stop_during_validation_lets_it_finish(run, recipe: Recipe) -> None:
    said = run(recipe, told=at(Measuring, Stop()))
    assert [epoch.epoch for epoch in said.of(EpochDone)] == [1]
    assert said.ended.outcome == "stopped"


def test_a_run_stopped_when_it_is_over_has_finished(run, recipe: Recipe) -> None:
    told = lambda event: Stop() if isinstance(event, Measuring) and event.what == "test" else None  # noqa: E731
    assert run(recipe, told=told).ended.outcome == "finished"


@pytest.mark.parametrize("moment", [StepDone, Measuring, EpochDone, Saved, Measured])
def test_a_discarded_run_leaves_no_weights(run, recipe: Recipe, tmp_path: Path, moment: type) -> None:
    said = run(recipe, told=at(moment, Discard()))
    assert (said.ended.outcome, said.ended.reason) == ("discarded", "user")
    assert files(tmp_path / "run") == set()


@pytest.mark.parametrize("text", ["stop", "pause", "interrupt", "discard"])
def test_commands_are_heard_while_data_are_prepared(
    run, recipe: Recipe, pictures, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def slow(*given: object, cancelled, **named: object) -> torch.Tensor:
        while not cancelled():
            time.sleep(0.01)
        raise DataError("data.cancelled")

    monkeypatch.setattr("core.training.material.load_pixels", slow)
    said = run(recipe, told=lambda event: COMMAND.validate_python({"kind": text}))
    outcome = {"stop": "stopped", "pause": "paused", "interrupt": "interrupted", "discard": "discarded"}[text]
    assert (said.ended.outcome, said.ended.step, said.ended.best_epoch) == (outcome, 0, None)
    assert {event.kind for event in said} == {"preparing", "ended"}


def test_a_resumed_run_stopped_while_it_opens_still_gives_its_best(run, recipe: Recipe, tmp_path: Path) -> None:
    first = run(recipe, told=at_step(7, Pause()))
    second = run(recipe, resume=tmp_path / "run" / first[-2].file, told=at(Preparing, Stop()))
    assert second.of(StepDone) == []
    assert (second.ended.outcome, second.ended.best_epoch) == ("stopped", 1)
    assert second.of(Measured)[0].epoch == 1


def test_a_resumed_run_discarded_while_it_opens_leaves_no_weights(run, recipe: Recipe, tmp_path: Path) -> None:
    first = run(recipe, told=at_step(2, Pause()))
    second = run(recipe, resume=tmp_path / "run" / first[-2].file, told=at(Preparing, Discard()))
    assert second.ended.outcome == "discarded"
    assert files(tmp_path / "run") == set()


def test_closing_the_generator_ends_its_thread(workspace, recipe: Recipe, tmp_path: Path, monkeypatch) -> None:
    def slow(*given: object, cancelled, **named: object) -> torch.Tensor:
        while not cancelled():
            time.sleep(0.01)
        raise DataError("data.cancelled")

    monkeypatch.setattr("core.training.material.load_pixels", slow)
    events = train(recipe, workspace=workspace, folder=tmp_path / "run")
    next(events)
    before = threading.active_count()
    events.close()
    assert threading.active_count() == before - 1


# the best


def test_the_best_epoch_is_restored_kept_and_measured(run, recipe: Recipe, tmp_path: Path, dataset) -> None:
    said = run(recipe.changed(epochs=4, metric="loss", lr=3e-3))
    epochs = said.of(EpochDone)
    best = min(epochs, key=lambda epoch: epoch.val_loss)
    assert [epoch.epoch for epoch in epochs if epoch.best][-1] == best.epoch == said.ended.best_epoch
    folder = tmp_path / "run"
    kept = checkpoints(folder)
    assert kept[-2:] == (folder / "step-00000015.ckpt", folder / "step-00000020.ckpt")
    assert {path.name for path in kept} == {f"step-{step:08d}.ckpt" for step in {15, 20, best.step}}
    same_weights(tensors(folder / "model.safetensors"), checkpoint.load(folder / f"step-{best.step:08d}.ckpt")["model"])


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says of each epoch whether it is the best so far."""

    def judge_as(*verdicts: bool) -> None:
        given = iter(verdicts)

        def judge(place: Place, value: float, loss: float, images: int = 0) -> bool:
            if best := next(given):
                place.best_epoch = place.epoch
            return best

        monkeypatch.setattr(Place, "judge", judge)

    return judge_as


def test_the_best_of_an_older_checkpoint_is_kept_as_long_as_that(run, recipe: Recipe, tmp_path: Path, judged) -> None:
    judged(True, False, True)
    run(recipe.changed(epochs=3))
    newest = tmp_path / "run" / "step-00000015.ckpt"
    assert {path.name for path in checkpoints(tmp_path / "run")} == {f"step-{step:08d}.ckpt" for step in (5, 10, 15)}
    newest.write_bytes(b"")
    judged(False)
    said = run(recipe.changed(epochs=3), resume=tmp_path / "run" / "step-00000010.ckpt")
    assert (said.ended.outcome, said.ended.best_epoch, said.of(Notice)) == ("finished", 1, [])


def test_where_the_best_weights_were_damaged_the_last_ones_are_kept_and_that_is_said(
    run, recipe: Recipe, tmp_path: Path, judged
) -> None:
    judged(True, False)
    folder = tmp_path / "run"

    def harm(event: Event) -> None:
        if isinstance(event, EpochDone) and event.epoch == 2:
            (folder / "step-00000005.ckpt").write_bytes(b"harmed")

    said = run(recipe, told=harm)
    assert (said.ended.outcome, said.ended.best_epoch, said.of(Measured)[0].epoch) == ("finished", 2, 2)
    assert [(notice.code, notice.values["best"]) for notice in said.of(Notice)] == [("training.best_lost", 1)]
    same_weights(tensors(folder / "model.safetensors"), checkpoint.load(folder / "step-00000010.ckpt")["model"])


def test_the_first_of_equal_epochs_is_the_best_and_patience_ends_the_run(run, recipe: Recipe) -> None:
    still = (BlockRule(path="features", trainable=False), BlockRule(path="classifier", lr_scale=0.0))
    said = run(recipe.changed(epochs=9, patience=2, rules=still))
    assert [(epoch.epoch, epoch.best) for epoch in said.of(EpochDone)] == [(1, True), (2, False), (3, False)]
    assert (said.ended.outcome, said.ended.reason, said.ended.best_epoch) == ("finished", "early_stop", 1)


def test_the_answers_lie_beside_the_model(run, recipe: Recipe, tmp_path: Path, dataset) -> None:
    tested = run(recipe).of(Measured)[0]
    document = json.loads((tmp_path / "run" / tested.file).read_text("utf-8"))
    assert (document["split"], document["epoch"], document["classes"]) == ("test", tested.epoch, ["a", "b", "c"])
    model = load_model(tmp_path / "run/model.safetensors")
    for entry in document["items"]:
        item = dataset.items[entry["index"]]
        assert (entry["name"], entry["sha256"], entry["label"]) == (item.name, item.sha256, item.label)
        row = model.predict([dataset.image(item)])[0]
        assert [top["class"] for top in entry["top"]] == np.argsort(-row)[:3].tolist()
        assert [top["probability"] for top in entry["top"]] == pytest.approx(sorted(row, reverse=True)[:3], abs=1e-5)
        assert entry["predicted"] == entry["top"][0]["class"]
        assert entry["confidence"] == entry["top"][0]["probability"]
    right = sum(entry["predicted"] == entry["label"] for entry in document["items"])
    assert right / len(document["items"]) == tested.scores.accuracy


def test_without_validation_images_the_last_epoch_is_the_best(run, recipe: Recipe) -> None:
    said = run(recipe.changed(val_fraction=0.0))
    assert [notice.code for notice in said.of(Notice)] == ["training.no_validation"]
    assert [(e.best, e.val_loss, e.val_accuracy) for e in said.of(EpochDone)] == [(True, None, None)] * 2
    assert (said.of(Measured)[0].split, said.ended.best_epoch) == ("test", 2)


def test_without_test_images_the_validation_images_are_measured(run, recipe: Recipe) -> None:
    said = run(recipe.changed(test_fraction=0.0))
    tested = said.of(Measured)[0]
    assert (tested.split, tested.scores.images) == ("val", said.of(Started)[0].splits["val"])


def test_without_either_the_model_is_kept_unmeasured(run, recipe: Recipe, tmp_path: Path) -> None:
    said = run(recipe.changed(test_fraction=0.0, val_fraction=0.0))
    assert said.of(Measured) == []
    assert said.ended.outcome == "finished"
    assert load_model(tmp_path / "run/model.safetensors").classes == ("a", "b", "c")


# freezing


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("strategy", ["last-stage", "middle"])
def test_frozen_blocks_are_bit_identical_after_training(
    run, recipe: Recipe, live: list[dict[str, torch.Tensor]], optimizer: str, strategy: str
) -> None:
    tree = layer_tree("shufflenet_v2_x0_5", classes=3, image_size=32)
    choices = {"epochs": 1, "optimizer": optimizer, "momentum": 0.9, "weight_decay": 0.1, "lr": 0.01}
    recipe = recipe.changed(backbone="shufflenet_v2_x0_5", **choices)
    if strategy == "middle":  # something learns below and above, and half of one block
        frozen = ("stage2", "stage3.0.branch2.1", "stage3.1.branch2.0.weight", "conv1")
        recipe = recipe.changed(rules=tuple(BlockRule(path=path, trainable=False) for path in frozen))
    else:
        recipe = apply_strategy(recipe, strategy, tree)
    the_plan = plan(tree, recipe.rules)
    before = build("shufflenet_v2_x0_5", classes=3, seed=recipe.seed, image_size=32).model.state_dict()
    said = run(recipe)
    after = live[-1]
    held = tuple(f"{path}." for path in the_plan.held)
    still = {name for name in before if name in the_plan.frozen or name.startswith(held)}
    assert said.of(Started)[0].held == the_plan.held != ()
    assert {name for name in before if not torch.equal(before[name], after[name])} == before.keys() - still


# what goes wrong


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """From now on the loss of these steps (0-based) is no number."""
    real = Learner._gradients

    def at(*steps: int) -> None:
        def poisoned(self: Learner, *given: Any) -> tuple[torch.Tensor, torch.Tensor]:
            loss, correct = real(self, *given)
            return (loss * float("nan") if given[3] in steps else loss), correct

        monkeypatch.setattr(Learner, "_gradients", poisoned)

    return at


def test_a_loss_that_stays_no_number_ends_the_run_and_keeps_what_was_good(
    run, recipe: Recipe, tmp_path: Path, poison
) -> None:
    poison(5, 6, 7, 8, 9)
    said = run(recipe)
    assert [step.loss is None for step in said.of(StepDone)] == [False] * 5 + [True] * 4
    bad = said.of(StepDone)[-1]
    assert (said.ended.outcome, said.ended.code) == ("failed", "training.not_finite")
    assert said.ended.values == {"step": 9, "lr": bad.lr}
    assert [saved.step for saved in said.of(Saved)] == [5]
    assert files(tmp_path / "run") == {"step-00000005.ckpt", "step-00000005.ckpt.json"}
    state = checkpoint.load(tmp_path / "run/step-00000005.ckpt")
    assert all(bool(tensor.isfinite().all()) for tensor in state["model"].values())


def test_a_step_that_is_no_number_is_passed_over_and_said_and_is_no_part_of_the_figures(run, recipe: Recipe, poison) -> None:
    poison(1, 2, 3, 6)
    said = run(recipe)
    assert said.ended.outcome == "finished"
    assert [(n.code, n.values) for n in said.of(Notice)] == [
        ("training.passed_over", {"n": n, "step": step, "most": 3}) for n, step in enumerate((2, 3, 4, 7), 1)
    ]
    assert [step.step for step in said.of(StepDone)] == list(range(1, 11))
    for epoch in said.of(EpochDone):
        steps = [step for step in said.of(StepDone) if step.epoch == epoch.epoch and step.loss is not None]
        images = sum(step.images for step in steps)
        assert epoch.train_loss == pytest.approx(sum(step.loss * step.images for step in steps) / images)
        assert epoch.train_accuracy == pytest.approx(sum(step.correct for step in steps) / images)


def test_steps_passed_over_change_nothing_for_those_that_count(run, recipe: Recipe, live, poison) -> None:
    """The second epoch is poisoned but for one step of which nothing is learned: it ends where the first one did."""
    recipe = recipe.changed(schedule="constant", warmup_epochs=0.0, instruments=False)
    poison(5, 6, 7)
    run(recipe, told=at_step(8, Interrupt()))
    assert len(live) == 2
    same_weights(*live)


def test_an_epoch_from_which_nothing_could_be_learned_ends_the_run(run, recipe: Recipe, poison) -> None:
    poison(2, 3)
    said = run(recipe.changed(batch_size=20))
    assert [(step.epoch, step.loss is None) for step in said.of(StepDone)] == [(1, False), (1, False), (2, True), (2, True)]
    assert (said.ended.outcome, said.ended.code) == ("failed", "training.not_finite")
    assert said.ended.values["step"] == 4


@pytest.mark.parametrize("command", [Stop(), Pause(), Interrupt()])
def test_a_run_can_be_told_to_end_while_nothing_was_learned_yet(run, recipe: Recipe, poison, command: Command) -> None:
    poison(0, 1)
    said = run(recipe, told=at_step(2, command))
    assert said.ended.outcome == {"stop": "stopped", "pause": "paused", "interrupt": "interrupted"}[command.kind]
    assert said.of(EpochDone) == []


def test_a_continuation_counts_on_to_the_bit(run, recipe: Recipe, tmp_path: Path, poison) -> None:
    recipe = recipe.changed(ema=0.9)
    poison(5, 6, 7, 8)
    whole = run(recipe, "whole")
    assert (whole.ended.code, whole.ended.values["step"]) == ("training.not_finite", 9)
    first = run(recipe, "parts", told=at_step(7, Interrupt()))
    second = run(recipe, "parts", resume=tmp_path / "parts" / first.of(Saved)[-1].file)
    assert [step.step for step in second.of(StepDone)] == [8, 9]
    assert (second.ended.code, second.ended.values) == (whole.ended.code, whole.ended.values)
    assert [n.values["n"] for n in first.of(Notice) + second.of(Notice)] == [1, 2, 3]
    poison(6)
    run(recipe, "whole")
    first = run(recipe, "parts", told=at_step(7, Interrupt()))
    run(recipe, "parts", resume=tmp_path / "parts" / first.of(Saved)[-1].file)
    same_weights(tensors(tmp_path / "whole/model.safetensors"), tensors(tmp_path / "parts/model.safetensors"))


def test_figures_that_are_read_in_groups_tell_the_same(run, recipe: Recipe, poison, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(1, 2, 3, 6)
    alone = run(recipe, "alone")
    monkeypatch.setattr(Job, "readable", property(lambda job: job.place.offset >= job.steps_per_epoch))
    assert run(recipe, "groups").timeless() == alone.timeless()


@pytest.mark.parametrize("command", [None, Stop(), Pause()])
def test_weights_that_are_no_numbers_are_neither_best_nor_saved(
    run, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command | None
) -> None:
    real = Learner.step

    def poisoned(self: Learner, *given: torch.Tensor, step: int, **how: Any) -> tuple[Any, ...]:
        answer = real(self, *given, step=step, **how)
        if step == 4:
            next(iter(self.network.model.parameters())).data.fill_(float("inf"))
        return answer

    monkeypatch.setattr(Learner, "step", poisoned)
    said = run(recipe, told=at_step(5, command) if command else lambda event: None)
    assert (said.ended.outcome, said.ended.code) == ("failed", "training.not_finite")
    assert said.of(EpochDone) == said.of(Saved) == []
    assert files(tmp_path / "run") == set()


def test_a_full_disk_ends_the_run_and_keeps_what_was_saved(
    run, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    def told(event: Event) -> None:
        if isinstance(event, Saved):

            def full(descriptor: int, data: bytes) -> int:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            monkeypatch.setattr(os, "write", full)

    said = run(recipe, told=told)
    assert (said.ended.outcome, said.ended.code) == ("failed", "checkpoint.disk_full")
    assert said.ended.values["folder"] == str(tmp_path / "run")
    assert files(tmp_path / "run") == {"step-00000005.ckpt", "step-00000005.ckpt.json"}


def test_choices_that_cannot_be_carried_out_are_explained(run, recipe: Recipe, pictures) -> None:
    def failure(**changes: object) -> tuple[str, dict[str, object]]:
        said = run(recipe.changed(**changes))
        assert said.ended.outcome == "failed"
        return said.ended.code, said.ended.values

    assert failure(device="cuda:7")[0] == "training.no_device"
    assert failure(rules=(BlockRule(path="", trainable=False),)) == (
        "training.nothing_learns",
        {"backbone": "tiny"},
    )
    assert failure(dataset="nobody")[0] == "dataset.unknown"
    assert failure(backbone="nothing")[0] == "backbone.unknown"
    assert failure(backbone="mobilenet_v3_small", batch_size=1)[0] == "training.batch_of_one"
    given = pictures(given={"train": (3, 4), "val": (2, 2), "test": (2, 2, 2)})
    assert failure(dataset=given.id) == ("training.class_without_images", {"name": "c"})


def test_too_little_memory_is_explained(run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(self: Learner, *given: object, **named: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Learner, "step", greedy)
    said = run(recipe)
    assert (said.ended.code, said.ended.values["batch_size"]) == ("training.out_of_memory", 8)


def test_a_defect_is_raised_not_hidden(run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Learner, *given: object, **named: object) -> None:
        raise RuntimeError("sizes of tensors must match")

    monkeypatch.setattr(Learner, "step", broken)
    with pytest.raises(RuntimeError, match="sizes of tensors"):
        run(recipe)


# batches


def test_a_last_batch_of_one_joins_the_batch_before_it(run, recipe: Recipe, pictures) -> None:
    given = pictures(given={"train": (6, 6, 5), "val": (2, 2, 2), "test": (1, 1, 1)})
    said = run(recipe.changed(dataset=given.id, epochs=1))
    assert [step.images for step in said.of(StepDone)] == [8, 9]
    assert said.of(Started)[0].steps_per_epoch == 2


def test_a_batch_may_be_larger_than_the_split(run, recipe: Recipe) -> None:
    said = run(recipe.changed(batch_size=8192, epochs=2))
    train = said.of(Started)[0].splits["train"]
    assert [step.images for step in said.of(StepDone)] == [train, train]


def test_threads_are_set_for_the_run_alone(run, recipe: Recipe) -> None:
    before = torch.get_num_threads()
    said = run(recipe.changed(threads=before + 1, epochs=1), told=at(Started, Discard()))
    assert said.of(Started)[0].threads == before + 1
    assert torch.get_num_threads() == before
