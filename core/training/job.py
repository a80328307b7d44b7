"""Job: one attempt at a run: its material, its learner and the place it has reached. Knows nothing of commands."""

import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import checkpoint
from core.augment import draws
from core.device import measuring_batch
from core.errors import TrainingError
from core.events import EpochDone, GroupInfo, Saved, Started, StepDone
from core.model import Model
from core.optim import lr_factor
from core.plan import Plan
from core.recipe import Recipe
from core.tasks import Task
from core.training.batches import batches, count
from core.training.learner import Learner
from core.training.material import Material, Part, resident
from core.training.place import Place

SAVE_SECONDS = 300.0
"""A checkpoint is at most this old: what a power cut can cost."""
READ_AFTER = 16
"""Steps whose figures stay on a GPU before they are read together: reading one waits for everything before it."""


@dataclass(frozen=True)
class _Unread:
    step: int
    epoch: int
    loss: Tensor
    correct: Tensor
    images: int
    lr: float


class Job:
    """One attempt. Its methods change it and give the events that say so."""

    def __init__(self, recipe: Recipe, folder: Path, material: Material, learner: Learner, task: Task, plan: Plan) -> None:
        self.recipe = recipe
        self.folder = folder
        self.material = material
        self.learner = learner
        self.plan = plan
        self.place = Place()
        self._task = task
        self._train = [resident(tensor, learner.device) for tensor in (material.train.pixels, material.train.labels)]
        self._drawn: tuple[int, Tensor] = (0, torch.empty(0))
        self._unread: list[_Unread] = []
        self._saved_step = 0
        self._saved_at = time.monotonic()
        self._kept: tuple[str, ...] = ()
        self._improved = False

    # where it is

    @cached_property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch."""
        return count(len(self.material.train), self.recipe.batch_size)

    @property
    def tired(self) -> bool:
        """The metric has not improved for as many epochs as the recipe waits."""
        return 0 < self.recipe.patience <= self.place.stale

    @property
    def over(self) -> bool:
        """Nothing is left to learn."""
        return self.place.epoch > self.recipe.epochs or self.tired

    @property
    def readable(self) -> bool:
        """Figures of steps should be read now: on a CPU at once, which costs nothing; else in groups and after an epoch."""
        return (
            self.learner.device.type == "cpu" or len(self._unread) >= READ_AFTER or self.place.offset >= self.steps_per_epoch
        )

    @property
    def unsaved(self) -> bool:
        """Steps were made since the last checkpoint."""
        return self.place.step != self._saved_step

    @property
    def save_due(self) -> bool:
        """The last checkpoint is old, and the end of the epoch will not bring the next one at once."""
        old = time.monotonic() - self._saved_at >= SAVE_SECONDS
        return old and self.unsaved and self.place.offset < self.steps_per_epoch

    def started(self) -> Started:
        """What is about to happen."""
        material, learner = self.material, self.learner
        return Started(
            device=str(learner.device),
            precision=learner.precision,
            threads=torch.get_num_threads(),
            versions=versions(),
            fingerprint=material.dataset.fingerprint,
            classes=material.dataset.classes,
            splits={"train": len(material.train), "val": len(material.val), "test": len(material.test)},
            parameters_total=self.plan.total,
            parameters_trainable=self.plan.trainable,
            groups=tuple(GroupInfo(name=g.name, lr_scale=g.lr_scale, parameters=g.count) for g in self.plan.groups),
            held=self.plan.held,
            steps_per_epoch=self.steps_per_epoch,
            epochs=self.recipe.epochs,
            step=self.place.step,
        )

    # learning

    def batches(self) -> list[NDArray[np.int64]]:
        """Places in the training split of the images of each batch that is left of this epoch."""
        recipe, place = self.recipe, self.place
        return batches(recipe.seed, place.epoch, len(self.material.train), recipe.batch_size)[place.offset :]

    def rate(self) -> float:
        """Base learning rate of the next step."""
        recipe = self.recipe
        return recipe.lr * lr_factor(
            self.place.step,
            steps_per_epoch=self.steps_per_epoch,
            epochs=recipe.epochs,
            schedule=recipe.schedule,
            warmup_epochs=recipe.warmup_epochs,
            step_epochs=recipe.step_epochs,
            step_factor=recipe.step_factor,
        )

    def step(self, rows: NDArray[np.int64]) -> None:
        """Learn from the training images at `rows`. Its figures wait to be read."""
        place, lr = self.place, self.rate()
        pixels, labels = self._train
        chosen = torch.from_numpy(rows)
        loss, correct = self.learner.step(
            _rows(pixels, chosen, self.learner.device),
            _rows(labels, chosen, self.learner.device),
            _rows(self._draws(), chosen, self.learner.device),
            step=place.step,
            lr=lr,
        )
        place.step += 1
        place.offset += 1
        self._unread.append(_Unread(place.step, place.epoch, loss, correct, len(rows), lr))

    def read(self) -> Iterator[StepDone]:
        """The steps not read so far. Raises TrainingError (`training.not_finite`) after one whose loss is no number."""
        unread, self._unread = self._unread, []
        losses = torch.stack([one.loss for one in unread]).tolist()
        corrects = torch.stack([one.correct for one in unread]).tolist()
        for one, loss, correct in zip(unread, losses, corrects, strict=True):
            good = isfinite(loss)
            yield StepDone(
                step=one.step,
                epoch=one.epoch,
                loss=loss if good else None,
                correct=correct,
                images=one.images,
                lr=one.lr,
            )
            if not good:
                raise TrainingError("training.not_finite", step=one.step, lr=one.lr)
            self.place.loss += loss * one.images
            self.place.correct += correct
            self.place.images += one.images

    def _draws(self) -> Tensor:
        if self._drawn[0] != self.place.epoch:
            table = draws(self.recipe.seed, self.place.epoch, len(self.material.train))
            self._drawn = (self.place.epoch, table.to(self.learner.device))
        return self._drawn[1]

    # measuring

    def outputs(self, part: Part) -> Iterator[Tensor]:
        """What the network says about `part`, a batch at a time, still on the device."""
        for pixels in torch.split(part.pixels, measuring_batch(self.learner.device)) if len(part) else ():
            yield self.learner.outputs(pixels.to(self.learner.device))

    def close_epoch(self, outputs: list[Tensor]) -> EpochDone:
        """Judge the epoch by the outputs for the validation split (none: every epoch is the best) and go on to the next.

        An epoch that was stopped half way is judged as it is, and stays where it is. Raises TrainingError
        (`training.not_finite`) if the validation loss is no number.
        """
        place, recipe = self.place, self.recipe
        figures = None
        if outputs:
            logits = torch.cat(outputs).cpu().numpy()
            if not np.isfinite(logits).all():
                raise TrainingError("training.not_finite", step=place.step, lr=recipe.lr)
            figures = self._task.figures(logits, self.material.val.labels.numpy())
        if figures is None:  # nothing to judge by: what has learned longer counts as better
            value, loss = float(place.step), 0.0
        else:
            value, loss = getattr(figures, recipe.metric), figures.loss
        self._improved = place.judge(-value if recipe.metric == "loss" and figures else value, loss)
        done = EpochDone(
            epoch=place.epoch,
            step=place.step,
            train_loss=place.loss / place.images,
            train_accuracy=place.correct / place.images,
            val_loss=figures.loss if figures else None,
            val_accuracy=figures.accuracy if figures else None,
            val_macro_f1=figures.macro_f1 if figures else None,
            best=self._improved,
        )
        if place.offset >= self.steps_per_epoch:
            place.epoch, place.offset, place.loss, place.correct, place.images = place.epoch + 1, 0, 0.0, 0, 0
        return done

    # keeping

    def save(self, clock: float) -> Saved:
        """A checkpoint of now. Raises CheckpointError; TrainingError (`training.not_finite`) if a weight is no number."""
        place, best = self.place, self._improved
        if not self.learner.finite():
            raise TrainingError("training.not_finite", step=place.step, lr=self.rate())
        name = checkpoint.free_name(self.folder, place.step)
        if best:
            place.best_file = name
        written = checkpoint.save(self.folder / name, self.state(), {"step": place.step, "clock": clock})
        self._kept = (*self._kept[-1:], name)
        self._saved_step, self._saved_at, self._improved = place.step, time.monotonic(), False
        return Saved(
            step=place.step,
            epoch=place.reached,
            file=name,
            sha256=written.sha256,
            size_bytes=written.size_bytes,
            best=best,
        )

    def go_on(self, state: dict[str, Any], name: str) -> None:
        """Stand where the checkpoint `name` with `state` was written. Raises RuntimeError if it is another network's."""
        self.learner.load(state)
        self.place = Place(**state["place"])
        self._saved_step, self._kept = self.place.step, (name,)

    def prune(self) -> None:
        """Delete every checkpoint but the newest two and the best. To be called once the newest is on record."""
        checkpoint.prune(self.folder, {*self._kept, self.place.best_file})

    def state(self) -> dict[str, Any]:
        """Everything a continuation needs, and what it compares itself with."""
        material, learner = self.material, self.learner
        return {
            "recipe": self.recipe.to_json(),
            "place": asdict(self.place),
            "classes": list(material.dataset.classes),
            "fingerprint": material.dataset.fingerprint,
            "versions": versions(),
            "threads": torch.get_num_threads(),
            "device": str(learner.device),
            "precision": learner.precision,
            **learner.state(),
        }

    def best_model(self) -> Model:
        """The network with the weights of the best epoch. Raises CheckpointError if they were damaged on the disk."""
        self.learner.load_weights(checkpoint.load(self.folder / self.place.best_file))
        return Model(self.learner.network, self.recipe, self.material.dataset.classes)


def versions() -> dict[str, str]:
    """Of what computes: results may differ between versions."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("thaw", "torch", "torchvision", "numpy", "pillow")
    }


def _rows(source: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """`source[rows]` on `device`, gathered where `source` lies."""
    if source.device.type == "cpu" and device.type == "cuda":
        return source[rows].pin_memory().to(device, non_blocking=True)
    return source[rows.to(source.device)].to(device)
