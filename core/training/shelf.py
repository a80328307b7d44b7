"""Shelf: the checkpoints of one attempt at a run: which is the newest, which the best, which stay, when the next is due.

Checkpoints do not repeat what never changes; where that cannot be had again, it lies beside them once. Knows no batches.
"""

import time
from pathlib import Path
from typing import Any

from core import checkpoint
from core.errors import CheckpointError
from core.events import Saved
from core.training.learner import Learner

SAVE_SECONDS = 300.0
"""A checkpoint is at most this old: what a power cut can cost."""
START_FILE = "start.ckpt"
"""Weights and statistics that no checkpoint of the run repeats."""


class Shelf:
    """In the folder of a run. Raises CheckpointError wherever it writes or reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.saved_step = 0
        """Steps in the newest checkpoint, from which a continuation begins; 0 if there is none."""
        self._saved_at = time.monotonic()
        self._kept: tuple[tuple[str, str], ...] = ()
        """The newest two, and which one was the best when each was written."""

    @property
    def old(self) -> bool:
        """The newest one was written so long ago that another is due."""
        return time.monotonic() - self._saved_at >= SAVE_SECONDS

    def free_name(self, step: int) -> str:
        """For a checkpoint of this step."""
        return checkpoint.free_name(self._folder, step)

    def put(
        self, name: str, state: dict[str, Any], *, step: int, epoch: int, clock: float, best: bool, best_file: str
    ) -> Saved:
        """Write `state` under `name`. `best_file` names the checkpoint of the best epoch so far, which may be this one."""
        facts = {"step": step, "clock": clock, "epoch": epoch, "best": best}
        written = checkpoint.save(self._folder / name, state, facts)
        self._stand(name, step, (*self._kept[-1:], (name, best_file)))
        return Saved(
            step=step, epoch=epoch, file=name, sha256=written.sha256, size_bytes=written.size_bytes, best=best
        )  # fmt: skip

    def go_on(self, name: str, step: int, best_file: str) -> None:
        """An earlier attempt wrote `name`, the newest one."""
        self._stand(name, step, ((name, best_file),))

    def _stand(self, name: str, step: int, kept: tuple[tuple[str, str], ...]) -> None:
        self._kept, self.saved_step, self._saved_at = kept, step, time.monotonic()

    def prune(self) -> None:
        """Delete every checkpoint but the newest two and the best of each. To be called once the newest is on record."""
        checkpoint.prune(self._folder, {name for kept in self._kept for name in kept})

    def keep_start(self, learner: Learner) -> None:
        """Write once what no checkpoint of `learner` repeats."""
        file = self._folder / START_FILE
        rest = {} if file.exists() else learner.untouched()
        if rest:
            checkpoint.save(file, {"model": rest})

    def find_start(self, state: dict[str, Any], name: str, learner: Learner, backbone: str) -> None:
        """Give `learner` what the checkpoint `name` with `state` does not repeat.

        Raises CheckpointError (`checkpoint.other_weights`) if that is not what it was then.
        """
        file = self._folder / START_FILE
        learner.touch(state["model"])
        wanted = state.get("untouched", learner.untouched_digest())
        if learner.untouched_digest() != wanted and file.exists():
            learner.begin_with(checkpoint.load(file)["model"])
        if learner.untouched_digest() != wanted:
            raise CheckpointError("checkpoint.other_weights", name=name, backbone=backbone)
