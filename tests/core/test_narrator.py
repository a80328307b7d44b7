"""For every rule a curve that must make it speak and one that must not; healthy runs hear no warning."""

import json
import string
from collections.abc import Callable, Iterable, Sequence
from math import log
from pathlib import Path
from typing import Any

import pytest

from core import narrator
from core.events import Ended, EpochDone, Film, Frame, GroupInfo, Reading, Readings, Replanned, Started
from core.history import RunState
from core.narrator import Action, Remark, narrate, pitfalls, remarks
from core.recipe import AUGMENT_PRESETS, Augment, BlockRule, Recipe
from core.strategies import STRATEGIES
from core.words import LOCALES, say

RECIPE = Recipe(weights="pretrained", epochs=10, lr=1e-3, strategy="last-stage", schedule="constant")
CHANCE = log(10)
STEPS = 40
"""An epoch."""


def epoch(
    number: int, train: float, val: float | None, accuracy: float = 0.9, f1: float | None = None, right: float = 0.9
) -> EpochDone:
    """`accuracy` and `f1` of validation, `right` of training."""
    none = val is None
    return EpochDone(
        epoch=number,
        step=number * STEPS,
        train_loss=train,
        train_accuracy=right,
        val_loss=val,
        val_accuracy=None if none else accuracy,
        val_macro_f1=None if none else accuracy if f1 is None else f1,
        best=False,
    )


def curve(train: Sequence[float], val: Sequence[float | None] | None = None, **said: Any) -> tuple[EpochDone, ...]:
    """Validation loss like training loss, unless it is given."""
    losses = train if val is None else val
    return tuple(epoch(at, one, other, **said) for at, (one, other) in enumerate(zip(train, losses, strict=True), 1))


def started(images: int = 2000, classes: int = 10, trainable: int = 20, epochs: int = 10) -> Started:
    return Started(
        device="cpu",
        precision="fp32",
        threads=1,
        versions={},
        fingerprint="f",
        classes=tuple(f"class {number}" for number in range(classes)),
        splits={"train": images, "val": 200},
        parameters_total=100,
        parameters_trainable=trainable,
        groups=(GroupInfo(name="fc", lr_scale=1.0, parameters=5),),
        held=(),
        steps_per_epoch=STEPS,
        epochs=epochs,
        step=0,
    )


def run(epochs: Sequence[EpochDone] = (), *, total: int = 10, start: Started | None = None, **said: Any) -> RunState:
    """A run that is going and has just ended the last of `epochs`."""
    start = start or started(epochs=total)
    step = said.pop("step", len(epochs) * STEPS)
    judged = [one for one in epochs if one.val_loss is not None]
    state: dict[str, Any] = {
        "state": "running",
        "stage": "training",
        "started": start,
        "trainable": start.parameters_trainable,
        "epochs": tuple(epochs),
        "epoch": len(epochs) + 1,
        "epochs_total": total,
        "step": step,
        "fraction": step / (total * STEPS),
        "loss": epochs[-1].train_loss if epochs else None,
        "lr": RECIPE.lr,
        "best": max(judged, key=lambda one: one.val_accuracy or 0) if judged else None,
    }
    return RunState(**(state | said))


def ended(now: dict[str, Any] | None = None, outcome: Any = "finished") -> dict[str, Any]:
    return {"state": outcome, "stage": "ended", "ended": Ended(outcome=outcome, **(now or {}))}


def hear(now: RunState, recipe: Recipe = RECIPE) -> dict[str, Remark]:
    """Remarks by code; each of them can be said and carried out."""
    said = remarks(recipe, now)
    for remark in said:
        speak(remark)
        carry_out(remark, recipe, going=now.state == "running")
    assert (narrate(recipe, now),) == (said[:1] or (None,))
    return {remark.code: remark for remark in said}


def warned(now: RunState, recipe: Recipe = RECIPE) -> set[str]:
    return {code for code, remark in hear(now, recipe).items() if remark.severity == "warning"}


def speak(remark: Remark) -> list[str]:
    keys = [f"narrator.{remark.code}.says"] + [f"narrator.{remark.code}.action"] * (remark.action is not None)
    return [say(key, language, **remark.values) for key in keys for language in ("en", "zh")]


def carry_out(remark: Remark, recipe: Recipe, *, going: bool) -> None:
    action = remark.action
    if action is None:
        return
    assert going or action.kind == "again"
    assert (action.kind == "amend") == (action.lr is not None or action.rules is not None)
    assert (action.kind == "again") == bool(action.changes)
    changes = dict(action.changes)
    assert changes.get("strategy", "custom") in {*STRATEGIES, "custom"}
    changed = recipe.changed(**changes)
    assert action.kind != "again" or changed != recipe
    if action.kind == "amend":
        assert (
            recipe.changed(lr=action.lr or recipe.lr, rules=recipe.rules if action.rules is None else action.rules) != recipe
        )


