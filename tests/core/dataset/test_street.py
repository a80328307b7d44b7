"""Street signs: the same ones each time, told by orientation alone, some filed under a wrong name."""

import io

import numpy as np
import pytest
from PIL import Image

from core.dataset.canvas import SIDE
from core.dataset.street import ARROWS, COUNTS, WRONG, _arrow, _Plate, filed, sign


@pytest.mark.parametrize("label", COUNTS)
def test_a_sign_follows_from_its_number(label: str) -> None:
    first = sign(label, 3)
    assert first == sign(label, 3)
    assert first != sign(label, 4)
    assert Image.open(io.BytesIO(first)).size == (SIDE, SIDE)


@pytest.mark.parametrize(("one", "other"), [("left", "right"), ("ahead or left", "ahead or right")])
def test_a_mirror_turns_one_sign_into_the_other(one: str, other: str) -> None:
    plate = _Plate(0.0, 0.0, 0.8, 0.0, 1.0)
    assert np.allclose(_arrow(plate, ARROWS[one]), _arrow(plate, ARROWS[other])[:, ::-1], atol=1e-3)


def test_six_in_a_hundred_are_filed_under_another_name() -> None:
    every = [(label, number) for label in COUNTS for number in range(COUNTS[label])]
    wrong = [(label, number) for label, number in every if filed(label, number) != label]
    assert len(wrong) == WRONG == 0.06 * len(every)
    assert {filed(*one) for one in wrong} == set(COUNTS)


def test_the_arrow_is_white_on_blue() -> None:
    plate = _Plate(0.0, 0.0, 0.8, 0.0, 1.0)
    edge = _arrow(plate, ARROWS["ahead"])
    assert edge[SIDE // 2, SIDE // 2] > 3
    assert edge[SIDE // 2, SIDE // 6] < -5
    assert (plate.edge() > 0).mean() == pytest.approx(np.pi * 0.8**2 / 4, abs=0.02)
