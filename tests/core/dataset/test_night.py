"""Leaves by night: the same ones each time, darker and softer than by day, and still told by their illness."""

import io

import numpy as np
import pytest
from PIL import Image

from core.dataset.canvas import SIDE
from core.dataset.leaves import COUNTS, leaf
from core.dataset.night import leaf_at_night


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)), np.float32)


@pytest.mark.parametrize("label", COUNTS)
def test_a_leaf_by_night_follows_from_its_number_and_is_none_of_those_by_day(label: str) -> None:
    first = leaf_at_night(label, 1)
    assert first == leaf_at_night(label, 1)
    assert first not in {leaf_at_night(label, 2), leaf(label, 1)}
    assert pixels(first).shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("label", COUNTS)
def test_night_is_darker_than_day(label: str) -> None:
    by_night, by_day = (
        np.mean([pixels(draw(label, n)).mean((0, 1)) for n in range(8)], axis=0) for draw in (leaf_at_night, leaf)
    )
    assert by_night.mean() < 0.6 * by_day.mean()


def test_rust_is_redder_than_mildew_by_night_too() -> None:
    rust, mildew = (
        np.mean([pixels(leaf_at_night(label, n))[32:96, 32:96].mean((0, 1)) for n in range(20)], axis=0)
        for label in ("rust", "powdery mildew")
    )
    assert rust[0] / rust[2] > mildew[0] / mildew[2]