# a healthy run

TRAIN = (1.62, 0.88, 0.61, 0.47, 0.38, 0.31, 0.26, 0.23, 0.21, 0.20)
VAL = (1.05, 0.74, 0.58, 0.52, 0.46, 0.47, 0.42, 0.43, 0.41, 0.42)
RIGHT = (0.70, 0.79, 0.83, 0.85, 0.87, 0.86, 0.88, 0.88, 0.89, 0.88)
HEALTHY = tuple(
    epoch(at, train, val, right, right=min(right + 0.02 * at / 2, 0.96))
    for at, (train, val, right) in enumerate(zip(TRAIN, VAL, RIGHT, strict=True), 1)
)


def healthy_readings(step: int, number: int) -> Readings:
    """A frozen stem, blocks at a tenth of the rate, the head; all of it as it is on real networks."""
    blocks = {
        "stem": Reading(0.0, 0.0, 12.0, 0.0, 0.0),
        "layer3.0": Reading(0.21, 4e-3, 31.0, 0.1 * number, 0.0),
        "layer3.1": Reading(0.13, 5e-3, 35.0, 0.1 * number, 0.0),
        "layer4.0": Reading(0.44, 7e-3, 42.0, 0.2 * number, 0.3),
        "layer4.1": Reading(0.35, 6e-3, 40.0, 0.2 * number, 0.2),
        "fc": Reading(1.4, 0.03, 1.9, 0.5 * number, 0.0),
    }
    return Readings(step=step, epoch=number, blocks=blocks)


@pytest.mark.parametrize("length", range(len(HEALTHY) + 1))
@pytest.mark.parametrize("images", [600, 20_000])
def test_a_healthy_run_is_never_warned(length: int, images: int) -> None:
    readings = tuple(healthy_readings(number * STEPS, number) for number in range(1, length + 1))
    for schedule, rate in (("constant", 1.0), ("cosine", max(1 - length / 10, 0.001))):
        recipe = RECIPE.changed(schedule=schedule)
        now = run(
            HEALTHY[:length], start=started(images), readings=readings, lr=1e-3 * rate, step=length * STEPS or 1, loss=1.0
        )
        assert warned(now, recipe) == set()
        assert narrate(recipe, now) is not None


def test_equal_runs_are_told_equal_remarks() -> None:
    rising = curve([1.0, 0.5, 0.3, 0.2, 0.1], [0.9, 0.5, 0.6, 0.7, 0.8])
    assert remarks(RECIPE, run(rising)) == remarks(RECIPE, run(rising))
    assert pitfalls(RECIPE, {}, total=4, trainable=4) == pitfalls(RECIPE, {}, total=4, trainable=4)


def test_nothing_is_said_before_there_is_anything() -> None:
    assert narrate(RECIPE, RunState()) is None
    assert narrate(RECIPE, RunState(state="running", stage="preparing")) is None
    assert narrate(RECIPE, run()) is None


# curves


def test_a_loss_that_is_no_number_asks_for_a_tenth_of_the_rate() -> None:
    told = ended({"code": "training.not_finite", "values": {"step": 71, "lr": 0.5}, "step": 70}, "failed")
    remark = narrate(RECIPE, run(HEALTHY[:1], **told))
    assert remark is not None
    assert remark.code == "not_finite"
    assert remark.values["step"] == 71
    assert remark.action == Action("again", changes=(("lr", 1e-4),))
    speak(remark)
    other = ended({"code": "training.out_of_memory"}, "failed")
    assert "not_finite" not in hear(run(HEALTHY[:1], **other))


def test_a_loss_above_guessing_is_a_rate_too_high() -> None:
    remark = hear(run(curve([4.0, 3.5])))["loss_high"]
    assert remark.action == Action("amend", lr=1e-4)
    assert (remark.values["loss"], remark.values["chance"]) == ("3.50", "2.30")
    assert "loss_high" not in hear(run(curve([2.9, 2.2])))


def test_a_rough_first_epoch_is_no_rate_too_high_but_a_broken_one_is() -> None:
    assert warned(run(curve([1.5 * CHANCE]))) == set()
    assert "loss_high" in hear(run(curve([2.5 * CHANCE])))
    assert "loss_high" in hear(run(loss=5 * CHANCE, step=25))
    assert warned(run(loss=5 * CHANCE, step=3)) == set()
    assert warned(run(loss=1.5 * CHANCE, step=25)) == set()


def test_a_training_loss_that_rises_twice_is_a_rate_too_high() -> None:
    remark = hear(run(curve([1.4, 0.8, 1.3, 1.6])))["loss_rising"]
    assert (remark.values["low"], remark.values["high"], remark.values["epoch"]) == ("0.80", "1.60", 2)
    assert "loss_rising" not in hear(run(curve([1.4, 0.8, 1.3, 0.7])))
    assert "loss_rising" not in hear(run(curve([0.4, 0.01, 0.02, 0.03])))


