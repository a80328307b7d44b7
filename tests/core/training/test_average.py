import pytest
import torch
from torch import Tensor

from core.training.average import Average


def weights(value: float) -> dict[str, Tensor]:
    return {
        "weight": torch.full((2,), float(value)),
        "frozen": torch.full((2,), float(value)),
        "count": torch.tensor(int(value)),
    }


def test_without_a_share_to_keep_there_is_none() -> None:
    assert not Average(0.0, weights(1))
    assert Average(0.9, weights(1))


def test_it_follows_fast_at_first_and_then_as_it_is_told() -> None:
    average, expected = Average(0.5, weights(0)), 0.0
    for step, value in enumerate([8.0, 4.0, 2.0, 6.0] * 5, 1):
        average.take(["weight", "count"], weights(value), None)
        keep = min(0.5, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * value
        assert average.weights["weight"].tolist() == pytest.approx([expected] * 2)
        assert average.weights["count"].item() == value, "whole numbers are taken as they are"
    assert average.weights["frozen"].tolist() == [0, 0]


def test_what_stands_still_is_its_own_average() -> None:
    average = Average(0.9, weights(0))
    average.take(["weight", "frozen"], weights(10), None)
    average.stand_still(["weight"], weights(3))
    assert average.weights["frozen"].tolist() == [3, 3]
    assert average.weights["weight"].tolist() != [3, 3]


@pytest.mark.parametrize("sound", [0.0, 1.0])
def test_the_device_may_say_that_a_step_did_not_count(sound: float) -> None:
    average, plain = Average(0.9, weights(0)), Average(0.9, weights(0))
    average.take(["weight"], weights(5), torch.tensor(sound))
    plain.take(["weight"], weights(5), None)
    assert average.weights["weight"].tolist() == (plain.weights["weight"].tolist() if sound else [0, 0])


def test_it_goes_on_from_what_was_saved() -> None:
    whole, first, second = (Average(0.9, weights(0)) for _ in range(3))
    for value in (1, 2, 3, 4):
        whole.take(["weight"], weights(value), None)
    for value in (1, 2):
        first.take(["weight"], weights(value), None)
    second.load({"weight": first.weights["weight"]}, first.steps, weights(0))
    for value in (3, 4):
        second.take(["weight"], weights(value), None)
    assert all(torch.equal(tensor, whole.weights[name]) for name, tensor in second.weights.items())
