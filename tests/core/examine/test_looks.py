"""Images that show little are found against the set they lie in; what most of a set is like is no fault."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from core.dataset import Dataset
from core.examine.finding import Finding
from core.examine.looks import measures, poor, rare

Draw = Callable[..., Image.Image]


def seen(image: Image.Image) -> tuple[float, float, float, float]:
    return measures(np.asarray(image, np.float32).mean(axis=2))


def kinds(found: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.images[0]) for finding in found]


def flat(level: int, noise: float = 0.0) -> Image.Image:
    points = np.random.default_rng(level).normal(level, noise, (96, 96, 3))
    return Image.fromarray(np.clip(points, 0, 255).astype(np.uint8))


def test_the_laplacian_of_a_checkerboard_is_known() -> None:
    board = (np.indices((8, 8)).sum(axis=0) % 2 * 10).astype(np.float32)
    assert measures(board) == (5.0, 0.0, 10.0, 1600.0)


def test_blank_blurred_dark_and_bright_are_found_and_nothing_else(
    drawn: Draw, soft: Callable[[Image.Image], Image.Image], listed: Callable[..., Dataset]
) -> None:
    images = [drawn(number) for number in range(40)]
    images[3] = flat(120, 1.0)
    images[7] = soft(images[7])
    images[21] = Image.fromarray((np.asarray(images[21]) * 0.2).astype(np.uint8))
    images[33] = Image.fromarray((255 - (255 - np.asarray(images[33]).astype(float)) * 0.15).astype(np.uint8))
    data = listed(20, 20)
    name = [item.sha256 for item in data.items]
    found = poor(data, [seen(image) for image in images])
    assert kinds(found) == [("blank", name[3]), ("blurred", name[7]), ("dark", name[21]), ("bright", name[33])]
    assert [finding.suggestion for finding in found] == ["exclude", "look", "look", "look"]


def test_a_class_is_softer_by_nature_without_a_word(
    drawn: Draw, soft: Callable[[Image.Image], Image.Image], listed: Callable[..., Dataset]
) -> None:
    images = [soft(drawn(number)) if number < 4 else drawn(number) for number in range(40)]
    assert poor(listed(4, 36), [seen(image) for image in images]) == []


def test_photos_by_night_are_dark_by_nature(drawn: Draw, listed: Callable[..., Dataset]) -> None:
    dark = [Image.fromarray((np.asarray(drawn(number)) * 0.2).astype(np.uint8)) for number in range(20)]
    assert poor(listed(10, 10), [seen(image) for image in dark]) == []


def test_every_blank_image_counts_however_many_there_are(listed: Callable[..., Dataset]) -> None:
    assert [finding.kind for finding in poor(listed(5, 5), [seen(flat(90))] * 10)] == ["blank"] * 10


def test_tiny_and_long_images_are_found_the_worst_first(drawn: Draw, listed: Callable[..., Dataset]) -> None:
    data = listed(10, 10)
    sizes = {2: (31, 90), 5: (12, 14), 11: (100, 900), 12: (300, 100)}
    items = tuple(
        replace(item, width=sizes.get(at, (100, 100))[0], height=sizes.get(at, (100, 100))[1])
        for at, item in enumerate(data.items)
    )
    found = poor(replace(data, items=items), [seen(drawn(number)) for number in range(20)])
    assert [(finding.kind, finding.number) for finding in found] == [
        ("tiny", 12.0),
        ("tiny", 31.0),
        ("shape", 9.0),
        ("shape", 3.0),
        ("shape", 2.903),
    ]


def test_rare_classes_are_named_with_how_rare_they_are(listed: Callable[..., Dataset]) -> None:
    assert rare(listed(60, 12, 11, 3)) == [
        Finding("imbalance", (), 20.0, "collect", "class 3"),
        Finding("imbalance", (), 5.45, "collect", "class 2"),
    ]
