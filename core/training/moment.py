"""Moment: the model as it is between two steps, kept in a file of its own while the run goes on as if nothing had been."""

import math

from core import checkpoint, pins
from core.errors import TrainingError
from core.events import Pinned
from core.model import save_model
from core.training.job import Job


def keep(job: Job, name: str) -> Pinned:
    """Write what the network of `job` would answer by now, averaged or with the adapters added, under a free name.

    Raises CheckpointError; TrainingError (`training.not_finite`) if a weight is no number.
    """
    place, learner = job.place, job.learner
    if not learner.finite():
        raise TrainingError("training.not_finite", step=place.step, lr=job.rate())
    weights = learner.answering()
    checkpoint.check_room(job.folder, sum(tensor.element_size() * math.prod(tensor.shape) for tensor in weights.values()))
    path = job.folder / pins.free_name(job.folder, place.step)
    classes = job.material.dataset.classes
    digest = save_model(path, learner.network, recipe=job.recipe, classes=classes, weights=weights)
    return Pinned(
        step=place.step,
        epoch=place.reached,
        name=name,
        file=path.name,
        sha256=digest,
        size_bytes=path.stat().st_size,
    )
