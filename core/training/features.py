"""Features: what the trunk gives for the images of a run, worked out once for each image and view, and kept.

The key of what is kept is everything it depends on: the content of the images, how they are decoded and changed, the weights
below the cut, precision and versions. So it is never stale.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from core import augment
from core.arrays import Arrays
from core.augment import draws, normalised
from core.container import available_bytes
from core.cut import Cuttable, Place, digest
from core.dataset import Dataset
from core.device import measuring_batch
from core.errors import DataError
from core.estimate import BUDGET_BYTES
from core.images import DECODER
from core.layers import LayerTree
from core.model import Model
from core.recipe import Recipe
from core.training.material import Material, Part, resident
from core.training.trunk import Trunk
from core.workspace import Workspace

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]
Activations = Callable[[Tensor, Tensor | None], Tensor]
"""Pixels (B, 3, R, R) uint8 and rows of draws (None: nothing is changed) to activations of the trunk."""
Through = Callable[[fx.GraphModule, Tensor], Tensor]
"""A part of the frozen blocks, in the precision of training."""
Which = tuple[Literal["train", "val"], int]
"""A split and the number of a view; 0 is the image as it is."""

ANSWERS_BYTES = 2**30
"""Of the test images' activations; more is not kept."""
MEMORY_SHARE = 0.25
"""Of the memory that is free now, what all views together may take; else they are mapped from the disk."""
CHUNK = {"cpu": 8}
"""Images that go through the trunk at once: eight fit the cache of a core; a GPU takes 256."""
NUMPY = {torch.float32: np.float32, torch.float16: np.float16, torch.bfloat16: np.int16}
"""numpy has no bfloat16: its bits are kept as whole numbers."""


class Features:
    """Of one trunk. Views come one by one, when they are asked for."""

    def __init__(self, trunk: Trunk, material: Material, recipe: Recipe, workspace: Workspace, *, views: int) -> None:
        self.trunk = trunk
        self.views = views
        self.seconds_per_image: float | None = None
        """What working one out took, if any was."""
        self._material = material
        self._recipe = recipe
        images = views * len(material.train) + len(material.val)
        self.size_bytes = images * trunk.place.size_bytes
        memory = 0 if self.size_bytes > MEMORY_SHARE * available_bytes() else 2 * BUDGET_BYTES
        self._arrays = Arrays(workspace.cache / "activations", BUDGET_BYTES, memory)
        self._found: dict[Which, Tensor] = {}
        self._lower: Features | None = None
        self._onwards: fx.GraphModule | None = None

    def build_on(self, lower: "Features") -> None:
        """Work out what is missing from what `lower` has, where that holds still: more is frozen now than before."""
        onwards = self.trunk.onwards(lower.trunk) if self.views == lower.views else None
        if onwards is not None:
            self._lower, self._onwards = lower, onwards

    def missing(self, epoch: int) -> tuple[Which, ...]:
        """What `epoch` needs and is not here."""
        wanted: tuple[Which, ...] = (("train", view(epoch, self.views)), ("val", 0))
        return tuple(which for which in wanted if which not in self._found and len(self._part(which)))

    def has_room(self, epoch: int) -> bool:
        """There is memory or disk enough for what `epoch` needs."""
        return self._arrays.has_room(self.count(epoch) * self.trunk.place.size_bytes)

    def count(self, epoch: int) -> int:
        """Images that `prepare` has to do with."""
        return sum(len(self._part(which)) for which in self.missing(epoch))

    def prepare(
        self,
        epoch: int,
        activations: Activations,
        through: Through,
        device: torch.device,
        threads: int,
        progress: Progress,
        cancelled: Cancelled,
    ) -> None:
        """Load or work out what `epoch` needs, on a CPU with so many threads. Raises DataError (`data.cancelled`)."""
        missing, total, before = self.missing(epoch), self.count(epoch), 0
        for which in missing:
            part = self._part(which)
            place = self.trunk.place
            shape, dtype = (len(part), *_lying(place)), NUMPY[place.dtype]
            key = self._key(which, device)
            kept = self._arrays.load(key, shape, dtype)
            if kept is None:

                def fill(room: NDArray[Any], which: Which = which, before: int = before) -> None:
                    begin = time.perf_counter()
                    for done in self._work(which, room, activations, through, device, threads, cancelled):
                        progress(before + done, total)
                    self.seconds_per_image = (time.perf_counter() - begin) / len(room)

                kept = self._arrays.make(key, shape, dtype, fill)
            before += len(part)
            progress(before, total)
            self._found[which] = resident(_tensor(kept, place), device)

    def train(self, epoch: int, rows: Tensor) -> Tensor | None:
        """Activations of the training images at `rows` in the view of `epoch`; None if they are not here."""
        found = self._found.get(("train", view(epoch, self.views)))
        return None if found is None else _turned(found[rows.to(found.device)], self.trunk.place)

    def val(self) -> Tensor | None:
        """Activations of all validation images, or None."""
        found = self._found.get(("val", 0))
        return None if found is None else _turned(found, self.trunk.place)

    def _part(self, which: Which) -> Part:
        return self._material.train if which[0] == "train" else self._material.val

    def _draws(self, which: Which) -> Tensor | None:
        return draws(self._recipe.seed, which[1], len(self._part(which))) if which[1] else None

    def _work(
        self,
        which: Which,
        room: NDArray[Any],
        activations: Activations,
        through: Through,
        device: torch.device,
        threads: int,
        cancelled: Cancelled,
    ) -> Iterator[int]:
        """Fill `room`, giving the number of images done so far now and then.

        On a CPU each thread takes pieces of its own and computes alone, so that nobody waits for anybody; and
        what comes out does not depend on their number.
        """
        part, table, place = self._part(which), self._draws(which), self.trunk.place
        lower = None if self._lower is None else self._lower._found.get(which)
        size = CHUNK.get(device.type, 256)

        def some(start: int) -> int:
            if cancelled():
                raise DataError("data.cancelled")
            here = slice(start, start + size)
            if lower is not None and self._lower is not None and self._onwards is not None:
                found = through(self._onwards, _turned(lower[here], self._lower.trunk.place).to(device))
            else:
                rows = None if table is None else table[here].to(device)
                found = activations(part.pixels[here].to(device), rows)
            room[here] = _array(found.detach().cpu(), place)
            return len(found)

        done = 0
        with ThreadPoolExecutor(
            threads if device.type == "cpu" else 1, "trunk", initializer=lambda: torch.set_num_threads(1)
        ) as pool:
            try:
                for count in pool.map(some, range(0, len(part), size)):
                    done += count
                    yield done
            finally:
                pool.shutdown(cancel_futures=True)
                torch.set_num_threads(threads)  # threads that begin later take over what was set last

    def _key(self, which: Which, device: torch.device) -> str:
        recipe, place = self._recipe, self.trunk.place
        changes = [augment.VERSION, recipe.augment.model_dump(), recipe.seed, which[1]] if which[1] else None
        return key(
            self._material.dataset, self._part(which).indices, recipe, self.trunk.key, str(place.dtype), device, changes
        )


