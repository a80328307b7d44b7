"""What lies behind figures, how sure they are, and in what recipes differ: plain functions, no page."""

import os
from pathlib import Path

import numpy as np
import pytest

from core.evaluation import scores
from core.events import Ended, EpochDone, StepDone
from core.recipe import Recipe
from core.run import State
from core.workspace import Workspace
from ui import outcomes, services
from ui.outcomes import Prediction
from ui.outcomes import answers as answering
from ui.parts import run_rows


def said(true: int, predicted: int, sure: float) -> Prediction:
    return Prediction("0" * 64, "x.png", true, predicted, sure, ((predicted, sure),))


def unjudged(epoch: int) -> EpochDone:
    """An epoch of a run without validation images."""
    none: dict[str, None] = dict.fromkeys(("val_loss", "val_accuracy", "val_macro_f1"))
    return EpochDone(epoch=epoch, step=2 * epoch, train_loss=1.0, train_accuracy=0.5, best=True, **none)


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


def test_a_model_that_was_made_anew_is_asked_anew(house: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = services.store().create(Recipe())
    file: Path = services.run_folder(run.id) / "model.safetensors"
    monkeypatch.setattr(answering, "_model", lambda file, changed: file.read_text())
    monkeypatch.setattr(answering, "_guess", lambda model, name, data: model)
    answers = []
    for made, model in enumerate(("old", "old", "new")):
        file.write_text(model)
        os.utime(file, ns=(0, 10**9 * (1 + (made == 2))))
        job = outcomes.predict(run.id, [("a.png", b"a")])
        job.wait(10)
        answers.append((job, job.result))
    assert answers[0] == answers[1]
    assert [result for _, result in answers] == [["old"], ["old"], ["new"]]


def test_who_has_no_model_is_not_offered_as_one(house: Workspace) -> None:
    store = services.store()
    runs = {}
    for state, best in (("finished", None), ("stopped", 1), ("stopped", None)):
        run = store.create(Recipe())
        store.transition(run.id, "running")
        if best:
            store.append(run.id, [unjudged(best)])
        store.append(run.id, [Ended(outcome=state, best_epoch=best)])
        runs[state, best] = run.id
    assert {run.id for run in outcomes.with_model()} == {runs["finished", None], runs["stopped", 1]}
    assert runs["stopped", None] not in {run.id for run in outcomes.with_model(runs["stopped", None])}


@pytest.mark.parametrize(
    ("state", "step", "goes_on"),
    [("paused", 0, True), ("interrupted", 0, True), ("failed", 0, False), ("failed", 3, True), ("stopped", 3, False)],
)
def test_what_did_not_end_by_itself_can_go_on_even_before_its_first_step(
    house: Workspace, state: State, step: int, goes_on: bool
) -> None:
    store = services.store()
    run = store.create(Recipe())
    store.transition(run.id, "running")
    if step:
        store.append(run.id, [StepDone(step=step, epoch=1, loss=1.0, correct=1, images=2, lr=0.1, clock=1.0)])
    store.append(run.id, [Ended(outcome=state, step=step)])
    assert outcomes.can_resume(store.run(run.id)) == goes_on
    assert {"resume", "open"} <= set(run_rows.possible(store.run(run.id))) or not goes_on
