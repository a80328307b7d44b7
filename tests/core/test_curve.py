"""A chart gets what it lacks, never more than 20 KiB, and no peak is ever lost."""

import math
from itertools import pairwise

import numpy as np
import orjson
import pytest

from core.curve import BLOCK, LIMIT_BYTES, MARKS, Curve, _Table
from core.events import EpochDone, StepDone
from core.steps import _ROW, Steps


def step(number: int, loss: float | None = 0.5, *, lr: float = 0.001) -> StepDone:
    return StepDone(step=number, epoch=1, loss=loss, correct=3, images=8, lr=lr)


def epoch(number: int, at: int, val_loss: float | None = 0.4) -> EpochDone:
    return EpochDone(
        epoch=number,
        step=at,
        train_loss=0.123456789,
        train_accuracy=0.5,
        val_loss=val_loss,
        val_accuracy=2 / 3,
        val_macro_f1=None,
        best=False,
    )


def long_run(length: int, seed: int = 0) -> Steps:
    rng = np.random.default_rng(seed)
    rows = np.zeros(length, _ROW)
    rows["step"] = np.arange(1, length + 1)
    rows["loss"] = 2 * np.exp(-np.arange(length) / length) + rng.normal(0, 0.1, length)
    rows["images"], rows["correct"] = 32, rng.integers(1, 32, length)
    rows["lr"] = 1e-3 * np.cos(np.arange(length) / length * 1.5)
    return Steps(rows)


def size(answer: dict[str, object]) -> int:
    return len(orjson.dumps(answer))


def test_the_first_answer_holds_all_and_the_next_only_what_is_new() -> None:
    curve = Curve()
    curve.add_step(step(1, 0.1234567))
    curve.add_step(step(2, None))
    curve.add_epoch(epoch(1, 2))
    first = curve.since(-1, "")
    assert first == {
        "epoch": curve.epoch,
        "rev": 3,
        "reset": True,
        "done": False,
        "marks": [],
        "x": [1, 2],
        "y": {"loss": [0.12346, None], "accuracy": [0.375, 0.375], "lr": [0.001, 0.001]},
        "epochs": {
            "epoch": [1],
            "step": [2],
            "train_loss": [0.12346],
            "train_accuracy": [0.5],
            "val_loss": [0.4],
            "val_accuracy": [0.66667],
        },
    }
    assert curve.since(3, curve.epoch)["x"] == []
    curve.add_step(step(3))
    curve.add_epoch(epoch(2, 3))
    curve.add_step(step(4))
    new = curve.since(3, curve.epoch)
    assert (new["reset"], new["rev"], new["x"], new["epochs"]["epoch"]) == (False, 6, [3, 4], [2])
    new = curve.since(4, curve.epoch)
    assert (new["x"], new["epochs"]["epoch"]) == ([4], [2])
    new = curve.since(5, curve.epoch)
    assert (new["x"], new["epochs"]["epoch"]) == ([4], [])


@pytest.mark.parametrize("rev", [-5, 7, 10**12])
def test_a_chart_that_knows_what_never_was_starts_anew(rev: int) -> None:
    curve = Curve()
    for n in range(1, 4):
        curve.add_step(step(n))
    assert curve.since(rev, curve.epoch)["reset"] is True
    assert curve.since(3, "another")["x"] == [1, 2, 3]


