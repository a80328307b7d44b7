"""Pace: how long runs were reckoned to take and how long they took, and what that says about the next one.

A line of JSON a finished run, in the workspace. `core.estimate` knows the costs of one machine; this file learns those of
yours, network by network. Runs that somebody steered or continued teach nothing: nobody reckoned them.
"""

import logging
import statistics
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from core.errors import ThawError
from core.estimate import Estimate, forecast, known_costs
from core.events import Ended, Event, FirstSteps, Kept, Memory, Preparing, Readings, Replanned, Started, StepDone
from core.recipe import Recipe
from core.workspace import Workspace

FILE = "pace.jsonl"
MOST = 500
"""Lines kept."""
ALIKE, ANY = 5, 15
"""Of runs of the same network, and of all of a device, so many of the newest count."""
RECKONING = 2
"""Version of the arithmetic: how far another one was from the truth teaches nothing about this one."""
WIDEST = 5.0
"""No correction is larger than this: beyond it something else was the matter."""
_writing = threading.Lock()
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lap:
    """One finished run: seconds of training, validation and decoding left out."""

    backbone: str
    image_size: int
    strategy: str
    device: str
    kept: bool
    reckoned: float
    """Before any correction."""
    told: float
    """To the person: corrected by the runs before."""
    took: float
    memory_reckoned: int = 0
    """Bytes; 0 in lines of older versions."""
    memory_took: int = 0
    """On a GPU what torch held at most in the first steps; elsewhere what the process held then, data and pages included."""
    reckoning: int = 1

    @property
    def ratio(self) -> float:
        """How much longer it took than was reckoned."""
        return self.took / self.reckoned


Reckon = Callable[[Recipe, Workspace, Started], Estimate | None]


class Stopwatch:
    """Hears the events of one attempt and notes its `Lap` if there is something to learn from it."""

    def __init__(self, recipe: Recipe, workspace: Workspace, reckon: "Reckon | None" = None) -> None:
        self._recipe, self._workspace, self._reckon = recipe, workspace, reckon or _reckon
        self._started: Started | None = None
        self._last = 0.0
        self._took = 0.0
        self._memory = 0
        self._kept = self._asked = self._spoiled = False

    def hear(self, event: Event) -> None:
        """Take in the next event."""
        match event:
            case Started():
                self._spoiled |= event.step > 0
                self._started = event
            case Replanned(cause="person") | Memory():
                self._spoiled = True
            case FirstSteps():
                self._memory = event.memory_bytes
            case Kept():
                self._kept, self._asked = True, event.seconds_per_image is not None
            case Ended(outcome="finished", reason="") if self._started and self._took and not self._spoiled:
                self._note(self._started)
        counted = isinstance(event, StepDone | Readings | Kept) or (
            isinstance(event, Preparing) and event.what == "features"
        )
        if counted and self._started:
            self._took += event.clock - self._last
        self._last = event.clock

    def _note(self, started: Started) -> None:
        try:
            told = self._reckon(self._recipe, self._workspace, started)
        except ThawError:
            return  # the network is not there any more
        if told is None or told.seconds_per_epoch is None or told.seconds_once is None:
            return
        if self._kept and not self._asked:
            told = replace(told, seconds_once=0.0)  # it was there from an earlier run
        recipe = self._recipe
        reckoned, said = (one.seconds(recipe.epochs) or 0.0 for one in (told, corrected(told, recipe, self._workspace)))
        lap = Lap(
            recipe.backbone, recipe.image_size, recipe.strategy, recipe.device, told.kept, reckoned, said, self._took,
            told.memory_bytes, self._memory, RECKONING,
        )  # fmt: skip
        try:
            _write(self._workspace, lap)
        except OSError as error:
            log.warning("the pace of a run was not noted: %s", error)


def _reckon(recipe: Recipe, workspace: Workspace, started: Started) -> Estimate | None:
    from core.backbones import layer_tree

    costs = known_costs(recipe)
    if costs is None:
        return None
    tree = layer_tree(recipe.backbone, classes=len(started.classes), image_size=recipe.image_size, workspace=workspace)
    return forecast(tree, recipe, images=started.splits["train"], costs=costs)


def corrected(told: Estimate, recipe: Recipe, workspace: Workspace) -> Estimate:
    """The estimate of a draft as runs of the same network here have taught; as it is where there were none."""
    if told.seconds_per_epoch is None or told.seconds_once is None:
        return told
    here = [lap for lap in laps(workspace) if (lap.device, lap.reckoning) == (recipe.device, RECKONING)]
    alike = [lap for lap in here if (lap.backbone, lap.kept) == (recipe.backbone, told.kept)]
    ratios = [lap.ratio for lap in alike[-ALIKE:] or here[-ANY:]]
    factor = min(max(statistics.median(ratios), 1 / WIDEST), WIDEST) if ratios else 1.0
    return replace(told, seconds_per_epoch=factor * told.seconds_per_epoch, seconds_once=factor * told.seconds_once)


def laps(workspace: Workspace) -> list[Lap]:
    """All that is noted, the oldest first; lines that cannot be read are passed over."""
    try:
        lines = _place(workspace).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            lap = Lap(**orjson.loads(line))
            if min(lap.reckoned, lap.told, lap.took) > 0:
                found.append(lap)
        except (TypeError, ValueError):
            continue
    return found


def _write(workspace: Workspace, lap: Lap) -> None:
    with _writing:
        kept = [*laps(workspace), lap][-MOST:]
        draft = _place(workspace).with_name(f".{FILE}")
        draft.write_bytes(b"".join(orjson.dumps(asdict(one)) + b"\n" for one in kept))
        draft.replace(_place(workspace))


def _place(workspace: Workspace) -> Path:
    return workspace.root / FILE
