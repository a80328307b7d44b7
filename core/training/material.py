"""Material: everything a run learns from and is measured on, as tensors on its device. Knows data, no network."""

import math
import queue
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from core.augment import working_size
from core.dataset import Dataset, Splits, open_dataset, open_like, split
from core.dataset.pixels import load_pixels
from core.errors import TrainingError
from core.events import Preparing
from core.recipe import Recipe
from core.workspace import Workspace

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]
T = TypeVar("T")

MILESTONES = 50
SILENCE_SECONDS = 0.5
IMAGES_A_MILESTONE = 128
"""At most so many images between two looks for commands: at 5 ms for a photo of 12 megapixels, two thirds of a second."""
RESIDENT_SHARE = 0.3
"""Of a GPU's free memory that the training pixels may take, to be gathered there instead of sent with every step."""


@dataclass(frozen=True)
class Part:
    """One split."""

    indices: tuple[int, ...]
    """Into the data set's items."""
    pixels: Tensor
    """(N, 3, R, R) uint8; R is larger than the network's image only for training with random crops."""
    labels: Tensor
    """(N,) int64."""

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Material:
    """A data set, divided and decoded."""

    dataset: Dataset
    splits: Splits
    train: Part
    val: Part
    test: Part
    majority: int
    """The class most frequent in training, the first of equals."""


def divide(recipe: Recipe, workspace: Workspace, fingerprint: str | None = None) -> tuple[Dataset, Splits]:
    """The recipe's data set and its splits. With a `fingerprint` the version of the set that had it, if there is one.

    Raises DataError (`dataset.*`), TrainingError (`training.no_images`, `training.class_without_images`).
    """
    name = recipe.dataset
    dataset = open_like(workspace, name, fingerprint) if fingerprint else open_dataset(workspace, name)
    splits = split(dataset, val_fraction=recipe.val_fraction, test_fraction=recipe.test_fraction, seed=recipe.split_seed)
    if not splits.train:
        raise TrainingError("training.no_images", dataset=dataset.name)
    present = {dataset.items[index].label for index in splits.train}
    for label, name in enumerate(dataset.classes):
        if label not in present:
            raise TrainingError("training.class_without_images", name=name)
    return dataset, splits


def load(
    recipe: Recipe, dataset: Dataset, splits: Splits, workspace: Workspace, progress: Progress, cancelled: Cancelled
) -> Material:
    """All three splits decoded; `progress` hears of images done of all. Raises DataError (`data.cancelled` and others)."""
    total = len(splits.train) + len(splits.val) + len(splits.test)

    def part(indices: tuple[int, ...], size: int, before: int) -> Part:
        pixels = load_pixels(
            dataset,
            indices,
            size=size,
            fit=recipe.fit,
            workspace=workspace,
            progress=lambda done, _: progress(before + done, total),
            cancelled=cancelled,
        )
        labels = np.array([dataset.items[index].label for index in indices], np.int64)
        return Part(indices, pixels, torch.from_numpy(labels))

    size, n_train, n_val = recipe.image_size, len(splits.train), len(splits.val)
    train = part(splits.train, working_size(recipe.augment, size), 0)
    val = part(splits.val, size, n_train)
    test = part(splits.test, size, n_train + n_val)
    counts = Counter(train.labels.tolist())
    majority = min(counts, key=lambda label: (-counts[label], label))
    return Material(dataset, splits, train, val, test, majority)


def resident(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device` if there is room enough for it to stay, else where it is."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return tensor.to(device) if tensor.nbytes < RESIDENT_SHARE * free else tensor
    return tensor.to(device)


class Watched(Generic[T]):
    """Long work in a thread of its own, while a generator of events goes on asking for commands.

    Iterating gives `first`, then `Preparing` events at fixed milestones of what the work reports, whatever its pace, so that
    equal runs tell equal stories; while the work is silent the last one is repeated. Afterwards `result` holds what it gave.
    """

    result: T

    def __init__(self, first: Preparing, work: Callable[[Progress, Cancelled], T], told: Cancelled) -> None:
        self._first = first
        self._work = work
        self._told = told

    def __iter__(self) -> Iterator[Preparing]:
        reports: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        left = False
        with ThreadPoolExecutor(1, "prepare") as pool:
            future = pool.submit(self._work, lambda *report: reports.put(report), lambda: left or self._told())
            future.add_done_callback(lambda _: reports.put(None))
            try:
                last = self._first
                yield last
                for report in _heard(reports):
                    for event in _milestones(last, report) if report else [last]:
                        last = event
                        yield event
            finally:
                left = True  # whoever stopped listening wants no more of the work
        self.result = future.result()


def _heard(reports: "queue.SimpleQueue[tuple[int, int] | None]") -> Iterator[tuple[int, int] | None]:
    """Reports as they come until the work is done; None whenever it was silent for SILENCE_SECONDS."""
    while True:
        try:
            report = reports.get(timeout=SILENCE_SECONDS)
        except queue.Empty:
            yield None
            continue
        if report is None:
            return
        yield report


def _milestones(last: Preparing, report: tuple[int, int]) -> Iterator[Preparing]:
    """One event for each multiple of the stride between what was told last and the report, and one for the end."""
    done, total = report
    what: Literal["data", "weights", "features"] = "weights" if last.what == "model" else last.what
    told = last.done if last.what == what else 0
    stride = max(1, math.ceil(total / MILESTONES))
    if what != "weights":
        stride = min(max(stride, 16), IMAGES_A_MILESTONE)
    for mark in range((told // stride + 1) * stride, min(done, total - 1) + 1, stride):
        yield Preparing(what=what, done=mark, total=total)
    if told < done == total:
        yield Preparing(what=what, done=total, total=total)