@pytest.mark.parametrize("length", [100, 2_000, 30_000, 1_000_000])
def test_an_answer_is_at_most_20_kib_and_keeps_the_extremes(length: int) -> None:
    steps = long_run(length)
    low, high = length // 3, length // 7
    steps.rows["loss"][low], steps.rows["loss"][high] = -7.654321, 99.123456
    steps.rows["correct"][length // 2], steps.rows["correct"][length // 5] = 0, 32
    steps.rows["loss"][5::1000] = math.nan
    steps.rows["lr"][length // 9] = 0.5
    curve = Curve()
    curve.add_steps(steps)
    for n in range(1, 301):
        curve.add_epoch(epoch(n, length, val_loss=1000.5 if n == 211 else 1.0 / n))
    answer = curve.since(-1, "")
    found = dict(zip(answer["x"], zip(*answer["y"].values(), strict=True), strict=True))
    assert size(answer) <= LIMIT_BYTES
    assert found[low + 1][0] == -7.6543
    assert found[high + 1][0] == 99.123
    assert {0.0, 1.0} <= set(answer["y"]["accuracy"])
    assert 0.5 in answer["y"]["lr"]
    assert 1000.5 in answer["epochs"]["val_loss"]
    assert (answer["x"][0], answer["x"][-1], answer["epochs"]["epoch"][-1]) == (1, length, 300)
    assert answer["x"] == sorted(set(answer["x"]))
    assert len(answer["x"]) >= min(length, 250)


@pytest.mark.parametrize("blocks", [3, 400])
def test_the_extremes_of_every_bin_survive_also_where_blocks_are_summarised(blocks: int) -> None:
    """Fifty bins, each with its own lowest and highest value; the last one also holds the ragged end."""
    length = blocks * BLOCK + 17 * (blocks > 50)
    values = np.random.default_rng(3).normal(size=length)
    values[11::97] = np.nan
    table = _Table(1)
    for part in np.array_split(np.arange(length), 37):  # as an engine adds them, not in blocks
        table.extend(part, [values[part]])
    bins = 50 if blocks > 50 else 12
    shown = table.pick(0, length, 2 * bins + 2, (0,))
    edges = [*range(0, blocks * BLOCK, blocks * BLOCK // bins), length][: bins + 1]
    edges[-1] = length
    for low, high in pairwise(edges):
        inside = shown[(shown >= low) & (shown < high)]
        assert np.nanmax(values[inside]) == np.nanmax(values[low:high])
        assert np.nanmin(values[inside]) == np.nanmin(values[low:high])


def test_points_can_be_fewer() -> None:
    curve = Curve()
    curve.add_steps(long_run(50_000))
    assert len(curve.since(-1, "", points=60)["x"]) <= 60


def test_a_delta_that_is_too_long_becomes_a_reset() -> None:
    curve = Curve()
    curve.add_steps(long_run(100))
    curve.add_steps(Steps(long_run(5000).rows[100:]))
    answer = curve.since(100, curve.epoch)
    assert answer["reset"] is True
    assert size(answer) <= LIMIT_BYTES


def test_a_window_shows_every_step_when_it_is_small_and_reaches_its_edges() -> None:
    curve = Curve()
    curve.add_steps(long_run(100_000))
    assert curve.window(500.5, 599.5)["x"] == list(range(500, 601))
    assert curve.window(-10, 3)["x"] == [1, 2, 3, 4]
    assert curve.window(99_999, 10**9)["x"] == [99_998, 99_999, 100_000]
    assert curve.window(7, 3)["x"] == []
    wide = curve.window(10_000, 90_000)
    assert (wide["x"][0], wide["x"][-1]) == (9_999, 90_001)
    assert size(wide) <= LIMIT_BYTES


def test_a_run_that_continues_forgets_what_came_after_its_checkpoint() -> None:
    curve = Curve()
    for n in range(1, 11):
        curve.add_step(step(n))
        if n % 5 == 0:
            curve.add_epoch(epoch(n // 5, n))
    before = curve.epoch
    curve.rewind(10)
    assert curve.epoch == before
    curve.rewind(7)
    assert curve.epoch != before
    curve.add_step(step(8, 0.25))
    answer = curve.since(curve.rev, before)
    assert (answer["reset"], answer["x"], answer["epochs"]["epoch"]) == (True, [1, 2, 3, 4, 5, 6, 7, 8], [1])
    assert curve.since(curve.rev - 1, curve.epoch)["y"]["loss"] == [0.25]


def test_an_epoch_told_again_takes_the_place_of_the_first_telling() -> None:
    curve = Curve()
    curve.add_step(step(1))
    curve.add_epoch(epoch(1, 1, val_loss=5.0))
    curve.add_epoch(epoch(1, 1, val_loss=6.0))
    assert curve.since(-1, "")["epochs"]["val_loss"] == [6.0]


def test_an_empty_curve_answers() -> None:
    answer = Curve().since(-1, "")
    assert (answer["x"], answer["rev"], answer["reset"]) == ([], 0, True)
    assert Curve().window(1, 5)["x"] == []


def test_marks_of_changes_come_with_every_answer_and_go_with_a_rewind() -> None:
    curve = Curve()
    for number in range(1, 11):
        curve.add_step(step(number, 0.5))
    curve.add_mark(3, "person")
    curve.add_mark(8, "timeline")
    assert curve.since(10, curve.epoch)["marks"] == [(3, "person"), (8, "timeline")]
    curve.rewind(8)
    assert curve.since(-1, "")["marks"] == [(3, "person")]
    for number in range(200):
        curve.add_mark(number, "person")
    assert len(curve.since(-1, "")["marks"]) == MARKS
