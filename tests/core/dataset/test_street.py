"""Street signs: the same ones each time, told by orientation alone, some filed under a wrong name."""

import io

import numpy as np
import pytest
from PIL import Image

from core.dataset.canvas import SIDE
from core.dataset.street import ARROWS, COUNTS, FACE, WRONG, _face, _Plate, filed, saved_anew, sign

FRONT = _Plate(0.0, 0.0, 0.8, yaw=0.0, pitch=0.0, roll=0.0)


def small(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).resize((16, 16), Image.Resampling.BOX), np.float32) / 255


@pytest.mark.parametrize("label", COUNTS)
def test_a_sign_follows_from_its_number(label: str) -> None:
    first = sign(label, 3)
    assert first == sign(label, 3)
    assert first != sign(label, 4)
    assert Image.open(io.BytesIO(first)).size == (SIDE, SIDE)


@pytest.mark.parametrize(("one", "other"), [("left", "right"), ("ahead or left", "ahead or right")])
def test_a_mirror_turns_one_sign_into_the_other(one: str, other: str) -> None:
    assert np.allclose(_face(one), _face(other)[:, ::-1], atol=1e-5)


def test_no_arrow_is_another_and_each_lies_within_the_white_rim() -> None:
    shapes = {label: _face(label) > 0 for label in ARROWS}
    axis = (np.arange(FACE) + 0.5) * (2 / FACE) - 1
    outside = np.hypot(*np.meshgrid(axis, axis)) > 0.9
    for label, shape in shapes.items():
        assert not (shape & outside).any()
        assert all((shape ^ shapes[other]).mean() > 0.02 for other in ARROWS if other != label)


def test_six_in_a_hundred_are_filed_under_another_name() -> None:
    every = [(label, number) for label in COUNTS for number in range(COUNTS[label])]
    wrong = [(label, number) for label, number in every if filed(label, number) != label]
    assert len(wrong) == WRONG == 0.06 * len(every)
    assert {filed(*one) for one in wrong} == set(COUNTS)


def test_a_plate_seen_from_the_front_is_a_disc_with_the_arrow_where_it_belongs() -> None:
    edge = FRONT.arrow("ahead")
    assert edge[SIDE // 2, SIDE // 2] > 3
    assert edge[SIDE // 2, SIDE // 6] < -5
    assert (FRONT.edge() > 0).mean() == pytest.approx(np.pi * 0.8**2 / 4, abs=0.02)


def test_a_plate_seen_from_the_side_is_narrower_but_as_high() -> None:
    def extent(plate: _Plate) -> tuple[int, int]:
        inside = plate.edge() > 0
        return int(inside.any(0).sum()), int(inside.any(1).sum())

    wide, high = extent(FRONT)
    narrow, still = extent(_Plate(0.0, 0.0, 0.8, yaw=0.8, pitch=0.0, roll=0.0))
    assert narrow / wide == pytest.approx(np.cos(0.8), abs=0.05)
    assert still == pytest.approx(high, abs=4)


def test_a_copy_saved_anew_has_other_bytes_and_shows_the_same() -> None:
    first, other = sign("left", 10), sign("left", 11)
    copy = saved_anew(first)
    assert copy == saved_anew(first) != first
    assert np.abs(small(copy) - small(first)).mean() < 0.02 < np.abs(small(copy) - small(other)).mean()
