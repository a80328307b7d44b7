from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F

from core.heads import Head, decompose, softmax
from tests.core.heads.conftest import clouds


def objective(weight: Tensor, bias: Tensor, features: Tensor, labels: Tensor, decay: float) -> Tensor:
    logits = features.double() @ weight.double().T + bias.double()
    return F.cross_entropy(logits, labels) + decay / 2 * weight.double().square().sum()


def slope(head: Head, features: Tensor, labels: Tensor, decay: float) -> float:
    """Largest entry of the objective's gradient at `head`, by automatic differentiation."""
    weight, bias = head.weight.double().requires_grad_(), head.bias.double().requires_grad_()
    parts = torch.autograd.grad(objective(weight, bias, features, labels, decay), (weight, bias))
    return max(float(part.abs().max()) for part in parts)


@pytest.mark.parametrize(
    ("images", "width", "classes", "decay"), [(300, 20, 4, 1e-2), (300, 20, 7, 1e-4), (60, 150, 3, 1e-3)]
)
def test_it_finds_the_optimum_that_scikit_learn_finds(images: int, width: int, classes: int, decay: float) -> None:
    features, labels = clouds(images, width, classes, apart=1.0)
    features = features * 2 + 3
    peer = LogisticRegression(C=1 / (images * decay), tol=1e-9, max_iter=20_000)
    peer.fit(features.double().numpy(), labels.numpy())
    truth = objective(torch.tensor(peer.coef_), torch.tensor(peer.intercept_), features, labels, decay)
    found = softmax(decompose(features), labels, classes, decay=decay, tolerance=1e-7)
    assert found.converged
    assert found.loss == pytest.approx(float(truth), abs=1e-7)
    ours = objective(found.head.weight, found.head.bias, features, labels, decay)
    assert float(ours) == pytest.approx(found.loss, abs=1e-7)
    assert np.abs(found.head.weight.numpy() - peer.coef_).max() < 1e-3


@pytest.mark.parametrize("exact", [True, False])
def test_with_two_classes_the_slope_at_its_head_is_zero(exact: bool) -> None:
    features, labels = clouds(200, 12, 2, apart=1.0)
    found = softmax(decompose(features, exact=exact), labels, 2, decay=1e-3, tolerance=1e-6)
    assert found.converged
    assert slope(found.head, features, labels, 1e-3) < 1e-5


def test_features_of_very_different_scales_are_no_harder() -> None:
    features, labels = clouds(400, 24, 4, apart=1.5)
    scales = torch.logspace(-2, 3, 24)
    plain, scaled = (softmax(decompose(each), labels, 4, decay=1e-6) for each in (features, features * scales + 100))
    assert plain.converged
    assert scaled.converged
    assert scaled.iterations < 100


def test_the_loss_never_rises_and_begins_at_chance() -> None:
    features, labels = clouds(300, 20, 5, apart=1.0)
    found = softmax(decompose(features), labels, 5)
    assert found.losses[0] == pytest.approx(np.log(5))
    assert all(after <= before + 1e-12 for before, after in pairwise(found.losses))
    assert len(found.losses) == found.iterations + 1
    assert found.losses[-1] == found.loss


@pytest.mark.parametrize("seed", [3, 7, 11])
def test_single_precision_arrives_where_double_does_and_does_not_stall_on_rounding(seed: int) -> None:
    features, labels = clouds(1500, 64, 5, apart=0.5, seed=seed)  # with 7 a search by the loss alone stands still at the end
    features = features * torch.logspace(0, -2, 64)
    single, double = (softmax(decompose(features, exact=exact), labels, 5, decay=1e-3) for exact in (False, True))
    assert single.converged
    assert double.converged
    assert single.loss == pytest.approx(double.loss, abs=1e-6)
    assert single.iterations <= 2 * double.iterations


def test_it_says_when_the_rounds_were_too_few_and_tells_how_far_it_is() -> None:
    features, labels = clouds(300, 20, 5, apart=1.0)
    heard: list[tuple[int, int]] = []
    found = softmax(decompose(features), labels, 5, iterations=3, progress=lambda *both: heard.append(both))
    assert not found.converged
    assert found.iterations == 3
    assert found.gradient > 1e-5
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_without_decay_separable_images_are_told_apart_and_nothing_breaks() -> None:
    features, labels = clouds(60, 8, 3, apart=30.0)
    found = softmax(decompose(features), labels, 3, decay=0.0)
    assert found.loss < 1e-3
    assert torch.equal(found.head(features).argmax(dim=1), labels)
    assert found.head.weight.isfinite().all()


def test_equal_features_give_the_frequency_of_the_classes() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3)
    found = softmax(decompose(torch.full((9, 5), 2.5)), labels, 2)
    assert torch.allclose(found.head(torch.full((1, 5), 2.5)).softmax(dim=1), torch.tensor([[6 / 9, 3 / 9]]), atol=1e-4)


def test_a_decay_below_zero_is_refused() -> None:
    features, labels = clouds(20, 4, 2)
    for decay in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="decay is a number from 0 up"):
            softmax(decompose(features), labels, 2, decay=decay)