def test_a_validation_loss_that_swings_wide_is_a_rate_too_high() -> None:
    train = [1.2, 1.0, 0.9, 0.85, 0.8]
    remark = hear(run(curve(train, [1.2, 0.5, 1.4, 0.6, 1.5])))["loss_swings"]
    assert remark.action == Action("amend", lr=3.3e-4)
    assert "loss_swings" not in hear(run(curve(train, [0.62, 0.55, 0.60, 0.52, 0.57])))
    assert "loss_swings" not in hear(run(curve(train, [1.9, 1.4, 1.0, 0.6, 0.3])))


def test_a_change_gives_a_run_a_new_chance() -> None:
    rising = curve([1.4, 0.8, 1.3, 1.6])
    edit = replanned(step=4 * STEPS, lr=1e-4)
    assert warned(run(rising, edits=(edit,))) == set()
    remark = hear(run((*rising, *curve([1.0] * 4 + [4.0, 4.1])[4:]), edits=(edit,)))["loss_high"]
    assert remark.action == Action("amend", lr=1e-5), "from the rate that holds now"


def replanned(step: int, lr: float = 1e-3, rules: tuple[BlockRule, ...] = (), cause: Any = "person") -> Replanned:
    return Replanned(
        cause=cause,
        step=step,
        epoch=step // STEPS + 1,
        rules=rules,
        lr=lr,
        parameters_trainable=20,
        groups=(),
        held=(),
    )


def test_tiny_steps_that_learn_nothing_are_a_rate_too_low() -> None:
    flat = curve([2.302, 2.301, 2.300], accuracy=0.1)
    slow = RECIPE.changed(lr=1e-6)
    remark = hear(run(flat, lr=1e-6), slow)["stuck_slow"]
    assert remark.action == Action("amend", lr=1e-5)
    still = Readings(step=120, epoch=3, blocks={"fc": Reading(1.0, 4e-5, 1.0, 1e-4, 0.0)})
    assert "stuck_slow" in hear(run(flat, readings=(still,)))
    assert "stuck_slow" not in hear(run(curve([2.30, 2.1, 1.8]), lr=1e-6), slow)


def test_large_steps_that_learn_nothing_are_a_rate_too_high() -> None:
    flat = curve([2.35, 2.33, 2.34], accuracy=0.1)
    remark = hear(run(flat, lr=0.1), RECIPE.changed(lr=0.1))["stuck"]
    assert remark.action == Action("amend", lr=0.01)
    assert "stuck" not in hear(run(curve([2.35, 2.1, 1.9], accuracy=0.3)))


def film(number: int, said: Iterable[int]) -> Film:
    frames = tuple(Frame(image="0", label=at, said=one, confidence=0.5, truth=0.1) for at, one in enumerate(said))
    return Film(epoch=number, step=number * STEPS, frames=frames)


def test_one_answer_for_all_images_is_a_class_collapse() -> None:
    same = curve([1.9, 1.85], accuracy=0.1, f1=0.018)
    assert hear(run(same))["one_class"].action == Action("amend", lr=1e-4)
    assert "one_class" in hear(run(same, films=(film(2, [3] * 8),)))
    assert "one_class" not in hear(run(same, films=(film(2, [3] * 7 + [4]),)))
    assert "one_class" not in hear(run(curve([1.9, 1.85], accuracy=0.3, f1=0.2)))
    assert "one_class" not in hear(run(same[:1]))
    asleep = curve([2.31, 2.308], accuracy=0.1, f1=0.018)
    assert "one_class" not in hear(run(asleep, lr=1e-6), RECIPE.changed(lr=1e-6)), "it has not begun to learn"


def test_naming_only_the_frequent_class_asks_for_balance() -> None:
    start = started(classes=2)
    same = curve([0.32, 0.31], accuracy=0.9, f1=0.474)
    assert hear(run(same, start=start))["one_class_uneven"].action == Action("again", changes=(("balanced", True),))
    assert "one_class_uneven" not in hear(run(same, start=start), RECIPE.changed(balanced=True))
    assert "one_class_uneven" not in hear(run(curve([0.32, 0.31], accuracy=0.93, f1=0.7), start=start))


OVERFIT = curve([0.9, 0.5, 0.3, 0.2, 0.12, 0.05], [0.7, 0.31, 0.35, 0.39, 0.44, 0.48])


def test_validation_loss_that_rises_while_training_loss_falls_is_learning_by_heart() -> None:
    remark = narrate(RECIPE, run(OVERFIT))
    assert remark is not None
    assert (remark.code, remark.action) == ("overfitting", Action("stop"))
    assert remark.values == {"n": 4, "epoch": 2, "low": "0.31", "high": "0.48", "train": "0.05", "train_before": "0.50"}
    assert "0.31 to 0.48" in speak(remark)[0]


