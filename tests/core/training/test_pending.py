"""Figures of steps come in their order, are added up, and those that are no numbers are passed over, but not for ever."""

import math

import pytest
import torch

from core.errors import TrainingError
from core.events import Notice, Reading, Readings, StepDone
from core.training.learner import Stepped
from core.training.pending import PASSED_OVER, Pending
from core.training.place import Place


def stepped(loss: float, correct: int, readings: dict[str, Reading] | None = None) -> Stepped:
    broken = 0.0 if math.isfinite(loss) else 1.0
    return Stepped(torch.tensor(loss), torch.tensor(correct), torch.tensor(broken), readings or {})


def make(pending: Pending, place: Place, *losses: float) -> None:
    for loss in losses:
        place.step += 1
        pending.add(place, stepped(loss, 3), images=4, lr=0.1 * place.step)


def test_every_step_is_told_once_with_the_place_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    pending, place = Pending(), Place(epoch=2)
    make(pending, place, 0.5, 1.5)
    assert len(pending) == 2
    told = list(pending.read(place, over=False))
    assert [(one.step, one.epoch, one.loss, one.correct, one.images) for one in told if isinstance(one, StepDone)] == [
        (1, 2, 0.5, 3, 4), (2, 2, 1.5, 3, 4),
    ]  # fmt: skip
    assert (place.loss, place.correct, place.images, len(pending)) == (0.5 * 4 + 1.5 * 4, 6, 8, 0)


def test_instruments_follow_their_step() -> None:
    pending, place = Pending(), Place(step=1)
    reading = Reading(gradient=1.0, update=0.1, weight=2.0, distance=0.2, drift=0.0)
    pending.add(place, stepped(0.5, 1, {"layer1": reading}), images=1, lr=0.1)
    step, readings = pending.read(place, over=True)
    assert isinstance(step, StepDone)
    assert isinstance(readings, Readings)
    assert (readings.step, readings.blocks) == (1, {"layer1": reading})


def test_what_is_no_number_is_no_part_of_the_sums_and_is_told() -> None:
    pending, place = Pending(), Place()
    make(pending, place, math.nan, 2.0, math.inf)
    told = list(pending.read(place, over=False))
    assert [one.loss for one in told if isinstance(one, StepDone)] == [None, 2.0, None]
    notices = [one for one in told if isinstance(one, Notice)]
    assert [(one.code, one.values) for one in notices] == [
        ("training.passed_over", {"n": number, "step": step, "most": PASSED_OVER}) for number, step in ((1, 1), (2, 3))
    ]
    assert (place.loss, place.images, place.broken, place.passed_over) == (8.0, 4, 1, 2)


def test_one_more_in_a_row_than_may_be_passed_over_ends_the_run_at_its_step_and_rate() -> None:
    pending, place = Pending(), Place()
    make(pending, place, *[math.nan] * PASSED_OVER)
    list(pending.read(place, over=False))
    make(pending, place, math.nan, 1.0)
    with pytest.raises(TrainingError) as caught:
        list(pending.read(place, over=False))
    step = PASSED_OVER + 1
    assert (caught.value.code, caught.value.values) == ("training.not_finite", {"step": step, "lr": 0.1 * step})


def test_an_epoch_from_which_nothing_was_learned_ends_the_run() -> None:
    pending, place = Pending(), Place()
    make(pending, place, math.nan, math.nan)
    with pytest.raises(TrainingError) as caught:
        list(pending.read(place, over=True))
    assert (caught.value.code, caught.value.values) == ("training.not_finite", {"step": 2, "lr": 0.2})
