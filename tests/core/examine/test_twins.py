"""Copies of a picture are found however they were made; pictures that are only alike are none."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import DataError
from core.examine.twins import groups, twins
from core.images import decode

Draw = Callable[..., Image.Image]
Copy = Callable[[Image.Image], bytes]


def pixels(images: list[bytes]) -> torch.Tensor:
    return torch.from_numpy(np.stack([decode(data, 96, "stretch").transpose(2, 0, 1) for data in images]))


def pairs(seen: torch.Tensor) -> list[tuple[int, int]]:
    plain = torch.zeros(len(seen), dtype=torch.bool)
    return [(one, other) for one, other, _ in twins(seen, plain, lambda share: None, lambda: False)]


def test_every_copy_is_found_and_nothing_else(drawn: Draw, saved: Callable[..., bytes], copied: dict[str, Copy]) -> None:
    originals = [drawn(number) for number in range(60)]
    images = [saved(image) for image in originals]
    expected = []
    for place, copy in enumerate(copied.values()):
        for number in range(4 * place, 4 * place + 4):
            expected.append((number, len(images)))
            images.append(copy(originals[number]))
    assert pairs(pixels(images)) == sorted(expected)


def test_one_drawing_in_two_colours_is_no_copy(drawn: Draw, saved: Callable[..., bytes]) -> None:
    grey = [np.asarray(drawn(number)).mean(axis=2, keepdims=True) for number in range(20)]
    red, green = (
        [np.clip(image * tint, 0, 255).astype(np.uint8) for image in grey] for tint in ([1.5, 0.75, 0.8], [0.7, 1.1, 0.8])
    )
    images = [saved(Image.fromarray(image)) for image in (*red, *green[:3])]
    assert pairs(pixels(images)) == []


def test_a_mirror_image_is_no_copy(drawn: Draw, saved: Callable[..., bytes]) -> None:
    images = [drawn(number) for number in range(20)]
    turned = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in images[:5]]
    assert pairs(pixels([saved(image) for image in (*images, *turned)])) == []


def test_where_all_pictures_are_alike_only_the_same_picture_is_a_copy(drawn: Draw, saved: Callable[..., bytes]) -> None:
    ground = np.asarray(drawn(0), float)
    alike = [
        Image.fromarray(np.clip(0.75 * ground + 0.25 * np.asarray(drawn(n), float), 0, 255).astype(np.uint8))
        for n in range(1, 61)
    ]
    images = [saved(image) for image in alike] + [saved(image, "JPEG", 90) for image in alike[:3]]
    assert pairs(pixels(images)) == [(0, 60), (1, 61), (2, 62)]


def test_images_that_show_nothing_are_no_copies_of_each_other(saved: Callable[..., bytes]) -> None:
    noise = np.random.default_rng(0).normal(128, 1, (12, 96, 96, 3)).astype(np.uint8)
    seen = pixels([saved(Image.fromarray(image), "JPEG", 30) for image in noise])
    assert twins(seen, torch.ones(12, dtype=torch.bool), lambda share: None, lambda: False) == []


def test_it_ends_when_it_is_called_off(drawn: Draw, saved: Callable[..., bytes]) -> None:
    seen = pixels([saved(drawn(number)) for number in range(8)])
    with pytest.raises(DataError) as caught:
        twins(seen, torch.zeros(8, dtype=torch.bool), lambda share: None, lambda: True)
    assert caught.value.code == "examine.cancelled"


def test_pairs_that_hang_together_are_one_group() -> None:
    found = [(0, 1, 0.99), (4, 5, 0.97), (1, 2, 0.98), (2, 4, 0.975), (8, 9, 1.0)]
    assert groups(found) == [([0, 1, 2, 4, 5], 0.97), ([8, 9], 1.0)]
    assert groups([]) == []


def test_two_pictures_with_the_same_black_bar_are_no_copies(
    drawn: Draw, saved: Callable[..., bytes], soft: Callable[..., Image.Image]
) -> None:
    barred = []
    for number in range(6):
        image = np.asarray(soft(drawn(number))).copy()
        image[:16] = 0
        barred.append(saved(Image.fromarray(image)))
    assert pairs(pixels(barred)) == []
