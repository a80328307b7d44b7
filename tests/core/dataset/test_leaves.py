"""A leaf follows from its number, and each illness shows in its own way."""

import io

import numpy as np
import pytest
from PIL import Image

from core.dataset.canvas import SIDE
from core.dataset.leaves import COUNTS, ILLNESSES, leaf


def pixels(label: str, number: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(leaf(label, number))), np.float32)


def test_every_class_has_an_illness_and_enough_leaves() -> None:
    assert COUNTS.keys() == ILLNESSES.keys()
    assert min(COUNTS.values()) >= 100
    assert 600 <= sum(COUNTS.values()) <= 1000


@pytest.mark.parametrize("label", COUNTS)
def test_the_same_number_draws_the_same_leaf_and_another_another(label: str) -> None:
    assert leaf(label, 3) == leaf(label, 3)
    assert len({leaf(label, number) for number in range(8)}) == 8


def test_a_leaf_is_a_square_photo_in_colour() -> None:
    image = Image.open(io.BytesIO(leaf("rust", 0)))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (SIDE, SIDE))


def test_illness_shows_in_the_colours_as_it_should() -> None:
    """Means over twenty leaves each: blight browns, rust reddens, mildew whitens against the healthy ones."""
    means = {label: np.mean([pixels(label, number) for number in range(20)], axis=0) for label in COUNTS}
    middle = {label: mean[32:96, 32:96].mean((0, 1)) for label, mean in means.items()}
    green_over_red = {label: color[1] / color[0] for label, color in middle.items()}
    assert green_over_red["healthy"] > max(green_over_red["rust"], green_over_red["blight"], green_over_red["leaf spot"])
    assert middle["powdery mildew"][2] > max(middle["healthy"][2], middle["rust"][2])
