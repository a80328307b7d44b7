"""Classification's figures are cross-entropy, accuracy and macro-F1 of its logits."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from core.tasks import TASKS
from core.tasks.classification import Classification

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.5], [0.2, 0.1, 0.0]])
LABELS = torch.tensor([0, 1, 2, 1])


def test_the_loss_is_cross_entropy_and_smoothing_spreads_the_target() -> None:
    log = torch.log_softmax(LOGITS, 1)
    true = -log[range(4), LABELS]
    assert Classification().loss(LOGITS, LABELS) == pytest.approx(float(true.mean()))
    smooth = (0.9 * true - 0.1 * log.mean(1)).mean()
    assert Classification(label_smoothing=0.1).loss(LOGITS, LABELS) == pytest.approx(float(smooth))


def test_the_loss_of_half_precision_outputs_is_single() -> None:
    assert Classification().loss(LOGITS.bfloat16(), LABELS).dtype == torch.float32


def test_right_answers_are_counted() -> None:
    assert Classification().correct(LOGITS, LABELS).item() == 2


def test_figures_leave_smoothing_out() -> None:
    got = TASKS["classification"](label_smoothing=0.5).figures(LOGITS.numpy(), LABELS.numpy())
    assert got.loss == pytest.approx(float(torch.nn.functional.cross_entropy(LOGITS, LABELS)))
    assert got.accuracy == 0.5
    expected = f1_score(LABELS, np.argmax(LOGITS.numpy(), 1), average="macro", zero_division=0)
    assert got.macro_f1 == pytest.approx(expected)
