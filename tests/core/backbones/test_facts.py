"""A card knows which images its network can work with, and says the way out."""

from dataclasses import replace

import pytest

from core.backbones import card, cards
from core.errors import RecipeError
from core.words import catalogue

RESNET, INCEPTION, VIT, MAXVIT = (card(name) for name in ("resnet18", "inception_v3", "vit_b_16", "maxvit_t"))


@pytest.mark.parametrize(
    ("name", "fine", "wrong"),
    [
        ("resnet18", [16, 17, 64, 224, 1024], []),
        ("thaw-small", [32, 33, 224], [16, 31]),
        ("inception_v3", [75, 299], [32, 74]),
        ("alexnet", [63, 224], [62]),
        ("vit_b_16", [16, 64, 224, 384], [8, 24, 225]),
        ("vit_b_32", [32, 224], [16, 48]),
        ("vit_h_14", [28, 224, 518], [64, 512]),
        ("maxvit_t", [224, 448], [112, 256]),
        ("swin_t", [32, 100, 224, 256], [31]),
    ],
)
def test_a_network_takes_the_sizes_that_its_architecture_allows(name: str, fine: list[int], wrong: list[int]) -> None:
    one = card(name)
    for size in fine:
        one.check_image_size(size)
        assert one.allows(size)
    for size in wrong:
        assert not one.allows(size)
        with pytest.raises(RecipeError):
            one.check_image_size(size)


def test_too_small_an_image_names_the_least_side() -> None:
    with pytest.raises(RecipeError, match=r"inception_v3 cannot work with images of 64 × 64 .* 75 pixels or more") as caught:
        INCEPTION.check_image_size(64)
    assert caught.value.code == "backbone.image_too_small"


def test_a_side_between_two_steps_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"must be a multiple of 16\. Choose an image size of 224 pixels") as caught:
        VIT.check_image_size(230)
    assert caught.value.code == "backbone.image_step"


@pytest.mark.parametrize(
    ("one", "size", "nearest"),
    [
        (RESNET, 100, 100),
        (RESNET, 4, 16),
        (RESNET, 5000, 1024),
        (INCEPTION, 64, 75),
        (VIT, 100, 96),
        (VIT, 104, 112),
        (VIT, 1, 16),
        (MAXVIT, 64, 224),
        (MAXVIT, 400, 448),
        (MAXVIT, 1024, 896),
    ],
)
def test_the_nearest_size_is_one_that_is_allowed(one: object, size: int, nearest: int) -> None:
    assert one.nearest_size(size) == nearest  # type: ignore[attr-defined]
    assert one.allows(nearest)  # type: ignore[attr-defined]


def test_every_network_has_an_allowed_size_near_any() -> None:
    for one in cards():
        for size in (1, 16, 63, 64, 75, 224, 1024, 9999):
            assert one.allows(one.nearest_size(size)), one.name


def test_every_family_and_licence_has_its_words_in_both_languages() -> None:
    for one in cards():
        for language in ("en", "zh"):
            assert f"family.{one.family}" in catalogue(language)
            assert f"licence.{one.licence}" in catalogue(language)


def test_the_file_is_the_end_of_the_address() -> None:
    assert RESNET.file == "resnet18-f37072fd.pth"
    assert replace(RESNET, url="").file == ""
