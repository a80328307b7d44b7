from functools import partial
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.augment import normalised
from core.backbones import build
from core.heads import decompose, ridge, sharpness
from core.images import decode
from tests.core.heads.conftest import clouds


def refit(x: np.ndarray, y: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (D, C) and bias (C,) by the normal equations with a free intercept."""
    wide = np.hstack([x, np.ones((len(x), 1))])
    penalty = strength * np.eye(wide.shape[1])
    penalty[-1, -1] = 0
    both = np.linalg.solve(wide.T @ wide + penalty, wide.T @ y)
    return both[:-1], both[-1]


@pytest.mark.parametrize(("width", "classes"), [(20, 4), (120, 4), (49, 2), (3, 7)])
def test_leave_one_out_is_that_of_fifty_heads_learned_without_each_image(width: int, classes: int) -> None:
    features, labels = clouds(50, width, classes, apart=1.0)
    x, y = features.double().numpy(), np.eye(classes)[labels]
    spectrum = decompose(features)
    path = ridge(spectrum, labels, classes)
    for at, strength in enumerate(path.strengths.tolist()):
        rest = [np.arange(50) != image for image in range(50)]
        heads = [refit(x[others], y[others], strength) for others in rest]
        truth = np.stack([x[image] @ weight + bias for image, (weight, bias) in enumerate(heads)])
        alone = ridge(spectrum, labels, classes, strengths=[strength])
        assert np.abs(alone.scores.numpy() - truth).max() < 1e-6
        assert path.accuracies[at] == alone.accuracy == np.mean(truth.argmax(1) == labels.numpy())


@pytest.mark.parametrize("width", [20, 120])
def test_the_head_is_that_of_the_normal_equations(width: int) -> None:
    features, labels = clouds(50, width, 3)
    features = features * 3 + 11  # raw: neither centred nor scaled
    found = ridge(decompose(features), labels, 3)
    weight, bias = refit(features.double().numpy(), np.eye(3)[labels], found.strength)
    assert found.head.weight.shape == (3, width)
    assert np.allclose(found.head.weight, weight.T, atol=1e-6)
    assert np.allclose(found.head.bias, bias, atol=1e-5)
    layer = F.linear(features, found.head.weight, found.head.bias)
    assert torch.allclose(found.head(features), layer, atol=1e-5)


def test_of_equal_accuracies_the_strongest_ridge_is_chosen() -> None:
    features, labels = clouds(60, 8, 3, apart=30.0)
    found = ridge(decompose(features), labels, 3)
    best = found.accuracies == found.accuracies.max()
    assert best.sum() > 1
    assert found.accuracies.max() == found.accuracy == 1
    assert found.chosen == best.nonzero().max()
    assert found.strength == found.strengths[best].max()


def test_equal_features_say_nothing_but_how_frequent_the_classes_are() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3)
    found = ridge(decompose(torch.full((9, 5), 2.5)), labels, 2)
    assert found.accuracy == 6 / 9
    assert torch.equal(found.head.weight, torch.zeros(2, 5))
    assert torch.allclose(found.head.bias, torch.tensor([6 / 9, 3 / 9]))
    assert torch.allclose(found.scores[0], torch.tensor([5 / 8, 3 / 8], dtype=torch.float64))


def test_an_image_alone_in_its_class_is_missed_and_an_empty_class_disturbs_nobody() -> None:
    features, labels = clouds(40, 6, 2, apart=30.0)
    labels[7] = 3  # class 2 has no image
    found = ridge(decompose(features), labels, 4)
    assert (found.scores.argmax(dim=1) == labels).sum() == 39
    assert found.scores[7].argmax() != 3
    assert torch.allclose(found.scores[:, 2], torch.zeros(40, dtype=torch.float64), atol=1e-9)


def test_two_images_are_enough_to_be_wrong_twice() -> None:
    found = ridge(decompose(torch.tensor([[0.0, 1.0], [1.0, 0.0]])), torch.tensor([0, 1]), 2)
    assert found.accuracy == 0
    assert (found.head(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).argmax(dim=1) == torch.tensor([0, 1])).all()


def test_what_does_not_fit_is_refused() -> None:
    features, labels = clouds(20, 4, 3)
    spectrum = decompose(features)
    with pytest.raises(ValueError, match="do not fit 2 classes"):
        ridge(spectrum, labels, 2)
    with pytest.raises(ValueError, match="at least 2 classes"):
        ridge(spectrum, labels, 1)
    with pytest.raises(ValueError, match=r"labels are int64 \(20,\)"):
        ridge(spectrum, labels[1:], 3)
    for strengths in ([], [0.0, 1.0], [float("nan")], [float("inf")]):
        with pytest.raises(ValueError, match="strengths above 0"):
            ridge(spectrum, labels, 3, strengths=strengths)


def test_the_sharpness_makes_the_cross_entropy_least() -> None:
    features, labels = clouds(200, 10, 4, apart=1.0)
    found = ridge(decompose(features), labels, 4)

    def loss(factor: float) -> float:
        return float(F.cross_entropy(factor * found.scores, labels))

    best = sharpness(found.scores, labels)
    assert loss(best) < min(loss(best * 0.97), loss(best * 1.03), loss(1.0))
    assert torch.allclose(found.head.times(best)(features), best * found.head(features), atol=1e-5)


def test_features_of_the_bundled_backbone_tell_real_signs_apart(real_data: Path) -> None:
    each, side = 20, 64
    with ZipFile(real_data / "sign-digits.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.lower().endswith(".jpg"))
        folders = sorted({Path(name).parent.name for name in names})
        chosen = [[name for name in names if Path(name).parent.name == folder][:each] for folder in folders]
        pixels = np.stack([decode(archive.read(name), side, "crop") for some in chosen for name in some])
    labels = torch.arange(10).repeat_interleave(each)
    network = build("thaw-small", classes=10, weights="bundled", image_size=side)
    parent, _, child = network.head.rpartition(".")
    setattr(network.model.get_submodule(parent), child, nn.Identity())
    ready = partial(normalised, mean=network.mean, std=network.std)
    with torch.inference_mode():
        features = network.model.eval()(ready(torch.from_numpy(pixels).permute(0, 3, 1, 2)))
    assert features.shape[0] == 10 * each
    found = ridge(decompose(features), labels, 10)
    assert found.accuracy > 0.5  # chance is a tenth
    mixed = labels[torch.randperm(10 * each, generator=torch.Generator().manual_seed(0))]
    assert ridge(decompose(features), mixed, 10).accuracy < 0.25
