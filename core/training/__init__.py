"""The training loop: a generator of events that receives commands. It knows no page, no store and no thread.

Epochs, batches, steps stand in `_learn`; what one of them does, in `Job` and `Learner`.
"""

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from core import checkpoint, log, slot
from core.device import free_cached, is_fault, out_of_memory
from core.errors import ThawError, TrainingError
from core.evaluation import scores, softmax
from core.events import (
    Amend,
    Command,
    Discard,
    Ended,
    Event,
    Interrupt,
    Measuring,
    Notice,
    Outcome,
    Pin,
    Replanned,
    Stop,
    Tested,
)
from core.model import save_model
from core.recipe import Recipe
from core.training.answers import write_answers
from core.training.job import Job
from core.training.moment import keep
from core.training.opening import opened
from core.training.place import Place
from core.training.shelf import START_FILE
from core.workspace import Workspace

MODEL_FILE = "model.safetensors"
TEST_FILE = "test.json"
OUTCOMES: dict[str, Outcome] = {"stop": "stopped", "pause": "paused", "interrupt": "interrupted", "discard": "discarded"}


def train(
    recipe: Recipe,
    *,
    workspace: Workspace,
    folder: Path,
    resume: Path | None = None,
    edits: Sequence[Replanned] = (),
) -> Generator[Event, Command | None, None]:
    """Carry out `recipe`: events out, commands in (`command = events.send(...)`), and `Ended` last, whatever happens.

    Checkpoints, the best model and the test's answers are written to `folder`. `resume` is a checkpoint there: the
    continuation repeats to the bit what an unbroken run would have done, on a CPU with the same threads and versions.
    `edits` are amendments of an earlier telling: each is made again at its step, so that recipe and edits replay a run.
    A ThawError becomes `Ended(outcome="failed")`; anything else is a defect and is raised.
    """
    desk = Desk(edits)
    folder.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    try:
        for event in _attempt(recipe, workspace, folder, resume, desk):
            desk.hear((yield event.model_copy(update={"clock": desk.clock()})))
    finally:
        torch.set_num_threads(threads)
        free_cached()


class Desk:
    """Where commands arrive, and the clock."""

    def __init__(self, edits: Sequence[Replanned] = ()) -> None:
        self.command: Command | None = None
        """The last one but for amendments; nothing follows a Discard."""
        self._amendments: deque[Amend] = deque()
        self._pins: deque[Pin] = deque()
        self._edits = deque(edit for edit in edits if edit.cause == "person")
        self._begin = time.monotonic()

    def amendments(self, step: int) -> Iterator[Amend]:
        """What is to be changed before the next step, `step` being done: from an earlier telling, then from now."""
        while self._edits and self._edits[0].step <= step:
            edit = self._edits.popleft()
            if edit.step == step:  # what is older is part of the checkpoint
                yield Amend(rules=edit.rules, lr=edit.lr)
        while self._amendments:
            yield self._amendments.popleft()

    def pins(self) -> Iterator[Pin]:
        """Moments to be kept now."""
        while self._pins:
            yield self._pins.popleft()

    def hear(self, command: Command | None) -> None:
        """Take in a command."""
        if isinstance(command, Amend):
            self._edits.clear()  # whoever changes something now has the last word
            self._amendments.append(command)
        elif isinstance(command, Pin):
            self._pins.append(command)
        elif command is not None and not isinstance(self.command, Discard):
            self.command = command

    @property
    def leaving(self) -> bool:
        """Told to end without finishing anything."""
        return self.command is not None and not isinstance(self.command, Stop)

    def go_on(self, seconds: float) -> None:
        """This run had worked for so long before this attempt."""
        self._begin -= seconds

    def clock(self) -> float:
        """Seconds of work on this run."""
        return time.monotonic() - self._begin


def _attempt(recipe: Recipe, workspace: Workspace, folder: Path, resume: Path | None, desk: Desk) -> Iterator[Event]:
    job: Job | None = None
    try:
        if resume:
            desk.go_on(float(checkpoint.read_manifest(resume).get("clock", 0.0)))
        job = yield from opened(
            recipe,
            workspace=workspace,
            folder=folder,
            resume=resume,
            told=lambda: desk.leaving or (desk.command is not None and resume is None),
        )
        yield from _learn(job, desk)
        if not isinstance(desk.command, Discard):
            yield from _pin(job, desk)
        if not desk.leaving:
            yield from _finish(job, desk)
            for _ in desk.pins():  # too late: what stands there now are the best weights
                yield Notice(code="training.not_pinned", values={"cause": "run.not_waiting"})
        if desk.leaving:
            yield from _leave(job, desk)
        yield _ended(job, desk)
    except (ThawError, RuntimeError, ValueError, MemoryError) as error:
        known = explained(error, recipe, job)
        if known is None:
            raise
        if is_fault(error):
            log.record(folder, error)
            known = _lost(known, job)
        ended = _ended(job, desk)
        if isinstance(desk.command, Discard):
            _wipe(folder)
        if job or not desk.command:  # else it was told while it was being opened, and therefore gave up
            ended = ended.model_copy(update={"outcome": "failed", "reason": "", "code": known.code, "values": known.values})
        yield ended