@pytest.mark.parametrize(
    "val",
    [
        (0.7, 0.31, 0.35, 0.32, 0.36, 0.31),  # noise
        (0.9, 0.7, 0.6, 0.5, 0.4, 0.48),  # one bad epoch
        (0.02, 0.01, 0.013, 0.014, 0.016, 0.018),  # nothing worth the name
    ],
)
def test_noise_is_no_learning_by_heart(val: tuple[float, ...]) -> None:
    assert not {"overfitting", "overconfident"} & hear(run(curve([0.9, 0.5, 0.3, 0.2, 0.12, 0.05], val))).keys()


def test_both_losses_rising_is_no_learning_by_heart() -> None:
    assert "overfitting" not in hear(run(curve([0.9, 0.5, 0.55, 0.6, 0.65, 0.7], [0.7, 0.31, 0.35, 0.39, 0.44, 0.48])))


def test_blocks_that_thaw_on_a_timeline_do_not_hide_learning_by_heart() -> None:
    thawed = tuple(replanned(step=at * STEPS, cause="timeline") for at in range(1, 6))
    assert "overfitting" in hear(run(OVERFIT, edits=thawed))
    assert "overfitting" not in hear(run(OVERFIT, edits=(replanned(step=4 * STEPS),)))


def test_a_run_that_has_learned_by_heart_is_tried_again_with_something_against_it() -> None:
    over = run(OVERFIT, **ended())
    upright = AUGMENT_PRESETS["upright"]
    assert hear(over)["overfitted"].action == Action("again", changes=(("augment", upright),))
    augmented = RECIPE.changed(augment=upright)
    assert hear(over, augmented)["overfitted_still"].action == Action("again", changes=(("dropout", 0.3),))
    assert hear(over, augmented.changed(dropout=0.5))["overfitted_still"].action is None
    assert warned(run(HEALTHY, **ended())) == set()


def test_rising_loss_with_rising_accuracy_is_overconfidence() -> None:
    surer = tuple(
        one.model_copy(update={"val_accuracy": 0.85 + 0.01 * one.epoch, "val_macro_f1": 0.85 + 0.01 * one.epoch})
        for one in OVERFIT
    )
    said = hear(run(surer))
    assert said["overconfident"].action == Action("again", changes=(("label_smoothing", 0.1),))
    assert "overfitting" not in said
    assert "overconfident" not in hear(run(OVERFIT))
    assert hear(run(surer), RECIPE.changed(label_smoothing=0.1))["overconfident"].action is None


def test_a_gap_where_everything_learns_from_few_images_asks_for_the_last_stage() -> None:
    gap = curve([0.6, 0.3, 0.1], [1.2, 1.1, 1.05], accuracy=0.6, right=0.97)
    small = started(images=300, trainable=100)
    full = RECIPE.changed(strategy="full")
    assert hear(run(gap, start=small), full)["too_little"].action == Action("again", changes=(("strategy", "last-stage"),))
    for start, recipe in (
        (started(images=5000, trainable=100), full),
        (started(images=300, trainable=20), full),
        (small, RECIPE),
        (small, full.changed(weights="random")),
    ):
        assert "too_little" not in hear(run(gap, start=start), recipe)
    assert "too_little" not in hear(run(curve([0.6, 0.3, 0.1], accuracy=0.9, right=0.97), start=small), full)


HIGH = curve([2.0, 1.7, 1.6, 1.58, 1.57, 1.565, 1.56], [2.0, 1.8, 1.65, 1.62, 1.61, 1.61, 1.60], accuracy=0.4, right=0.42)


def test_high_and_flat_late_in_the_run_is_underfitting() -> None:
    assert hear(run(HIGH))["underfitting"].action == Action("again", changes=(("strategy", "last-two-stages"),))
    head = RECIPE.changed(strategy="head")
    assert hear(run(HIGH), head)["underfitting"].action == Action("again", changes=(("strategy", "last-stage"),))
    everything = run(HIGH, start=started(trainable=100))
    assert "underfitting" in hear(everything), "one stage may hold most of the weights"
    assert hear(everything, RECIPE.changed(strategy="full"))["underfitting_rate"].action == Action("amend", lr=3e-3)


@pytest.mark.parametrize(
    "now",
    [
        run(HIGH, total=50),  # early
        run(curve([2.0, 1.7, 1.6, 1.5, 1.4, 1.3, 1.2])),  # it falls
        run(curve([0.9, 0.5, 0.4, 0.35, 0.34, 0.34, 0.34])),  # low
        run(curve([0.9, 0.5, 0.4, 0.35, 0.34, 0.34, 0.34], [1.6] * 7, accuracy=0.5, f1=0.5)),  # training is fine
    ],
    ids=["early", "falling", "low", "gap"],
)
def test_what_is_early_or_moves_or_is_low_is_no_underfitting(now: RunState) -> None:
    assert not {"underfitting", "underfitting_rate"} & hear(now).keys()


