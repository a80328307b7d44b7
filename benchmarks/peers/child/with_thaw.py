"""Thaw, as a person has it: a workspace, an imported data set, a recipe, and the engine's own training.

Every choice that the benchmark does not need is that of a new recipe. The threads are those of the command line.
"""

import json
import time
from pathlib import Path
from typing import Any

from core.allocator import keep_freed
from core.threads import set_threads

set_threads(interactive=False)
keep_freed()

import torch  # noqa: E402
from common import Marks  # noqa: E402

from core.backbones import layer_tree  # noqa: E402
from core.dataset import Dataset, import_dataset  # noqa: E402
from core.dataset.pixels import load_pixels  # noqa: E402
from core.events import Ended, Event, Stop  # noqa: E402
from core.recipe import Augment, BlockRule, Recipe  # noqa: E402
from core.strategies import STRATEGIES, apply_strategy  # noqa: E402
from core.training import train  # noqa: E402
from core.training.rates import sweep_rates  # noqa: E402
from core.workspace import Workspace, open_workspace  # noqa: E402

AUGMENT = {"none": Augment(), "flip": Augment(flip_horizontal=True)}


class Session:
    """A workspace with a data set; every training is a run of its own in it."""

    def __init__(self, spec: dict[str, Any], policy: dict[str, Any], place: Path, source: Path) -> None:
        self.spec, self.policy, self.place = spec, policy, place
        self.workspace: Workspace = open_workspace(place / "workspace")
        self.dataset: Dataset = import_dataset(source, self.workspace)
        self.runs = 0
        self.tested = float("nan")

    def recipe(self, what: dict[str, Any]) -> Recipe:
        spec, given = self.spec, "split" not in self.spec
        recipe = Recipe(
            dataset=self.dataset.id,
            val_fraction=0.1,
            test_fraction=0.0 if given else 0.1,
            backbone=spec["backbone"],
            weights="bundled" if spec["backbone"] == "thaw-small" else spec["safetensors"],
            image_size=spec["size"],
            batch_size=spec["batch"],
            epochs=what["planned"],
            lr=what["lr"] * what["factor"],
            augment=AUGMENT[self.policy["augment"]],
            seed=spec["seed"],
            device="cpu",
        )
        if extra := self.policy.get("recipe"):
            recipe = recipe.changed(**{key: value for key, value in extra.items() if key in Recipe.model_fields})
        if what["strategy"] in STRATEGIES:
            classes = len(self.dataset.classes)
            tree = layer_tree(recipe.backbone, classes=classes, image_size=recipe.image_size, workspace=self.workspace)
            return apply_strategy(recipe, what["strategy"], tree)
        rules = [BlockRule(path="", trainable=False), *(BlockRule(path=path, trainable=True) for path in what["trainable"])]
        return recipe.changed(rules=tuple(rules), strategy="custom")

    def fit(self, what: dict[str, Any], marks: Marks) -> None:
        self.runs += 1
        last = time.perf_counter()
        run = train(self.recipe(what), workspace=self.workspace, folder=self.place / f"run-{self.runs}")
        event: Event = next(run)
        while True:
            now = time.perf_counter()
            marks.phases[event.kind] = marks.phases.get(event.kind, 0.0) + now - last
            last = now
            if isinstance(event, Ended) and event.outcome not in {"finished", "stopped"}:
                raise RuntimeError(f"{event.outcome}: {event.code} {json.dumps(event.values)}")
            self._heard(event, marks)
            enough = what.get("first") and marks.epochs
            try:
                event = run.send(Stop() if enough else None)
            except StopIteration:
                break

    def _heard(self, event: Event, marks: Marks) -> None:
        """Whatever kind of event tells a loss or the accuracy of a validation counts: new kinds may come."""
        if getattr(event, "loss", None) is not None or getattr(event, "train_loss", None) is not None:
            marks.loss()
        value = getattr(event, "val_accuracy", None)
        if value is not None:
            marks.epoch(value)
        if event.kind == "tested":
            self.tested = event.scores.accuracy

    def sweep(self, what: dict[str, Any]) -> int:
        """All rates at once, as `thaw sweep` does it."""
        sweep_rates(self.recipe(what["fit"]), workspace=self.workspace, rates=what["count"])
        return int(what["count"])

    def score(self) -> float:
        return self.tested


class Contender:
    """Thaw."""

    def __init__(self, policy: dict[str, Any], scratch: Path) -> None:
        self.policy = policy

    def versions(self) -> dict[str, str]:
        from importlib.metadata import version

        return {"thaw": version("thaw"), "torch": torch.__version__, "threads": str(torch.get_num_threads())}

    def open(self, spec: dict[str, Any], place: Path) -> Session:
        return Session(spec, self.policy, place, Path(spec["root"]))

    def open_zip(self, spec: dict[str, Any], archive: str, place: Path) -> Session:
        return Session({**spec, "split": True}, self.policy, place, Path(archive))

    def decode(self, spec: dict[str, Any], place: Path) -> tuple[int, float, dict[str, Any]]:
        """The import, which looks at every file once, is timed apart: it is done once for all sizes and recipes."""
        begin = time.perf_counter()
        session = Session(spec, self.policy, place, Path(spec["root"]))
        imported = time.perf_counter()
        wanted = range(len(session.dataset.items))
        pixels = load_pixels(session.dataset, tuple(wanted), size=spec["size"], fit="crop", workspace=session.workspace)
        end = time.perf_counter()
        return len(pixels), end - imported, {"import_ms_per_image": (imported - begin) * 1000 / len(session.dataset.items)}
