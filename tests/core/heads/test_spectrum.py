import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import TrainingError
from core.heads import Spectrum, decompose, ridge, softmax
from tests.core.heads.conftest import clouds


def rebuilt(spectrum: Spectrum) -> Tensor:
    return (spectrum.left.double() * spectrum.values.sqrt()) @ spectrum.right.double().T + spectrum.mean


@pytest.mark.parametrize(("images", "width"), [(60, 20), (20, 60), (40, 40), (2, 5), (5, 1)])
@pytest.mark.parametrize(("exact", "near"), [(True, 1e-12), (False, 1e-5)])
def test_the_parts_give_the_features_back(images: int, width: int, exact: bool, near: float) -> None:
    features, _ = clouds(images, width, 2)
    spectrum = decompose(features, exact=exact)
    assert torch.allclose(rebuilt(spectrum), features.double(), rtol=0, atol=near * float(features.abs().max()))
    truth = np.linalg.svd(features.double().numpy() - features.double().numpy().mean(0), compute_uv=False)
    assert torch.allclose(spectrum.values.sqrt(), torch.tensor(truth[: len(spectrum.values)]), rtol=near * 10)
    for side in (spectrum.left, spectrum.right):
        assert torch.allclose(side.T @ side, torch.eye(len(spectrum.values), dtype=side.dtype), atol=near * 100)
    assert spectrum.left.double().sum(dim=0).abs().max() < near * 100


@pytest.mark.parametrize("exact", [True, False])
def test_directions_without_variance_are_left_out(exact: bool) -> None:
    features, _ = clouds(50, 6, 2)
    dependent = torch.cat([features, features[:, :2] + features[:, 2:4], torch.full((50, 3), 7.3)], dim=1)
    assert len(decompose(dependent, exact=exact).values) == 6
    assert len(decompose(torch.full((50, 4), 0.1), exact=exact).values) == 0


def test_single_precision_finds_the_same_head_as_double() -> None:
    features, labels = clouds(1500, 96, 5, apart=0.5)
    features = features * torch.logspace(0, -2, 96) + 5  # long spectrum, large mean: what networks give
    single, double = (decompose(features, exact=exact) for exact in (False, True))
    one, two = (ridge(spectrum, labels, 5) for spectrum in (single, double))
    assert (one.accuracies - two.accuracies).abs().max() <= 2 / 1500
    strength = [two.strength]
    heads = [ridge(spectrum, labels, 5, strengths=strength).head for spectrum in (single, double)]
    assert torch.allclose(heads[0](features), heads[1](features), rtol=0, atol=1e-3)
    found = [softmax(spectrum, labels, 5, decay=1e-3) for spectrum in (single, double)]
    assert found[0].loss == pytest.approx(found[1].loss, abs=1e-6)


def test_no_image_one_image_and_numbers_that_are_none_are_named() -> None:
    features, _ = clouds(10, 4, 2)
    for images in (0, 1):
        with pytest.raises(TrainingError, match="a head needs at least 2"):
            decompose(features[:images])
    features[3, 1], features[3, 2], features[7, 0] = torch.nan, torch.nan, torch.inf
    with pytest.raises(TrainingError, match="The features of 2 of 10 images") as caught:
        decompose(features)
    assert caught.value.code == "head.not_finite"


def test_features_of_another_shape_are_refused() -> None:
    for wrong in (torch.zeros(4), torch.zeros(4, 0), torch.zeros(4, 3, dtype=torch.int64)):
        with pytest.raises(ValueError, match=r"features are floats \(N, D\)"):
            decompose(wrong)


def test_half_precision_features_are_taken_as_they_are() -> None:
    features, _ = clouds(30, 8, 2)
    half = features.bfloat16()
    assert torch.equal(decompose(half).values, decompose(half.float()).values)


def test_it_can_be_called_off() -> None:
    features, labels = clouds(30, 8, 2)
    asked = iter([False, True])
    with pytest.raises(TrainingError, match="called off"):
        decompose(features, cancelled=lambda: next(asked))
    for solve in (ridge, softmax):
        with pytest.raises(TrainingError, match="called off"):
            solve(decompose(features), labels, 2, cancelled=lambda: True)
