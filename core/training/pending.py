"""Pending: steps that were made and whose figures still lie on the device, because reading one waits for all before it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from core.errors import TrainingError
from core.events import FirstSteps, Notice, Readings, StepDone
from core.training.learner import Stepped
from core.training.place import Place

PASSED_OVER = 3
"""Steps in a row that may be passed over because loss or gradients were no numbers: one more ends the run."""


@dataclass(frozen=True)
class _Made:
    step: int
    epoch: int
    images: int
    lr: float
    stepped: Stepped
    cost: FirstSteps | None


class Pending:
    """Oldest first."""

    def __init__(self) -> None:
        self._made: list[_Made] = []

    def __len__(self) -> int:
        return len(self._made)

    def add(self, place: Place, stepped: Stepped, *, images: int, lr: float, cost: FirstSteps | None = None) -> None:
        """The step that brought a run to `place`, at the base rate `lr`, and what it cost if that is to be told."""
        self._made.append(_Made(place.step, place.epoch, images, lr, stepped, cost))

    def read(self, place: Place, *, over: bool) -> Iterator[StepDone | Readings | FirstSteps | Notice]:
        """What every step says, added up in `place`; those from which nothing could be learned are no part of the sums.

        Raises TrainingError (`training.not_finite`) after more than PASSED_OVER of these in a row, and, if the epoch is
        `over`, after one that has no others.
        """
        made, self._made = self._made, []
        losses = torch.stack([*(one.stepped.loss for one in made), *(one.stepped.broken for one in made)]).tolist()
        corrects = torch.stack([one.stepped.correct for one in made]).tolist()
        for one, loss, broken, correct in zip(made, losses, losses[len(made) :], corrects, strict=False):
            yield StepDone(
                step=one.step,
                epoch=one.epoch,
                loss=loss if math.isfinite(loss) else None,
                correct=correct,
                images=one.images,
                lr=one.lr,
            )
            if one.stepped.readings:
                yield Readings(step=one.step, epoch=one.epoch, blocks=one.stepped.readings)
            if one.cost:
                yield one.cost
            if broken:
                yield _pass_over(one, place)
            else:
                place.broken = 0
                place.loss += loss * one.images
                place.correct += correct
                place.images += one.images
        if over and not place.images:
            raise TrainingError("training.not_finite", step=made[-1].step, lr=made[-1].lr)


def _pass_over(one: _Made, place: Place) -> Notice:
    if place.broken >= PASSED_OVER:
        raise TrainingError("training.not_finite", step=one.step, lr=one.lr)
    place.broken, place.passed_over = place.broken + 1, place.passed_over + 1
    return Notice(code="training.passed_over", values={"n": place.passed_over, "step": one.step, "most": PASSED_OVER})
