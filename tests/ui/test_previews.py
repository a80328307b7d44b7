"""What the network will see: made as in training, the same for the same draft, and made only once."""

import io
from typing import Any

import pytest
from PIL import Image

from core.recipe import AUGMENT_PRESETS, Recipe
from ui import previews


@pytest.fixture
def draft(flowers: str) -> Recipe:
    return Recipe(dataset=flowers, backbone="thaw-small", image_size=32)


def test_unchanged_pictures_are_all_different(draft: Recipe) -> None:
    made = previews.preview(draft)
    assert len(set(made)) == 8
    assert {Image.open(io.BytesIO(one), formats=["WEBP"]).size for one in made} == {(32, 32)}


def test_changed_pictures_show_the_same_ones_twice_and_otherwise(draft: Recipe) -> None:
    strong = draft.changed(augment=AUGMENT_PRESETS["strong"])
    assert len(set(previews.preview(strong))) == 8
    assert previews.preview(strong) == previews.preview(strong.changed(epochs=99))
    assert previews.preview(strong) != previews.preview(strong.changed(seed=1))


def test_large_pictures_are_shown_small(draft: Recipe) -> None:
    made = previews.preview(draft.changed(image_size=400))
    assert {Image.open(io.BytesIO(one), formats=["WEBP"]).size for one in made} == {(192, 192)}


def test_they_are_made_once(draft: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    first = previews.preview(draft)

    def refuse(*args: Any) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(previews, "_preview", refuse)
    assert previews.preview(draft) is first
