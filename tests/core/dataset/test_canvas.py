"""The strokes that demo pictures are made of."""

import io

import numpy as np
import pytest
from PIL import Image

from core.dataset.canvas import (
    SIDE,
    X,
    Y,
    around,
    band,
    blob,
    blurred,
    box,
    color,
    disc,
    jpeg,
    mix,
    noise,
    profile,
    rough,
    step,
)


def test_coordinates_are_pixel_centres_from_minus_one_to_one() -> None:
    assert (X[0, 0], X[0, -1], Y[0, 0], Y[-1, 0]) == (-1 + 1 / SIDE, 1 - 1 / SIDE, -1 + 1 / SIDE, 1 - 1 / SIDE)


@pytest.mark.parametrize("draw", [noise, rough])
def test_noise_is_smooth_bounded_and_follows_from_its_seed(draw: object) -> None:
    first, again, other = (draw(np.random.default_rng(seed), 5) for seed in (1, 1, 2))  # type: ignore[operator]
    assert (first.shape, first.dtype) == ((SIDE, SIDE), np.float32)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.abs(first).max() < 1.6
    assert np.abs(np.diff(first, axis=0)).max() < 0.3


def test_a_step_is_zero_below_one_above_and_half_between() -> None:
    values = np.array([-1.0, 0.0, 1.0, 2.0, 3.0], np.float32)
    assert step(0, 2, values).tolist() == [0, 0, 0.5, 1, 1]
    assert step(2, 0, values).tolist() == [1, 1, 0.5, 0, 0]


def test_mixing_puts_a_colour_over_a_picture_by_its_share() -> None:
    below = np.zeros((3, SIDE, SIDE), np.float32)
    share = step(-0.5, 0.5, X)
    mixed = mix(below, (1.0, 0.5, 0.0), share)
    assert np.allclose(mixed[0], share)
    assert np.allclose(mixed[1], share / 2)
    assert not mixed[2].any()
    assert color((1.0, 0.5, 0.0)).shape == (3, 1, 1)


def test_blurring_keeps_the_mean_and_the_range() -> None:
    sharp = (X > 0).astype(np.float32)
    soft = blurred(sharp, 16)
    assert abs(float(soft.mean()) - 0.5) < 0.01
    assert (float(soft.min()) >= 0, float(soft.max()) <= 1) == (True, True)
    assert np.abs(np.diff(soft, axis=1)).max() < 0.3


def test_distances_to_a_band_a_box_and_a_blob_are_in_pixels() -> None:
    middle = SIDE // 2
    assert band((-0.5, 0.0), (0.5, 0.0), 0.1)[middle, middle] == pytest.approx(0.1 * SIDE / 2, abs=0.6)
    assert band((-0.5, 0.0), (0.5, 0.0), 0.1)[middle + 20, middle] == pytest.approx(0.1 * SIDE / 2 - 20, abs=0.6)
    assert box(0.0, 0.0, 0.5, 0.25)[middle, middle] == pytest.approx(0.25 * SIDE / 2, abs=0.6)
    assert np.allclose(box(0.0, 0.0, 0.5, 0.25, np.pi / 2), box(0.0, 0.0, 0.25, 0.5), atol=1e-3)
    rng = np.random.default_rng(0)
    assert blob(rng, 0.2, 0.0, 0.5, 0.0)[middle, middle + round(0.2 * middle)] == pytest.approx(0.5 * middle, abs=1.0)


def test_a_photograph_keeps_its_light_and_gets_grain() -> None:
    rng = np.random.default_rng(0)
    flat = np.full((3, SIDE, SIDE), 0.5, np.float32)
    clean, grainy = (
        np.asarray(Image.open(io.BytesIO(jpeg(flat, rng, grain=grain))), np.float32) / 255 for grain in (0.0, 0.1)
    )
    assert np.allclose(clean, 0.5, atol=0.01)
    assert grainy.mean() == pytest.approx(0.5, abs=0.01)
    assert grainy.std() > 0.04


def test_a_profile_is_one_row_of_smooth_noise() -> None:
    row = profile(np.random.default_rng(3), 6)
    assert row.shape == (1, SIDE)
    assert np.abs(np.diff(row)).max() < 0.3
    assert np.array_equal(row, profile(np.random.default_rng(3), 6))


def test_a_disc_of_light_is_brightest_near_its_rim_and_dark_outside() -> None:
    light = disc(0.0, 0.0, 0.5)
    across = light[SIDE // 2]
    assert across[SIDE // 2] == pytest.approx(0.72)
    assert across[SIDE // 2 : SIDE // 2 + 30].max() > 0.9
    assert not across[: SIDE // 4 - 3].any()


@pytest.mark.parametrize("place", [(0.2, -0.3), (0.95, 0.98), (-1.5, 0.0)])
def test_what_is_drawn_in_a_window_is_what_is_drawn_on_the_whole(place: tuple[float, float]) -> None:
    at = around(*place, 0.25)
    far = (place[0] + 0.1, place[1] - 0.2)
    assert np.array_equal(box(*place, 0.1, 0.2, 0.4, at), box(*place, 0.1, 0.2, 0.4)[at])
    assert np.array_equal(band(place, far, 0.05, at), band(place, far, 0.05)[at])
    whole, part = (blob(np.random.default_rng(2), *place, 0.2, 0.1, where) for where in (np.s_[:, :], at))
    assert np.array_equal(part, whole[at])