def test_a_loss_that_falls_steadily_but_slowly_is_a_rate_too_low() -> None:
    remark = hear(run(curve([2.0, 1.98, 1.96, 1.94, 1.92], accuracy=0.3)))["rate_low"]
    assert remark.action == Action("amend", lr=3e-3)
    assert (remark.values["first"], remark.values["last"], remark.values["pace"]) == ("2.00", "1.92", "1.0 %")
    assert "rate_low" not in hear(run(curve([2.0, 1.8, 1.6, 1.4, 1.2])))
    assert "rate_low" not in hear(run(curve([2.0, 1.98, 1.99, 1.94, 1.92], accuracy=0.3)))
    assert "rate_low" not in hear(run(curve([0.3, 0.298, 0.296, 0.294, 0.292])))
    assert "rate_low" not in hear(run(curve([2.0, 1.98, 1.96, 1.94, 1.92], accuracy=0.3), lr=1e-4)), "annealed"
    assert "rate_low" not in hear(run(curve([2.0, 1.98, 1.96, 1.94, 1.92], accuracy=0.3), total=500)), "there is time"


FLAT = curve([1.2, 0.8, 0.80, 0.795, 0.79, 0.79, 0.79], [1.1, 0.70, 0.71, 0.70, 0.70, 0.71, 0.70])


def test_losses_that_stand_still_at_a_high_rate_are_a_plateau() -> None:
    remark = hear(run(FLAT, total=20))["plateau"]
    assert (remark.severity, remark.action) == ("note", Action("amend", lr=3.3e-4))
    blind = curve([one.train_loss for one in FLAT], [None] * len(FLAT))
    assert "plateau_blind" in hear(run(blind, total=20))
    assert "plateau" not in hear(run(FLAT, total=20), RECIPE.changed(schedule="plateau")), "the schedule does it itself"
    assert "plateau" not in hear(run(HEALTHY[:7], total=20))
    solved = curve([0.5, 0.1, 0.02, 0.02, 0.02, 0.02, 0.02])
    assert "plateau" not in hear(run(solved, total=20))


def test_losses_that_stand_still_at_a_low_rate_have_settled() -> None:
    assert hear(run(FLAT, lr=1e-5))["settled"].action == Action("stop")
    blind = curve([one.train_loss for one in FLAT], [None] * len(FLAT))
    assert "settled_blind" in hear(run(blind, lr=1e-5))
    assert "settled" not in hear(run(FLAT, lr=1e-5, **ended()))
    assert "settled" not in hear(run(HEALTHY, lr=1e-5))
    warming = RECIPE.changed(epochs=100, warmup_epochs=30)
    assert "settled" not in hear(run(FLAT, lr=1e-5, total=100), warming), "the rate is still rising"


# instruments


def reading_run(*blocks: dict[str, Reading], **said: Any) -> RunState:
    readings = tuple(Readings(step=20 * at, epoch=1, blocks=one) for at, one in enumerate(blocks, 1))
    return run(HEALTHY[:2], readings=readings, **said)


FROZEN = Reading(0.0, 0.0, 20.0, 0.0, 0.0)
USUAL = {"stem": FROZEN, **{f"layer{at}": Reading(0.5, 5e-3, 10.0, 0.1, 0.0) for at in range(1, 6)}}


def test_usual_readings_and_frozen_blocks_say_nothing() -> None:
    frozen = dict.fromkeys(USUAL, FROZEN)
    thawed_and_frozen_again = {**USUAL, "layer1": Reading(0.0, 0.0, 10.0, 0.3, 0.0)}
    for blocks in (USUAL, frozen, thawed_and_frozen_again):
        assert warned(reading_run(*[blocks] * 4)) == set()


def test_a_gradient_of_a_thousand_explodes_and_its_block_is_named() -> None:
    remark = hear(reading_run({**USUAL, "layer4": Reading(4e4, 0.01, 10.0, 0.1, 0.0)}))["exploding"]
    assert (remark.values["block"], remark.values["gradient"]) == ("layer4", "4e+04")
    assert remark.action == Action("amend", lr=1e-4)
    assert "exploding" not in hear(reading_run({**USUAL, "layer4": Reading(60.0, 0.01, 10.0, 0.1, 0.0)}))


def test_a_gradient_that_grows_a_hundredfold_explodes() -> None:
    grown = {**USUAL, "layer4": Reading(80.0, 0.01, 10.0, 0.1, 0.0)}
    assert hear(reading_run(USUAL, USUAL, USUAL, grown))["exploding"].values["block"] == "layer4"
    small = {path: reading._replace(gradient=reading.gradient * 1e-3) for path, reading in USUAL.items() if reading.gradient}
    assert "exploding" not in hear(reading_run(small, small, small, USUAL)), "from very little to usual"


