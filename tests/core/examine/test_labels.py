"""Confident learning names the labels that were changed, and few others; copies do not vouch for each other."""

import numpy as np
import torch

from core.examine.labels import MARGIN, doubtful, suspects


def clouds(each: int, classes: int, spread: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of points around one centre a class."""
    noise = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(each)
    return torch.eye(classes, 12)[labels] + spread * torch.randn(len(labels), 12, generator=noise), labels


def asked(features: torch.Tensor, labels: torch.Tensor, first: torch.Tensor | None = None) -> tuple[np.ndarray, float]:
    own = torch.arange(len(labels)) if first is None else first
    return suspects(features, labels, int(labels.max()) + 1, own, lambda: False)


def test_changed_labels_are_found_with_their_right_class() -> None:
    features, truth = clouds(60, 5, 0.2)
    given = truth.clone()
    changed = torch.arange(0, 300, 20)
    given[changed] = (given[changed] + 2) % 5
    probabilities, told_apart = asked(features, given)
    found = np.flatnonzero(doubtful(probabilities, given.numpy(), MARGIN)).tolist()
    assert set(found) <= set(changed.tolist())
    assert len(found) >= 12  # of 15: who is less sure than usual is not accused
    assert probabilities[changed].argmax(axis=1).tolist() == truth[changed].tolist()
    assert told_apart == 285 / 300


def test_right_labels_are_not_doubted() -> None:
    features, labels = clouds(60, 5, 0.2)
    probabilities, told_apart = asked(features, labels)
    assert not doubtful(probabilities, labels.numpy(), MARGIN).any()
    assert told_apart == 1.0


def test_two_copies_with_the_same_wrong_label_are_both_found() -> None:
    features, truth = clouds(30, 3, 0.2)
    given, first = truth.clone(), torch.arange(90)
    features[1:5] = features[0].clone()
    given[:5], first[:5] = 1, 0
    probabilities, _ = asked(features, given, first)
    assert np.flatnonzero(doubtful(probabilities, given.numpy(), MARGIN)).tolist() == [0, 1, 2, 3, 4]


def test_nothing_is_said_about_too_few_images() -> None:
    features, labels = clouds(3, 3, 0.2)
    probabilities, _ = asked(features, labels)
    assert not doubtful(probabilities, labels.numpy(), MARGIN).any()


def test_doubt_needs_another_class_that_is_as_sure_as_usual() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.4, 0.6], [0.2, 0.8]])
    labels = np.array([0, 0, 1, 0, 0])
    # class 1 gets 0.9 from its own image: 0.6 and 0.8 are less than usual
    assert not doubtful(probabilities, labels, 0.0).any()
    labels = np.array([0, 0, 1, 1, 0])  # now 0.75 is usual
    assert doubtful(probabilities, labels, 0.5).tolist() == [False, False, False, False, True]
    assert not doubtful(probabilities, labels, 0.7).any()
