"""Three classes of small pictures that can be told apart, and a run of a small network on them."""

import io
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from PIL import Image

from core.dataset import Dataset, import_dataset
from core.events import Command, Ended, Event, FirstSteps, Glance, Kept, Preparing, Replanned, Saved
from core.recipe import Recipe
from core.training import train
from core.training.job import Job
from core.workspace import Workspace, open_workspace
from tests import tiny

SMALL: dict[str, Any] = {
    "backbone": "tiny",
    "image_size": 32,
    "epochs": 2,
    "batch_size": 8,
    "warmup_epochs": 0.5,
    "precision": "fp32",
    "device": "cpu",
}


def picture(label: int, seed: int, side: int = 28) -> bytes:
    generator = np.random.default_rng([label, seed])
    pixels = generator.integers(0, 120, (side, side, 3), np.uint8)
    pixels[..., label % 3] += 100
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


Pictures = Callable[..., Dataset]


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    with tiny.known():
        yield


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="session")
def pictures(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """A data set with so many pictures a class; `given`: as train/val/test folders."""

    def make(counts: Sequence[int] = (16, 14, 13), *, given: Mapping[str, Sequence[int]] | None = None) -> Dataset:
        path = tmp_path_factory.mktemp("zip") / "set.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for at, (split, numbers) in enumerate((given or {"": counts}).items()):
                for label, number in enumerate(numbers):
                    for seed in range(number):
                        name = "/".join(filter(None, [split, "abc"[label], f"{seed}.png"]))
                        archive.writestr(name, picture(label, seed + 1000 * at))
        return import_dataset(path, workspace)

    return make


@pytest.fixture(scope="session")
def dataset(pictures: Pictures) -> Dataset:
    return pictures()


@pytest.fixture
def recipe(dataset: Dataset) -> Recipe:
    return Recipe(dataset=dataset.id, **SMALL)


Told = Callable[[Event], Command | None]
T = TypeVar("T")


class Story(list[Event]):
    """All that one attempt said."""

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self if isinstance(event, kind)]

    @property
    def ended(self) -> Ended:
        assert [at for at, event in enumerate(self) if isinstance(event, Ended)] == [len(self) - 1]
        return self.of(Ended)[0]

    def timeless(self, *without: type) -> list[Event]:
        """Events but for clocks and costs, repeats of a `Preparing` while the work was silent, and the kinds left out."""
        costs: dict[type, dict[str, float | None]] = {
            FirstSteps: {"seconds_per_step": 0.0, "memory_bytes": 0},
            Kept: {"seconds_per_image": None},
            Glance: {"seconds": 0.0},
        }
        bare = [
            event.model_copy(update={"clock": 0.0, **costs.get(type(event), {})})
            for event in self
            if not isinstance(event, without)
        ]
        return [one for at, one in enumerate(bare) if not (isinstance(one, Preparing) and at and bare[at - 1] == one)]


def drain(events: Generator[Event, Glance, Kept, Command | None, None], told: Told) -> Story:
    """Everything a run says while it is told what `told` answers to each event."""
    said = Story([next(events)])
    try:
        while True:
            said.append(events.send(told(said[-1])))
    except StopIteration:
        return said


@pytest.fixture
def run(workspace: Workspace, tmp_path: Path) -> Callable[..., Story]:
    """Train to the end, in the folder `name` of the test."""

    def go(
        recipe: Recipe,
        name: str = "run",
        *,
        resume: Path | None = None,
        edits: Sequence[Replanned] = (),
        told: Told = lambda event: None,
    ) -> Story:
        return drain(train(recipe, workspace=workspace, folder=tmp_path / name, resume=resume, edits=edits), told)

    return go


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The whole network as it stood in memory at each checkpoint, which itself does not repeat what is frozen."""
    seen: list[dict[str, torch.Tensor]] = []
    save = Job.save

    def looked(job: Job, clock: float) -> Saved:
        seen.append({name: tensor.clone() for name, tensor in job.learner.network.model.state_dict().items()})
        return save(job, clock)

    monkeypatch.setattr(Job, "save", looked)
    return seen
