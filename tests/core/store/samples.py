"""Events of a run, and a run brought to a state."""

import hashlib

from core.events import EpochDone, Saved, StepDone
from core.store import BEFORE, STATES, RunStore, State


def step(number: int, loss: float | None = 0.5) -> StepDone:
    return StepDone(step=number, epoch=1, loss=loss, correct=3, images=8, lr=0.001 / number, clock=number / 3)


def epoch(number: int, accuracy: float, best: bool) -> EpochDone:
    return EpochDone(
        epoch=number,
        step=number * 10,
        train_loss=1.0,
        train_accuracy=0.5,
        val_loss=0.9,
        val_accuracy=accuracy,
        val_macro_f1=0.4,
        best=best,
    )


def bring_to(store: RunStore, run_id: str, state: State) -> None:
    """Walk a fresh run to `state` along the table."""
    way: dict[State, tuple[State, ...]] = {
        "queued": (),
        "running": ("running",),
        **{s: ("running", s) for s in STATES if "running" in BEFORE[s]},
    }
    for new in way[state]:
        assert store.transition(run_id, new)


def saved(store: RunStore, run_id: str, number: int, content: bytes) -> Saved:
    (store.folder(run_id) / f"step-{number}.ckpt").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return Saved(step=number, epoch=1, file=f"step-{number}.ckpt", sha256=digest, size_bytes=len(content), best=False)