def answers(
    model: Model,
    part: Part,
    place: Place,
    tree: LayerTree,
    dataset: Dataset,
    workspace: Workspace,
) -> Iterator[NDArray[np.float32]]:
    """As `model.parts(part.pixels)`, to the bit; what the network gives at `place` is kept for the next time."""
    network = model.network
    network.model.eval()
    device = next(network.model.parameters()).device
    cuttable = Cuttable(network.model, tree, frozenset())
    below, above = cuttable.below(place), cuttable.above(place)
    whole = dataclasses.replace(place, dtype=torch.float32)
    arrays = Arrays(workspace.cache / "activations", BUDGET_BYTES)
    name = key(dataset, part.indices, model.recipe, digest(below), "answers", device, None)
    shape = (len(part), *_lying(whole))
    kept = arrays.load(name, shape, np.float32)
    room = np.empty(shape, np.float32) if kept is None else kept
    batch = measuring_batch(device)
    for start in range(0, len(part), batch):
        here = slice(start, start + batch)
        with torch.inference_mode():
            if kept is None:
                images = normalised(part.pixels[here].to(device), network.mean, network.std)
                found = below(images.contiguous(memory_format=torch.channels_last))
                room[here] = _array(found.cpu(), whole)
            else:
                found = _turned(torch.from_numpy(room[here]), whole).to(device)
            scores: NDArray[np.float32] = above(found).float().cpu().numpy()
        yield scores
    if kept is None:
        arrays.make(name, shape, np.float32, lambda target: np.copyto(target, room))


def view(epoch: int, views: int) -> int:
    """The one of `views` views whose turn it is in `epoch`: 1, 2, …; as many epochs later it comes again."""
    return (epoch - 1) % views + 1


def key(
    dataset: Dataset,
    indices: tuple[int, ...],
    recipe: Recipe,
    trunk: str,
    dtype: str,
    device: torch.device,
    changes: list[Any] | None,
) -> str:
    """Of the activations of these images: everything they depend on. `changes`: what is drawn about them, if anything."""
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    facts = [DECODER, recipe.image_size, recipe.fit, trunk, dtype, device.type, machine, torch.__version__, changes]
    found = hashlib.sha256(json.dumps(facts).encode())
    found.update("\n".join(dataset.items[index].sha256 for index in indices).encode())
    return found.hexdigest()[:40]


def _lying(place: Place) -> tuple[int, ...]:
    """The shape of one activation as it lies in memory."""
    channels, *rest = place.shape
    return (*rest, channels) if place.channels_last else place.shape


def _array(found: Tensor, place: Place) -> NDArray[Any]:
    lying = found.movedim(1, -1) if place.channels_last else found
    lying = lying.contiguous()
    array: NDArray[Any] = (lying.view(torch.int16) if place.dtype == torch.bfloat16 else lying).numpy()
    return array


def _tensor(kept: NDArray[Any], place: Place) -> Tensor:
    tensor = torch.from_numpy(kept)
    return tensor.view(torch.bfloat16) if place.dtype == torch.bfloat16 else tensor


def _turned(lying: Tensor, place: Place) -> Tensor:
    return lying.movedim(-1, 1) if place.channels_last else lying
