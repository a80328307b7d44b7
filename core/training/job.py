"""Job: one attempt at a run: its material, its learner and the place it has reached. Knows nothing of commands."""

import math
import platform
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import checkpoint
from core.augment import draws
from core.device import forget_peak, free_cached, measuring_batch, out_of_memory, peak_memory
from core.errors import CheckpointError, TrainingError
from core.events import (
    Amend,
    EpochDone,
    Film,
    FirstSteps,
    Glance,
    GroupInfo,
    Kept,
    Memory,
    Notice,
    Preparing,
    Readings,
    Replanned,
    Saved,
    Started,
    StepDone,
)
from core.layers import LayerTree
from core.model import Model
from core.plan import Plan, plan
from core.recipe import Recipe, parse
from core.schedule import lr_factor
from core.tasks import Task
from core.training.batches import batches, count, even_order, shuffled
from core.training.features import ANSWERS_BYTES, answers, view
from core.training.film import chosen, pictured
from core.training.frozen import Frozen
from core.training.learner import Learner, Stepped
from core.training.material import Material, Part, resident
from core.training.pending import Pending
from core.training.place import Place
from core.training.shelf import Shelf
from core.words import Value
from core.workspace import Workspace

READ_AFTER = 16
"""Steps whose figures stay on a GPU before they are read together: reading one waits for everything before it."""
MEASURED_A_EPOCH = 4
LEAST_STRIDE = 30
"""The instruments are read so often an epoch, but not more often than once in so many steps: they cost about a third of a
step."""
TIMED_STEP = 2
"""The first step of a run has more to set up than to do."""