def test_readings_that_are_no_numbers_have_exploded_but_a_skipped_step_has_not() -> None:
    broken = {**USUAL, "layer2": Reading(None, None, None, None, 0.0)}
    assert hear(reading_run(broken))["exploding_not_finite"].values["block"] == "layer2"
    skipped = {path: Reading(None, 0.0, 10.0, 0.1, 0.0) for path in USUAL}
    assert warned(reading_run(skipped)) == set()


def test_a_block_whose_weights_rush_is_slowed_down() -> None:
    recipe = RECIPE.changed(rules=(BlockRule(path="", lr_scale=0.5),))
    fast = {**USUAL, "layer3": Reading(0.5, 4.0, 10.0, 5.0, 0.0)}
    remark = hear(reading_run(fast, fast, fast), recipe)["rushing"]
    assert (remark.values["block"], remark.values["ratio"]) == ("layer3", "40.0 %")
    assert remark.action is not None
    assert remark.action.rules == (BlockRule(path="", lr_scale=0.5), BlockRule(path="layer3", lr_scale=0.05))
    again = hear(reading_run(fast, fast, fast, **ended()), recipe)["rushing"].action
    assert again == Action("again", changes=(("rules", remark.action.rules), ("strategy", "custom")))
    assert "rushing" not in hear(reading_run(fast, fast, USUAL), recipe)
    assert "rushing" not in hear(reading_run(fast, fast), recipe)


def test_where_most_blocks_rush_the_rate_is_lowered() -> None:
    fast = {path: Reading(0.5, 4.0, 10.0, 5.0, 0.0) for path in USUAL}
    said = hear(reading_run(fast, fast, fast))
    assert said["rushing_all"].action == Action("amend", lr=1e-4)
    assert said["rushing_all"].values["n"] == 6
    assert "rushing_all" not in hear(reading_run(USUAL, USUAL, USUAL))


def test_a_block_that_hardly_learns_among_others_that_do_has_a_vanishing_gradient() -> None:
    faint = {**USUAL, "layer1": Reading(1e-7, 1e-8, 10.0, 1e-7, 0.0), "layer2": Reading(1e-6, 1e-8, 10.0, 1e-7, 0.0)}
    remark = hear(reading_run(faint))["vanishing"]
    assert (remark.values["block"], remark.values["faint"], remark.values["blocks"]) == ("layer1", 2, 5)
    assert remark.action == Action("amend", rules=(BlockRule(path="layer1", lr_scale=10.0),))
    normalised = {**USUAL, "layer1": Reading(1e-7, 5e-3, 10.0, 0.1, 0.0)}
    assert "vanishing" not in hear(reading_run(normalised)), "Adam moves it as far as the others"
    assert "vanishing" not in hear(reading_run(faint, loss=0.01)), "there is nothing left to learn"
    annealed = {path: one._replace(update=one.update * 1e-4) for path, one in USUAL.items() if one.update}
    assert "vanishing" not in hear(reading_run(annealed, lr=1e-7))


def test_a_block_that_was_given_a_small_rate_does_not_vanish() -> None:
    rules = (BlockRule(path="layer1", lr_scale=1e-4),)
    slow = {**USUAL, "layer1": Reading(1e-4, 5e-7, 10.0, 1e-6, 0.0)}
    assert "vanishing" not in hear(reading_run(slow), RECIPE.changed(rules=rules))
    assert "vanishing" in hear(reading_run(slow))


# what goes well


def test_the_best_epoch_is_told_with_its_figures() -> None:
    remark = narrate(RECIPE, run(HEALTHY[:5]))
    assert remark is not None
    assert (remark.code, remark.severity, remark.action) == ("best", "good", None)
    assert remark.values == {"epoch": 5, "accuracy": "87.0 %", "loss": "0.46", "f1": "0.87"}
    assert "best" not in hear(run(HEALTHY[:6]))
    assert hear(run(curve([2.31], accuracy=0.06)))["best"].severity == "note", "the best of nothing"


def test_epochs_without_gain_are_counted() -> None:
    remark = hear(run(HEALTHY[:6]))["no_gain"]
    assert (remark.values["epoch"], remark.values["n"], remark.severity) == (5, 1, "note")
    assert "no_gain" not in hear(run(HEALTHY[:5]))


def test_a_run_that_has_ended_says_what_it_keeps() -> None:
    assert hear(run(HEALTHY, **ended()))["kept"].values["epoch"] == 9
    assert "kept" not in hear(run(HEALTHY, **ended(outcome="discarded")))


def test_two_falling_losses_are_learning() -> None:
    assert hear(run(HEALTHY[:3]))["learning"].values == {
        "epoch": 3, "before": "0.88", "train": "0.61", "val_before": "0.74", "val": "0.58",
    }  # fmt: skip
    assert "learning" not in hear(run(HEALTHY[:6]))
    assert "learning" not in hear(run(curve([2.312, 2.311])))
    assert "learning" not in hear(run(curve([5.0, 3.5])))
    assert "learning" not in hear(run(HEALTHY[:3], **ended()))