def _learn(job: Job, desk: Desk) -> Iterator[Event]:
    """Epochs, batches, steps. Ends when there is nothing left to learn, or soon after a command."""
    if desk.command is None:
        yield job.started()
    while not job.over and desk.command is None:
        yield from job.due()
        yield from job.prepare(lambda: desk.command is not None)
        if desk.command is not None:
            break
        for rows in job.batches():
            yield from _amend(job, desk)
            yield from _pin(job, desk)
            yield from job.step(rows)
            if job.readable:
                yield from job.read()
                if desk.command:
                    break
                if job.save_due:
                    yield job.save(desk.clock())
                    job.shelf.prune()
        if not desk.leaving and job.place.images:
            yield from _close_epoch(job, desk)


def _amend(job: Job, desk: Desk) -> Iterator[Event]:
    """Change what a person wants changed; what cannot be done is said, and the run goes on."""
    for wish in desk.amendments(job.place.step):
        try:
            yield job.amend(wish)
        except ThawError as error:
            yield Notice(code="training.not_amended", values={"cause": error.code})


def _pin(job: Job, desk: Desk) -> Iterator[Event]:
    """Keep the moments that a person wants kept; where that cannot be, it is said, and the run goes on."""
    for wish in desk.pins():
        try:
            yield keep(job, wish.name)
        except ThawError as error:
            yield Notice(code="training.not_pinned", values={"cause": error.code})


def _close_epoch(job: Job, desk: Desk) -> Iterator[Event]:
    """Validate, judge, save; a run that was stopped does so in the middle of an epoch, too."""
    part, outputs, done = job.material.val, [], 0
    for output in job.outputs(part):
        outputs.append(output)
        done += len(output)
        yield Measuring(what="val", done=done, total=len(part))
        if desk.leaving:
            return
    yield from job.close_epoch(outputs)
    yield job.save(desk.clock())
    job.shelf.prune()


def _leave(job: Job, desk: Desk) -> Iterator[Event]:
    """End as quickly as it can be done without losing a step; or without a trace."""
    if isinstance(desk.command, Discard):
        _wipe(job.folder)
        return
    yield from _amend(job, desk)  # what was acknowledged is not lost
    if job.unsaved:
        yield job.save(desk.clock())
        job.shelf.prune()


def _wipe(folder: Path) -> None:
    checkpoint.prune(folder, ())
    for name in (MODEL_FILE, TEST_FILE, START_FILE, checkpoint.manifest_of(folder / START_FILE).name):
        (folder / name).unlink(missing_ok=True)


def _finish(job: Job, desk: Desk) -> Iterator[Event]:
    """Bring back the best epoch, keep it as a model, and measure it once on images that it has never met."""
    if job.place.best_epoch is None:  # stopped before its first step
        return
    model, material = (yield from job.best_model()), job.material
    save_model(job.folder / MODEL_FILE, model.network, recipe=job.recipe, classes=model.classes)
    split: Literal["val", "test"] = "test" if len(material.test) else "val"
    part = material.test if split == "test" else material.val
    parts, done = [], 0
    for logits in job.answers(model, part):
        parts.append(logits)
        done += len(logits)
        yield Measuring(what=split, done=done, total=len(part))
        if desk.leaving:
            return
    if parts:
        probabilities = softmax(np.concatenate(parts))
        epoch = job.place.best_epoch
        write_answers(job.folder / TEST_FILE, material, part, probabilities, split=split, epoch=epoch)
        figures = scores(part.labels.numpy(), probabilities, model.classes, material.majority)
        yield Tested(split=split, epoch=epoch, scores=figures, file=TEST_FILE)


def _ended(job: Job | None, desk: Desk) -> Ended:
    """The last word of an attempt in which nothing went wrong. A run that was stopped when it was over has finished."""
    command, place = desk.command, job.place if job else Place()
    reason: Literal["early_stop", "user", "shutdown", ""] = ""
    if job and job.over and not desk.leaving:
        command = None
        reason = "early_stop" if place.epoch <= job.recipe.epochs else ""
    elif command:
        reason = "shutdown" if isinstance(command, Interrupt) else "user"
    return Ended(
        outcome=OUTCOMES[command.kind] if command else "finished",
        step=place.step,
        epoch=place.reached,
        best_epoch=place.best_epoch,
        reason=reason,
    )


def _lost(known: ThawError, job: Job | None) -> ThawError:
    """Use the device of `known` no more; says from where the run of `job` goes on without it."""
    device = str(known.values["device"])
    slot.lose(device)
    return TrainingError("training.device_failed", device=device, step=job.shelf.saved_step) if job else known


def explained(error: Exception, recipe: Recipe, job: Job | None) -> ThawError | None:
    """What a person can do about `error`; None if it is a defect of ours."""
    if isinstance(error, ThawError):
        return error
    device = str(job.learner.device) if job else recipe.device
    if is_fault(error):
        return TrainingError("training.device_lost", device=device)
    if out_of_memory(error):
        return TrainingError(
            "training.out_of_memory", device=device, batch_size=recipe.batch_size, image_size=recipe.image_size
        )
    if str(error).startswith("Expected more than 1 value per channel when training"):
        return TrainingError("training.batch_of_one", backbone=recipe.backbone, image_size=recipe.image_size)
    return None
