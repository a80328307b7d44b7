"""Gate E4: both scores against plain implementations of the published formulas."""

import numpy as np
import pytest
import torch

from core.heads import decompose, h_score, logme
from tests.core.heads.conftest import clouds


def published_logme(f: np.ndarray, labels: np.ndarray) -> float:
    """You et al. 2021, algorithm 1, letter by letter: the matrix A of equation 2 is made and inverted in every round."""
    n, d = f.shape
    gram = f.T @ f
    sigma = np.clip(np.linalg.eigvalsh(gram), 0, None)
    evidences = []
    for one in np.unique(labels):
        y = (labels == one).astype(float)
        alpha = beta = 1.0
        for _ in range(11):
            before = alpha / beta
            m = beta * np.linalg.inv(alpha * np.eye(d) + beta * gram) @ (f.T @ y)
            gamma = np.sum(beta * sigma / (alpha + beta * sigma))
            alpha = gamma / (m @ m + 1e-5)
            beta = (n - gamma) / (np.sum((f @ m - y) ** 2) + 1e-5)
            if abs(alpha / beta - before) <= 1e-3 * before:
                break
        evidence = n / 2 * np.log(beta) + d / 2 * np.log(alpha) - n / 2 * np.log(2 * np.pi)
        evidence -= beta / 2 * np.sum((f @ m - y) ** 2) + alpha / 2 * (m @ m)
        evidence -= np.linalg.slogdet(alpha * np.eye(d) + beta * gram)[1] / 2
        evidences.append(evidence / n)
    return float(np.mean(evidences))


def published_h_score(f: np.ndarray, labels: np.ndarray) -> float:
    """Bao et al. 2019, definition 2: the trace of the inverse covariance times that of the class means."""
    means = np.stack([f[labels == label].mean(axis=0) for label in labels])
    return float(np.trace(np.linalg.pinv(np.cov(f.T), rcond=1e-12) @ np.cov(means.T)))


CASES = {
    "tall": (200, 16, 5, 1.0, 0.0),
    "wide": (60, 100, 3, 1.0, 0.0),
    "far from zero": (200, 16, 5, 1.0, 30.0),
    "noise": (150, 12, 4, 0.0, 1.0),
    "far apart": (150, 12, 4, 20.0, 1.0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("exact", "near"), [(True, 1e-7), (False, 2e-4)])
def test_logme_is_the_published_formula(case: str, exact: bool, near: float) -> None:
    images, width, classes, apart, offset = CASES[case]
    features, labels = clouds(images, width, classes, apart=apart)
    features = features + offset
    truth = published_logme(features.double().numpy(), labels.numpy())
    assert logme(decompose(features, exact=exact), labels, classes) == pytest.approx(truth, rel=near, abs=near)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("exact", "near"), [(True, 1e-7), (False, 2e-4)])
def test_h_score_is_the_published_formula(case: str, exact: bool, near: float) -> None:
    images, width, classes, apart, offset = CASES[case]
    features, labels = clouds(images, width, classes, apart=apart)
    features = features + offset
    truth = published_h_score(features.double().numpy(), labels.numpy())
    assert h_score(decompose(features, exact=exact), labels, classes) == pytest.approx(truth, rel=near)


def test_dependent_and_constant_columns_change_no_h_score_and_not_the_formula_of_logme() -> None:
    features, labels = clouds(120, 8, 3, apart=1.0)
    more = torch.cat([features, features[:, :1] + features[:, 1:2], torch.ones(120, 2)], dim=1)
    assert h_score(decompose(more), labels, 3) == pytest.approx(h_score(decompose(features), labels, 3), rel=1e-6)
    assert logme(decompose(more), labels, 3) == pytest.approx(
        published_logme(more.double().numpy(), labels.numpy()), rel=1e-6
    )


def test_a_class_without_images_counts_in_neither() -> None:
    features, labels = clouds(120, 8, 3)
    spectrum = decompose(features)
    assert logme(spectrum, labels, 9) == pytest.approx(logme(spectrum, labels, 3), rel=1e-12)
    assert h_score(spectrum, labels, 9) == pytest.approx(h_score(spectrum, labels, 3), rel=1e-12)


def test_with_fewer_images_than_features_every_h_score_is_the_highest() -> None:
    features, labels = clouds(40, 100, 4, apart=0.0)  # pure noise
    assert h_score(decompose(features), labels, 4) == pytest.approx(3, abs=1e-9)


def test_both_rise_as_classes_part() -> None:
    for score in (logme, h_score):
        found = []
        for apart in (0.0, 1.0, 3.0, 10.0):
            features, labels = clouds(300, 16, 4, apart=apart)
            found.append(score(decompose(features), labels, 4))
        assert found == sorted(found)
        assert len(set(found)) == 4


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_equal_features_have_scores_all_the_same(value: float) -> None:
    labels = torch.arange(12) % 3
    spectrum = decompose(torch.full((12, 5), value))
    assert h_score(spectrum, labels, 3) == 0
    assert np.isfinite(logme(spectrum, labels, 3))
