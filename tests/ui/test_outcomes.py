"""What lies behind figures, how sure they are, and in what recipes differ: plain functions, no page."""

from pathlib import Path

import numpy as np
import pytest

from core.evaluation import scores
from core.recipe import Recipe
from core.workspace import Workspace
from ui import outcomes, services
from ui.outcomes import Prediction


def said(true: int, predicted: int, sure: float) -> Prediction:
    return Prediction("0" * 64, "x.png", true, predicted, sure, ((predicted, sure),))


FOUND = [said(0, 0, 0.9), said(0, 1, 0.6), said(0, 1, 0.8), said(1, 1, 0.7), said(1, 0, 0.99), said(0, 0, 0.5)]


def sures(cell: tuple[int, int | None] | None) -> list[float]:
    return [one.sure for one in outcomes.behind(FOUND, cell)]


def test_mistakes_come_most_sure_first_and_right_answers_least_sure_first() -> None:
    assert sures(None) == [0.99, 0.8, 0.6]
    assert sures((0, 1)) == [0.8, 0.6]
    assert sures((0, 0)) == [0.5, 0.9]
    assert sures((0, None)) == [0.8, 0.6]
    assert sures((1, 1)) == [0.7]


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_the_interval_is_wilsons(right: int, images: int, low: float, high: float) -> None:
    # 81 of 263 is the worked example of Newcombe 1998, table I
    assert outcomes.interval(right, images) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_the_majority_class_is_named_only_when_it_is_the_only_one_of_its_share() -> None:
    shares = np.eye(3)[[0, 0, 0, 1, 2]]
    assert outcomes.majority_class(scores(np.array([0, 0, 0, 1, 2]), shares, "abc", majority=0)) == "a"
    assert outcomes.majority_class(scores(np.array([0, 0, 1, 1, 2]), shares, "abc", majority=0)) == ""


def test_only_what_differs_is_told_and_the_name_never() -> None:
    one = Recipe(name="one")
    two = one.changed(name="two", lr=0.5, augment={"rotation": 5.0})
    assert outcomes.differences([one, two]) == {"augment.rotation": [0.0, 5.0], "lr": [0.001, 0.5]}
    assert outcomes.differences([one, one.changed(name="three")]) == {}
    assert outcomes.differences([]) == {}


@pytest.mark.parametrize("content", ["", "{", "{}", '{"items": 3}', '{"items": [{"sha256": "x"}]}', "[]"])
def test_a_damaged_file_of_predictions_is_as_good_as_none(house: Workspace, content: str) -> None:
    run = services.store().create(Recipe())
    (services.run_folder(run.id) / "test.json").write_text(content)
    assert outcomes.predictions(run.id) == ()


def test_predictions_written_anew_are_read_anew(house: Workspace) -> None:
    run = services.store().create(Recipe())
    file: Path = services.run_folder(run.id) / "test.json"
    top = '[{"class": 1, "probability": 0.5}]'
    row = f'{{"sha256": "x", "name": "n", "label": 0, "predicted": 1, "confidence": 0.5, "top": {top}}}'
    file.write_text(f'{{"items": [{row}]}}')
    assert outcomes.predictions(run.id) == (Prediction("x", "n", 0, 1, 0.5, ((1, 0.5),)),)
    file.write_text(f'{{"items": [{row}, {row}]}}')
    assert len(outcomes.predictions(run.id)) == 2


def test_the_same_question_is_asked_once_and_few_answers_are_kept(house: Workspace) -> None:
    run = services.store().create(Recipe())
    job = outcomes.predict(run.id, [("a.png", b"a")])
    job.wait(10)
    assert job.state == "failed"
    for number in range(outcomes.KEPT + 5):
        outcomes.predict(run.id, [("a.png", bytes([number]))]).wait(10)
    assert len(services.jobs()._jobs) <= outcomes.KEPT