def test_without_validation_only_training_loss_is_told() -> None:
    blind = curve([1.0, 0.8], [None, None])
    assert hear(run(blind)).keys() == {"learning_blind"}
    assert "learning_blind" not in hear(run(HEALTHY[:3]))


def test_the_first_steps_are_told_before_any_epoch_is_over() -> None:
    remark = narrate(RECIPE, run(step=3, loss=2.1))
    assert remark is not None
    assert (remark.code, remark.values["loss"], remark.values["chance"]) == ("begun", "2.10", "2.30")
    speak(remark)
    assert "begun" not in hear(run(HEALTHY[:1]))


def test_no_two_remarks_turn_the_rate_both_ways() -> None:
    fast = {path: Reading(0.5, 4.0, 10.0, 5.0, 0.0) for path in USUAL}
    slow = curve([2.0, 1.98, 1.96, 1.94, 1.92], accuracy=0.3)
    readings = tuple(Readings(step=20 * at, epoch=1, blocks=fast) for at in (1, 2, 3))
    assert "rate_low" in hear(run(slow))
    assert warned(run(slow, readings=readings)) == {"rushing_all"}


# before the start

COUNTS: dict[str, dict[str, int]] = {
    "train": {"cat": 800, "dog": 700},
    "val": {"cat": 80, "dog": 70},
    "test": {"cat": 80, "dog": 70},
}
CAREFUL = RECIPE.changed(
    strategy="custom", rules=(BlockRule(path="", trainable=False, lr_scale=0.1), BlockRule(path="fc", trainable=True))
)


def fall(recipe: Recipe = CAREFUL, counts: dict[str, dict[str, int]] = COUNTS, trainable: int = 20) -> dict[str, Remark]:
    said = pitfalls(recipe, counts, total=100, trainable=trainable)
    for remark in said:
        speak(remark)
        carry_out(remark, recipe, going=False)
    return {remark.code: remark for remark in said}


def test_a_careful_recipe_has_no_pitfalls() -> None:
    assert fall() == {}
    assert fall(CAREFUL.changed(augment=AUGMENT_PRESETS["strong"])) == {}


def test_everything_learning_from_few_images_asks_for_the_last_stage() -> None:
    few = {**COUNTS, "train": {"cat": 400, "dog": 500}}
    assert fall(counts=few, trainable=51)["small_full"].action == Action("again", changes=(("strategy", "last-stage"),))
    assert "small_full" not in fall(CAREFUL.changed(strategy="last-stage"), few, 72)
    assert "small_full" not in fall(counts=few, trainable=50)
    assert "small_full" not in fall(counts=COUNTS, trainable=100)
    assert "small_full" not in fall(CAREFUL.changed(weights="random"), few, 100)


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"rules": ()}, 1e-4),
        ({"rules": (BlockRule(path="", lr_scale=0.1),), "lr": 1e-2}, 1e-3),
        ({"rules": (BlockRule(path="", trainable=False), BlockRule(path="layer4", trainable=True))}, 1e-4),
        ({"rules": (), "optimizer": "sgd", "lr": 0.01}, 1e-3),
    ],
)
def test_a_large_rate_on_pretrained_blocks_is_lowered(changes: dict[str, Any], target: float) -> None:
    assert fall(CAREFUL.changed(**changes))["trunk_rate"].action == Action("again", changes=(("lr", target),))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rules": (), "lr": 9e-4},
        {"rules": (), "weights": "random"},
        {"rules": (BlockRule(path="", lr_scale=0.1),)},
        {"rules": (), "optimizer": "sgd"},
        {"rules": (BlockRule(path="", trainable=False), BlockRule(path="classifier.1", trainable=True)), "lr": 0.1},
    ],
)
def test_a_small_rate_or_a_frozen_trunk_is_not_warned_of(changes: dict[str, Any]) -> None:
    assert "trunk_rate" not in fall(CAREFUL.changed(**changes))


def test_a_few_numbers_may_learn_fast() -> None:
    norms = CAREFUL.changed(rules=(BlockRule(path="", trainable=False), BlockRule(path="layer1.bn", trainable=True)))
    assert "trunk_rate" not in fall(norms, trainable=1)
    assert "trunk_rate" in fall(norms, trainable=20)


def test_no_validation_images_ask_for_some() -> None:
    bare = {**COUNTS, "val": {"cat": 0, "dog": 0}}
    none = CAREFUL.changed(val_fraction=0.0)
    assert fall(none, bare)["no_validation"].action == Action("again", changes=(("val_fraction", 0.1),))
    assert fall(CAREFUL, {"train": COUNTS["train"]})["no_validation"].action is None
    assert "no_validation" not in fall(none)


