"""Cells: the same ones each time, the class that matters most the rarest, and each told by what it is told by."""

import io

import numpy as np
import pytest
from PIL import Image

from core.dataset.canvas import SIDE
from core.dataset.cells import COUNTS, cell


def pixels(label: str, number: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(cell(label, number))).convert("RGB"), np.float32) / 255


def violet(label: str) -> float:
    """Mean share of an image that is dark violet: the matter of nuclei."""
    shares = []
    for number in range(12):
        image = pixels(label, number)
        shares.append(float(((image[..., 1] < 0.36) & (image[..., 2] > image[..., 1] + 0.1)).mean()))
    return float(np.mean(shares))


@pytest.mark.parametrize("label", COUNTS)
def test_a_cell_follows_from_its_number(label: str) -> None:
    first = cell(label, 3)
    assert first == cell(label, 3)
    assert first != cell(label, 4)
    assert Image.open(io.BytesIO(first)).size == (SIDE, SIDE)


def test_the_class_that_matters_most_is_the_rarest() -> None:
    assert min(COUNTS, key=COUNTS.__getitem__) == "ring form"
    assert COUNTS["ring form"] / sum(COUNTS.values()) < 0.08


def test_white_cells_have_large_nuclei_red_ones_none_and_guests_are_small() -> None:
    shares = {label: violet(label) for label in COUNTS}
    assert min(shares["lymphocyte"], shares["monocyte"], shares["neutrophil"]) > 0.03
    assert shares["red cell"] < 0.002
    assert 0.0005 < shares["ring form"] < 0.02
