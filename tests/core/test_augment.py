"""Each change of an image is held to torchvision's, and depends on its own draws alone."""

import colorsys
import math

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as T

from core.augment import Draw, _blurred, augment, draws, normalised, preview, working_size
from core.recipe import AUGMENT_PRESETS, Augment

SIZE = 32


def photo(count: int = 4, size: int = SIZE, seed: int = 0) -> torch.Tensor:
    """Smooth colourful pictures: resampling differs little between implementations, directions are unmistakable."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=False)
    return fine.clamp(0, 1).mul(255).round().to(torch.uint8)


def rows(count: int = 4, **columns: float) -> torch.Tensor:
    """Draws that change nothing but what is named: 0.5 is the middle of every range."""
    table = torch.full((count, len(Draw)), 0.5)
    for name, value in columns.items():
        table[:, Draw[name]] = value
    return table


def as_float(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.float() / 255


def same(left: torch.Tensor, right: torch.Tensor, within: float) -> None:
    assert left.shape == right.shape
    assert float((left - right).abs().max()) <= within


def test_nothing_switched_on_changes_nothing() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    pixels = photo()
    expected = T.normalize(as_float(pixels), list(mean), list(std))
    same(augment(pixels, draws(0, 1, 4), Augment(), SIZE, mean=mean, std=std), expected, 1e-6)
    same(normalised(pixels, mean, std), expected, 1e-6)


def test_flips_are_exact() -> None:
    pixels = photo()
    choice = Augment(flip_horizontal=True, flip_vertical=True)
    assert torch.equal(augment(pixels, rows(FLIP_H=0.4, FLIP_V=0.6), choice, SIZE), as_float(T.horizontal_flip(pixels)))
    assert torch.equal(augment(pixels, rows(FLIP_H=0.6, FLIP_V=0.4), choice, SIZE), as_float(T.vertical_flip(pixels)))
    assert torch.equal(augment(pixels, rows(FLIP_H=0.6, FLIP_V=0.6), choice, SIZE), as_float(pixels))


def test_a_flip_inside_other_movements_is_the_same_flip() -> None:
    pixels = photo()
    choice = Augment(flip_horizontal=True, flip_vertical=True, rotation=10)
    got = augment(pixels, rows(FLIP_H=0.4, FLIP_V=0.4), choice, SIZE)
    same(got, as_float(T.vertical_flip(T.horizontal_flip(pixels))), 1e-5)


@pytest.mark.parametrize(("draw", "degrees"), [(1.0, 90), (0.0, -90)])
def test_a_quarter_turn_is_exact(draw: float, degrees: int) -> None:
    pixels = photo()
    got = augment(pixels, rows(ROTATION=draw), Augment(rotation=90), SIZE)
    same(got, as_float(T.rotate(pixels, degrees)), 1e-5)


def test_a_small_turn_agrees_with_torchvision_inside() -> None:
    pixels = photo()
    got = augment(pixels, rows(ROTATION=1.0), Augment(rotation=20), SIZE)
    theirs = T.rotate(as_float(pixels), 20, interpolation=InterpolationMode.BILINEAR)
    inside = slice(8, -8)
    same(got[..., inside, inside], theirs[..., inside, inside], 0.01)


@pytest.mark.parametrize(("draw", "zoom"), [(1.0, 1.2), (0.0, 0.8)])
def test_zoom_agrees_with_torchvision_inside(draw: float, zoom: float) -> None:
    pixels = photo()
    got = augment(pixels, rows(SCALE=draw), Augment(scale=0.2), SIZE)
    theirs = T.affine(
        as_float(pixels), angle=0, translate=[0, 0], scale=zoom, shear=[0, 0], interpolation=InterpolationMode.BILINEAR
    )
    inside = slice(6, -6)
    same(got[..., inside, inside], theirs[..., inside, inside], 0.01)


def test_translation_moves_by_whole_pixels_right_and_down() -> None:
    pixels = photo()
    got = augment(pixels, rows(MOVE_X=1.0, MOVE_Y=0.75), Augment(translation=0.25), SIZE)
    same(got[..., 4:, 8:], as_float(pixels)[..., : SIZE - 4, : SIZE - 8], 1e-5)


def test_what_comes_in_from_beyond_the_edge_is_the_mirrored_image() -> None:
    pixels = photo()
    got = augment(pixels, rows(MOVE_X=1.0), Augment(translation=0.25), SIZE)
    same(got[..., :8], as_float(pixels)[..., :8].flip(3), 1e-5)


def test_crop_and_resize_agree_with_torchvision() -> None:
    size = 40
    pixels = photo(size=size)
    # a quarter of the area, square, at the left and a quarter from the top of where it can lie
    got = augment(pixels, rows(AREA=1.0, ASPECT=0.5, CROP_X=0.0, CROP_Y=0.25), Augment(crop=0.75), SIZE)
    theirs = T.resized_crop(as_float(pixels), top=5, left=0, height=20, width=20, size=[SIZE, SIZE], antialias=False)
    same(got[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], 1e-4)


def test_a_crop_that_loses_nothing_is_a_resize() -> None:
    pixels = photo(size=40)
    got = augment(pixels, rows(AREA=0.0), Augment(crop=0.5), SIZE)
    same(got, T.resize(as_float(pixels), [SIZE, SIZE], antialias=False), 1e-4)


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_colours_agree_with_torchvision(factor: float) -> None:
    pixels = photo()
    draw = {0.7: 0.0, 1.3: 1.0}[factor]
    image = as_float(pixels)
    for column, theirs in (
        ("BRIGHTNESS", T.adjust_brightness(image, factor)),
        ("CONTRAST", T.adjust_contrast(image, factor)),
        ("SATURATION", T.adjust_saturation(image, factor)),
    ):
        same(augment(pixels, rows(**{column: draw}), Augment(color=0.3), SIZE), theirs, 1e-3)


def hues(image: torch.Tensor) -> np.ndarray:
    return np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in image.permute(0, 2, 3, 1).reshape(-1, 3).tolist()])


@pytest.mark.parametrize(("draw", "turn"), [(1.0, 0.03), (0.0, -0.03)])
def test_hue_turns_as_far_as_in_torchvision(draw: float, turn: float) -> None:
    soft = (photo(1).float() * 0.3 + 80).round().to(torch.uint8)
    clear = (as_float(soft).amax(1) - as_float(soft).amin(1) > 0.05).flatten().numpy()
    before = hues(as_float(soft))
    theirs = (hues(T.adjust_hue(as_float(soft), turn)) - before + 0.5) % 1 - 0.5
    ours = (hues(augment(soft, rows(1, HUE=draw), Augment(color=0.3), SIZE)) - before + 0.5) % 1 - 0.5
    assert theirs[clear] == pytest.approx(turn, abs=1e-3)
    assert ours[clear] == pytest.approx(turn, abs=0.012)


def test_hue_keeps_greys_and_luminance() -> None:
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    grey = torch.arange(0, 250, 10, dtype=torch.uint8).view(1, 1, 5, 5).expand(1, 3, 5, 5)
    same(augment(grey, rows(1, HUE=1.0), Augment(color=1.0), 5), as_float(grey), 1e-5)
    soft = (photo().float() * 0.2 + 100).round().to(torch.uint8)
    turned = augment(soft, rows(HUE=1.0), Augment(color=1.0), SIZE)
    same((turned * luma).sum(1), (as_float(soft) * luma).sum(1), 1e-5)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_agrees_with_torchvision(sigma: float) -> None:
    pixels = photo()
    got = augment(pixels, rows(BLUR=sigma / 2), Augment(blur=2.0), SIZE)
    same(got, T.gaussian_blur(as_float(pixels), [13, 13], [sigma, sigma]), 1e-5)


def test_blur_without_sigma_changes_nothing_and_small_images_can_be_blurred() -> None:
    pixels = photo()
    same(augment(pixels, rows(BLUR=0.0), Augment(blur=2.0), SIZE), as_float(pixels), 1e-6)
    tiny = torch.rand(2, 3, 8, 8)
    assert _blurred(tiny, torch.tensor([5.0, 5.0]), 5.0).std() < tiny.std() / 3


def test_noise_has_its_deviation_and_repeats_with_its_generator() -> None:
    grey = torch.full((8, 3, 64, 64), 128, dtype=torch.uint8)
    made = [
        augment(grey, rows(8), Augment(noise=0.1), 64, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert float(made[0].std()) == pytest.approx(0.1, rel=0.02)


def test_erasing_fills_one_rectangle_with_the_mean_colour_where_it_is_drawn() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    pixels = torch.full((2, 3, SIZE, SIZE), 255, dtype=torch.uint8)
    table = rows(2, ERASE_AREA=1.0, ERASE_X=0.0, ERASE_Y=1.0)
    table[1, Draw.ERASE] = 0.6
    got = augment(pixels, table, Augment(erasing=0.55), SIZE, mean=mean, std=std)
    assert not (got[1] == 0).any()
    erased = (got[0] == 0).all(0)
    assert (got[0] == 0).any(0).equal(erased)
    side = round(math.sqrt(0.33) * SIZE)
    expected = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    expected[SIZE - side :, :side] = True
    assert torch.equal(erased, expected)


def test_the_order_of_movements_is_crop_turn_move_mirror() -> None:
    pixels = photo(size=40)
    choice = Augment(crop=0.75, rotation=90, translation=0.25, flip_horizontal=True)
    got = augment(pixels, rows(AREA=1.0, CROP_X=0.0, CROP_Y=0.0, ROTATION=1.0, MOVE_X=1.0, FLIP_H=0.1), choice, SIZE)
    step = T.resized_crop(as_float(pixels), top=0, left=0, height=20, width=20, size=[SIZE, SIZE], antialias=False)
    step = T.horizontal_flip(T.affine(T.rotate(step, 90), angle=0, translate=[8, 0], scale=1.0, shear=[0, 0]))
    same(got[..., 3:-3, 3 : SIZE - 12], step[..., 3:-3, 3 : SIZE - 12], 1e-4)


@pytest.mark.parametrize("name", AUGMENT_PRESETS)
def test_a_row_belongs_to_its_image_whatever_the_batch(name: str) -> None:
    choice = AUGMENT_PRESETS[name]
    side = working_size(choice, SIZE)
    pixels, table = photo(6, side), draws(3, 1, 6)
    whole = augment(pixels, table, choice, SIZE)
    assert whole.shape == (6, 3, SIZE, SIZE)
    assert bool(whole.isfinite().all())
    some = [4, 1]
    same(augment(pixels[some], table[some], choice, SIZE), whole[some], 1e-6)


def test_draws_depend_on_seed_and_epoch_and_rows_do_not_depend_on_their_number() -> None:
    first = draws(5, 2, 100)
    assert torch.equal(first, draws(5, 2, 100))
    assert torch.equal(first[:40], draws(5, 2, 40))
    assert not torch.equal(first, draws(5, 3, 100))
    assert not torch.equal(first, draws(6, 2, 100))
    assert 0 <= float(first.min()) < float(first.max()) < 1
    assert first.mean(0) == pytest.approx(np.full(len(Draw), 0.5), abs=0.12)


def test_working_size_is_larger_only_for_crops() -> None:
    assert working_size(Augment(), 64) == 64
    assert working_size(Augment(crop=0.1), 64) == 80
    assert working_size(Augment(crop=0.1), 33) == 42


def test_preview_shows_pixels_and_repeats() -> None:
    images = photo(2, 40).permute(0, 2, 3, 1).numpy()
    choice = AUGMENT_PRESETS["strong"]
    shown = preview(images, choice, SIZE, seed=1, count=5)
    assert (shown.shape, shown.dtype) == ((5, SIZE, SIZE, 3), np.uint8)
    assert np.array_equal(shown, preview(images, choice, SIZE, seed=1, count=5))
    assert not np.array_equal(shown, preview(images, choice, SIZE, seed=2, count=5))
    plain = preview(images[:, :SIZE, :SIZE], Augment(), SIZE, seed=1, count=3)
    assert np.array_equal(plain, images[[0, 1, 0], :SIZE, :SIZE])