def test_a_class_five_times_as_large_asks_for_balance() -> None:
    uneven = {**COUNTS, "train": {"cat": 5001, "dog": 1000}}
    remark = fall(counts=uneven)["uneven"]
    assert remark.action == Action("again", changes=(("balanced", True),))
    assert remark.values == {"most": "cat", "largest": 5001, "least": "dog", "smallest": 1000}
    assert "uneven" not in fall(counts={**COUNTS, "train": {"cat": 5000, "dog": 1000}})
    assert "uneven" not in fall(CAREFUL.changed(balanced=True), uneven)
    assert "uneven" not in fall(CAREFUL.changed(loss="weighted"), uneven)


def test_a_batch_larger_than_the_training_set_is_made_smaller() -> None:
    few = {**COUNTS, "train": {"cat": 30, "dog": 30}}
    large = CAREFUL.changed(batch_size=32, accumulate=2)
    assert fall(large, few)["large_batch"].action == Action("again", changes=(("batch_size", 8), ("accumulate", 1)))
    assert "large_batch" not in fall(CAREFUL.changed(batch_size=60), few)
    assert fall(CAREFUL.changed(batch_size=2), {**COUNTS, "train": {"cat": 1}})["large_batch"].action is None


def test_a_class_with_fewer_than_five_images_is_named() -> None:
    remark = fall(counts={**COUNTS, "train": {"cat": 20, "dog": 4}})["few"]
    assert (remark.values["n"], remark.values["names"], remark.action) == (1, "dog", None)
    assert fall(counts={**COUNTS, "train": dict.fromkeys("abcd", 4)})["few"].values["names"] == "a, b, c, …"
    assert "few" not in fall(counts={**COUNTS, "train": {"cat": 20, "dog": 5}})


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (("0", "1", "2"), True),
        (("A", "b"), True),
        (("turn_left", "turn-right", "ahead"), True),
        (("左转", "右转"), True),
        (("leftover", "bright"), False),
        (("left", "ahead"), False),
        (("猫", "狗"), False),
        (("cat", "dog", "7"), False),
    ],
)
def test_mirroring_what_has_sides_is_warned_of(classes: tuple[str, ...], told: bool) -> None:
    counts = {"train": dict.fromkeys(classes, 500), "val": dict.fromkeys(classes, 50)}
    mirrored = CAREFUL.changed(augment=AUGMENT_PRESETS["standard"])
    assert ("mirrored" in fall(mirrored, counts)) is told
    assert "mirrored" not in fall(CAREFUL, counts)
    if told:
        calm = mirrored.augment.model_copy(update={"flip_horizontal": False})
        assert fall(mirrored, counts)["mirrored"].action == Action("again", changes=(("augment", calm),))


def test_large_turns_are_noted_softly() -> None:
    remark = fall(CAREFUL.changed(augment=Augment(rotation=90, crop=0.2)))["turned"]
    assert (remark.severity, remark.action) == (
        "note",
        Action("again", changes=(("augment", Augment(rotation=10, crop=0.2)),)),
    )
    assert "turned" not in fall(CAREFUL.changed(augment=Augment(rotation=44)))


def test_flips_upside_down_are_noted_once() -> None:
    flipped = CAREFUL.changed(augment=Augment(flip_vertical=True))
    assert fall(flipped)["upside_down"].action == Action("again", changes=(("augment", Augment()),))
    assert fall(CAREFUL.changed(augment=AUGMENT_PRESETS["any-direction"])).keys() == {"turned"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_strategies_write_is_understood(name: str, tree: Callable[[], Any]) -> None:
    """At the usual rate none of them lets a pretrained trunk learn too fast."""
    from core.plan import plan
    from core.strategies import apply_strategy

    made = apply_strategy(RECIPE, name, tree())
    share = plan(tree(), made.rules)
    said = pitfalls(made, COUNTS, total=share.total, trainable=share.trainable)
    assert "trunk_rate" not in {remark.code for remark in said}


@pytest.fixture
def tree() -> Callable[[], Any]:
    from core.backbones import layer_tree

    return lambda: layer_tree("resnet18", classes=10, image_size=224)


def test_no_words_are_left_of_a_code_that_is_gone() -> None:
    """The other way round: `speak` fails where a code has no words."""
    codes = {key.split(".")[1] for key in json.loads((LOCALES / "en" / "narrator.json").read_text("utf-8"))}
    source = "".join(file.read_text("utf-8") for file in Path(narrator.__file__).parent.glob("*.py"))
    assert {code for code in codes if f'"{code}"' not in source} == set()


def test_buttons_are_short() -> None:
    for language, limit in (("en", 50), ("zh", 24)):
        words = json.loads((LOCALES / language / "narrator.json").read_text("utf-8"))
        for key, text in words.items():
            bare = "".join(part for part, *_ in string.Formatter().parse(text))
            assert not key.endswith(".action") or len(bare) <= limit, key
