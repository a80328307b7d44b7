"""Every figure agrees with scikit-learn and torchmetrics, the odd cases are as written."""

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
import torchmetrics.functional.classification as tm
from pydantic import ValidationError

from core.evaluation import confused, cross_entropy, scores, softmax
from core.events import Scores

CLASSES = tuple("abcde")


def answers(seed: int, images: int = 300, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, images, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    logits = generator.normal(size=(images, classes)).astype(np.float32)
    logits[np.arange(images), labels] += 1
    return labels, logits


@pytest.mark.parametrize("seed", range(3))
def test_figures_agree_with_scikit_learn_and_torchmetrics(seed: int) -> None:
    labels, logits = answers(seed)
    probabilities = softmax(logits)
    got = scores(labels, probabilities, CLASSES, majority=4)
    predicted = probabilities.argmax(1)
    precision, recall, f1, support = sk.precision_recall_fscore_support(labels, predicted)
    assert got.images == 300
    assert got.accuracy == pytest.approx(sk.accuracy_score(labels, predicted))
    assert got.loss == pytest.approx(sk.log_loss(labels, probabilities))
    assert got.macro_f1 == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    assert matrix(got) == sk.confusion_matrix(labels, predicted).tolist()
    assert [c.precision for c in got.per_class] == pytest.approx(precision)
    assert [c.recall for c in got.per_class] == pytest.approx(recall)
    assert [c.f1 for c in got.per_class] == pytest.approx(f1)
    assert [c.support for c in got.per_class] == support.tolist()
    assert [c.name for c in got.per_class] == list(CLASSES)
    assert got.majority_accuracy == pytest.approx((labels == 4).mean())
    tensors = torch.from_numpy(predicted), torch.from_numpy(labels)
    assert got.macro_f1 == pytest.approx(float(tm.multiclass_f1_score(*tensors, 5, average="macro")), abs=1e-6)
    assert got.accuracy == pytest.approx(float(tm.multiclass_accuracy(*tensors, 5, average="micro")), abs=1e-6)


def test_softmax_and_loss_agree_with_torch() -> None:
    labels, logits = answers(7)
    assert softmax(logits) == pytest.approx(torch.softmax(torch.from_numpy(logits).double(), 1).numpy())
    theirs = torch.nn.functional.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels))
    assert cross_entropy(labels, softmax(logits)) == pytest.approx(float(theirs))


def test_softmax_survives_scores_of_any_size() -> None:
    sure = softmax(np.array([[5e4, -5e4], [0, 0]], np.float32))
    assert sure.tolist() == [[1, 0], [0.5, 0.5]]
    assert np.isfinite(cross_entropy(np.array([1, 0]), sure))


def test_what_is_not_defined_is_none_and_classes_without_images_do_not_count() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.eye(4)[[0, 2, 0, 0]]
    got = scores(labels, probabilities, ("cat", "dog", "owl", "fox"), majority=0)
    cat, dog, owl, fox = got.per_class
    assert (cat.precision, cat.recall, cat.f1, cat.found, cat.predicted) == (1 / 3, 0.5, 0.4, 1, 3)
    assert (dog.precision, dog.recall, dog.f1, dog.support) == (None, 0.0, 0.0, 2)
    assert (owl.precision, owl.recall, owl.f1, owl.predicted) == (0.0, None, None, 1)
    assert (fox.precision, fox.recall, fox.f1) == (None, None, None)
    assert got.macro_f1 == pytest.approx(0.2)
    assert got.macro_f1 == pytest.approx(
        sk.f1_score(labels, probabilities.argmax(1), labels=[0, 1], average="macro", zero_division=0)
    )
    assert got.majority_accuracy == 0.5


def test_of_equal_probabilities_the_first_class_is_the_answer() -> None:
    assert scores(np.array([0, 1]), np.full((2, 2), 0.5), ("a", "b"), majority=0).confused == ((0, 0, 1), (1, 0, 1))


def test_confused_counts_pairs_that_were_met_truth_first() -> None:
    assert confused(np.array([0, 0, 2]), np.array([1, 1, 2]), 3) == [(0, 1, 2), (2, 2, 1)]


def test_figures_of_ten_thousand_classes_take_no_matrix() -> None:
    """The matrix alone would be 200 MB of text and 800 MB in memory."""
    labels = np.repeat(np.arange(10_000), 2)
    named = np.random.default_rng(0).permutation(labels)
    pairs = confused(labels, named, 10_000)
    assert sum(n for *_, n in pairs) == 20_000
    assert len(pairs) <= 20_000
    few = scores(np.array([0]), np.array([[1.0]]), ("only",), majority=0)
    assert len(few.model_copy(update={"confused": tuple(pairs)}).model_dump_json()) < 400_000


def test_figures_written_with_a_whole_matrix_can_still_be_read() -> None:
    labels, logits = answers(3)
    now = scores(labels, softmax(logits), CLASSES, majority=0)
    then = {**now.model_dump(mode="json"), "confusion": matrix(now)}
    del then["confused"]
    assert Scores.model_validate(then) == now
    for wrong in (7, [1, 2], None):
        with pytest.raises(ValidationError):
            Scores.model_validate({**then, "confusion": wrong})


def matrix(got: Scores) -> list[list[int]]:
    table = np.zeros((len(got.per_class),) * 2, int)
    for i, j, n in got.confused:
        table[i, j] = n
    return table.tolist()