class Job:
    """One attempt. Its methods change it and give the events that say so."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        material: Material,
        learner: Learner,
        task: Task,
        tree: LayerTree,
        plan: Plan,
        workspace: Workspace,
    ) -> None:
        self.recipe = recipe
        """As it holds now: amendments change its rules and its rate."""
        self.folder = folder
        self.material = material
        self.learner = learner
        self.plan = plan
        self.place = Place()
        self._task = task
        self._tree = tree
        self._workspace = workspace
        self._film = chosen(material, recipe.film)
        self._planned_epoch = 1
        """The epoch whose plan is carried out."""
        self._train = [resident(tensor, learner.device) for tensor in (material.train.pixels, material.train.labels)]
        self._frozen = Frozen(learner, material, workspace)
        self._drawn: tuple[int, Tensor] = (0, torch.empty(0))
        self._pending = Pending()
        self.shelf = Shelf(folder)
        self._improved = False

    # where it is

    @cached_property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch."""
        return count(len(self.material.train), self.recipe.batch_size * self.recipe.accumulate)

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
            self.learner.device.type == "cpu"
            or len(self._pending) >= READ_AFTER
            or self.place.offset >= self.steps_per_epoch
        )

    @property
    def unsaved(self) -> bool:
        """Steps were made since the last checkpoint."""
        return self.place.step != self.shelf.saved_step

    @property
    def save_due(self) -> bool:
        """The last checkpoint is old, and the end of the epoch will not bring the next one at once."""
        return self.shelf.old and self.unsaved and self.place.offset < self.steps_per_epoch

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
            groups=_groups(self.plan),
            held=self.plan.held,
            steps_per_epoch=self.steps_per_epoch,
            epochs=self.recipe.epochs,
            step=self.place.step,
        )

    # learning

    def batches(self) -> list[NDArray[np.int64]]:
        """Places in the training split of the images of each batch that is left of this epoch."""
        recipe, place = self.recipe, self.place
        if recipe.balanced:
            order = even_order(recipe.seed, place.epoch, self.material.train.labels.numpy())
        else:
            order = shuffled(recipe.seed, place.epoch, len(self.material.train))
        return batches(order, recipe.batch_size * recipe.accumulate)[place.offset :]

    def due(self) -> Iterator[Replanned]:
        """What the timeline says about the epoch at work, if that changes anything."""
        now = plan(self._tree, self.recipe.rules, self.place.epoch)
        self._planned_epoch = self.place.epoch
        if now != self.plan:
            yield self._replan(now, "timeline")

    def prepare(self, told: Callable[[], bool]) -> Iterator[Preparing | Kept | Glance | Notice]:
        """Have at hand what frozen blocks say about the images of this epoch, where that is kept. Gives up when `told`."""
        return self._frozen.prepare(self.recipe, self.place, told)

    def amend(self, wish: Amend) -> Replanned:
        """Carry out what a person wants changed. Raises RecipeError, and TrainingError if nothing would learn."""
        changes: dict[str, Any] = {} if wish.lr is None else {"lr": wish.lr}
        if wish.rules is not None and wish.rules != self.recipe.rules:
            changes |= {"rules": wish.rules, "strategy": "custom"}
        recipe = self.recipe.changed(**changes)
        now = plan(self._tree, recipe.rules, self._planned_epoch)
        if not now.groups:
            raise TrainingError("training.nothing_learns", backbone=recipe.backbone)
        self.recipe = recipe
        return self._replan(now, "person")

    def _replan(self, now: Plan, cause: Literal["person", "timeline"]) -> Replanned:
        if now != self.plan:
            self.learner.replan(now)
            self.plan = now
        self._frozen.replanned()
        recipe, place = self.recipe, self.place
        return Replanned(
            cause=cause, step=place.step, epoch=place.epoch, rules=recipe.rules, lr=recipe.lr,
            parameters_trainable=now.trainable, groups=_groups(now), held=now.held,
        )  # fmt: skip

    def _try(self, rows: NDArray[np.int64]) -> Iterator[Memory]:
        """Learn from `rows`, in ever smaller parts while memory does not suffice. Its figures wait to be read."""
        place = self.place
        while True:
            try:
                self._tried = self._learn(rows)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.learner.micro <= 1 or min(len(rows), self.learner.micro) <= 2:
                    raise
            else:
                return
            self.learner.micro = -(-min(len(rows), self.learner.micro) // 2)
            free_cached()
            yield Memory(step=place.step, images_at_once=self.learner.micro)

    def rate(self) -> float:
        """Base learning rate of the next step."""
        recipe = self.recipe
        return (
            recipe.lr
            * self.place.lowered
            * lr_factor(
                self.place.step,
                steps_per_epoch=self.steps_per_epoch,
                epochs=recipe.epochs,
                schedule=recipe.schedule,
                warmup_epochs=recipe.warmup_epochs,
                step_epochs=recipe.step_epochs,
                step_factor=recipe.step_factor,
            )
        )

    def step(self, rows: NDArray[np.int64]) -> Iterator[Memory]:
        """Learn from the training images at `rows`. Its figures wait to be read."""
        place, lr, begin = self.place, self.rate(), time.perf_counter()
        if not place.step:
            forget_peak(self.learner.device)
        yield from self._try(rows)
        place.step += 1
        place.offset += 1
        cost = None
        if place.step == min(TIMED_STEP, self.recipe.epochs * self.steps_per_epoch):
            self._tried.loss.item()  # waits for the device
            seconds = time.perf_counter() - begin
            cost = FirstSteps(seconds_per_step=seconds, memory_bytes=peak_memory(self.learner.device))
        self._pending.add(place, self._tried, images=len(rows), lr=lr, cost=cost)

    def _learn(self, rows: NDArray[np.int64]) -> Stepped:
        pixels, labels = self._train
        learner, place = self.learner, self.place
        chosen = torch.from_numpy(rows)
        features = self._frozen.current()
        kept = None if features is None else features.train(place.epoch, chosen)
        # a balanced epoch meets an image several times, each time with draws of its own, unless they are to come again
        start = place.offset * self.recipe.batch_size * self.recipe.accumulate
        own = self.recipe.balanced and not learner.outlook.kept
        drawn = torch.arange(start, start + len(rows)) if own else chosen
        return learner.step(
            _rows(pixels, chosen, learner.device) if kept is None else kept.to(learner.device),
            _rows(labels, chosen, learner.device),
            _rows(self._draws(), drawn, learner.device) if kept is None else None,
            step=place.step,
            lr=self.rate(),
            measured=self._measured(),
        )

    def _measured(self) -> bool:
        """The instruments are read at this step: the first one, so that there is something to see, and then now and then."""
        if not self.recipe.instruments:
            return False
        stride = max(LEAST_STRIDE, self.steps_per_epoch // MEASURED_A_EPOCH)
        return (
            self.place.step == 0
            or (self.place.offset + 1) % stride == 0
            or (self.steps_per_epoch < stride and (self.place.step + 1) % LEAST_STRIDE == 0)
        )

    def read(self) -> Iterator[StepDone | Readings | FirstSteps | Notice]:
        """The figures of the steps not read so far. Raises TrainingError as `Pending.read`."""
        yield from self._pending.read(self.place, over=self.place.offset >= self.steps_per_epoch)

    def _draws(self) -> Tensor:
        """Of this epoch, or of the view whose turn it is."""
        outlook, epoch = self.learner.outlook, self.place.epoch
        number = view(epoch, outlook.views) if outlook.kept else epoch
        if self._drawn[0] != number:
            table = draws(self.recipe.seed, number, len(self.material.train))
            self._drawn = (number, table.to(self.learner.device))
        return self._drawn[1]

    # measuring

    def outputs(self, part: Part) -> Iterator[Tensor]:
        """What the network says about `part`, a batch at a time, still on the device."""
        if not len(part):
            return
        features = self._frozen.current()
        kept = features.val() if features is not None and part is self.material.val else None
        for some in torch.split(part.pixels if kept is None else kept, measuring_batch(self.learner.device)):
            yield self.learner.outputs(some.to(self.learner.device), activations=kept is not None)

    def close_epoch(self, outputs: list[Tensor]) -> Iterator[EpochDone | Film]:
        """Judge the epoch by the outputs for the validation split (none: every epoch is the best) and go on to the next.

        An epoch that was stopped half way is judged as it is, and stays where it is. Raises TrainingError
        (`training.not_finite`) if the validation loss is no number.
        """
        place, recipe = self.place, self.recipe
        figures, film = None, None
        if outputs:
            logits = torch.cat(outputs).cpu().numpy()
            if not np.isfinite(logits).all():
                raise TrainingError("training.not_finite", step=place.step, lr=recipe.lr)
            figures = self._task.figures(logits, self.material.val.labels.numpy())
            film = pictured(logits, self._film, self.material, epoch=place.epoch, step=place.step)
        if figures is None:  # nothing to judge by: what has learned longer counts as better
            self._improved = place.judge(float(place.step), 0.0)
        elif recipe.metric == "loss":
            self._improved = place.judge(-figures.loss, figures.loss)
        else:
            self._improved = place.judge(getattr(figures, recipe.metric), figures.loss, len(self.material.val))
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
            if recipe.schedule == "plateau":
                loss = figures.loss if figures else done.train_loss
                place.watch_plateau(loss, patience=recipe.plateau_epochs, factor=recipe.step_factor)
            place.epoch, place.offset, place.loss, place.correct, place.images = place.epoch + 1, 0, 0.0, 0, 0
        yield done
        if film is not None:
            yield film

    # keeping

    def save(self, clock: float) -> Saved:
        """A checkpoint of now. Raises CheckpointError; TrainingError (`training.not_finite`) if a weight is no number."""
        place, best = self.place, self._improved
        if not self.learner.finite():
            raise TrainingError("training.not_finite", step=place.step, lr=self.rate())
        name = self.shelf.free_name(place.step)
        if best:
            place.best_file = name
        if self.recipe.weights not in ("bundled", "pretrained"):
            self.shelf.keep_start(self.learner)
        saved = self.shelf.put(
            name, self.state(), step=place.step, epoch=place.reached, clock=clock, best=best, best_file=place.best_file
        )
        self._improved = False
        return saved

    def go_on(self, state: dict[str, Any], name: str) -> None:
        """Stand where the checkpoint `name` with `state` was written, its amendments included.

        Raises RuntimeError or KeyError if it is another network's.
        """
        before = parse(state["recipe"])
        self.place = Place(**state["place"])
        self.recipe = self.recipe.changed(rules=before.rules, strategy=before.strategy, lr=before.lr)
        self.plan = plan(self._tree, self.recipe.rules, state["planned_epoch"])
        self.learner.replan(self.plan)
        self._planned_epoch = state["planned_epoch"]
        self.shelf.find_start(state, name, self.learner, self.recipe.backbone)
        self.learner.load(state)
        self.shelf.go_on(name, self.place.step, self.place.best_file)

    def state(self) -> dict[str, Any]:
        """Everything a continuation needs, and what it compares itself with."""
        material, learner = self.material, self.learner
        return {
            "recipe": self.recipe.to_json(),
            "place": asdict(self.place),
            "planned_epoch": self._planned_epoch,
            "classes": list(material.dataset.classes),
            "fingerprint": material.dataset.fingerprint,
            "versions": versions(),
            "threads": torch.get_num_threads(),
            "device": str(learner.device),
            "precision": learner.precision,
            **learner.state(),
        }

    def answers(self, model: Model, part: Part) -> Iterator[NDArray[np.float32]]:
        """What `model`, the network of this job, says about `part`, in single precision, a batch at a time."""
        outlook = self.learner.outlook
        place = outlook.trunk.place if outlook.kept and outlook.trunk else None
        if place is None or 4 * math.prod(place.shape) * len(part) > ANSWERS_BYTES:
            return model.parts(part.pixels)
        return answers(model, part, place, self._tree, self.material.dataset, self._workspace)

    def best_model(self) -> Generator[Notice, None, Model]:
        """The network with the weights of the best epoch; of the last one if those were damaged on the disk."""
        place = self.place
        try:
            state = checkpoint.load(self.folder / place.best_file)
        except CheckpointError as error:
            if error.code == "checkpoint.unreadable":
                raise
            values: dict[str, Value] = {"best": place.best_epoch or 0, "epoch": place.reached, "name": place.best_file}
            yield Notice(code="training.best_lost", values={**values, "cause": error.code})
            state, place.best_epoch = self.learner.state(), place.reached
        self.learner.load_final(state)
        return Model(self.learner.network, self.recipe, self.material.dataset.classes)


@cache
def versions() -> dict[str, str]:
    """Of what computes: results may differ between versions."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("thaw", "torch", "torchvision", "numpy", "pillow")
    }


def _groups(made: Plan) -> tuple[GroupInfo, ...]:
    return tuple(GroupInfo(name=g.name, lr_scale=g.lr_scale, parameters=g.count) for g in made.groups)


def _rows(source: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """`source[rows]` on `device`, gathered where `source` lies."""
    if device.type == "cuda" and rows.device.type == "cpu":  # a copy from pinned memory does not wait for the device
        if source.device.type == "cpu":
            return source[rows].pin_memory().to(device, non_blocking=True)
        rows = rows.pin_memory().to(device, non_blocking=True)
    return source[rows.to(source.device)].to(device)
