"""Resumes: a run that is killed four times ends bit by bit as one that nobody disturbed: weights, answers, every step."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.nightly.nursery import Nursery
from benchmarks.nightly.proof import Proof, many
from benchmarks.nightly.scene import small, workspace_with_pictures
from core import checkpoint
from core.events import StepDone
from core.recipe import AUGMENT_PRESETS, Recipe
from core.store import RunStore
from core.workspace import Workspace

RUNS, KILLS, TRIES = 20, 4, 5
KINDS: tuple[dict[str, Any], ...] = (
    {"backbone": "mobilenet_v3_small", "optimizer": "adamw", "schedule": "cosine", "warmup_epochs": 0.5},
    {"backbone": "squeezenet1_1", "optimizer": "sgd", "ema": 0.9, "accumulate": 2, "augment": AUGMENT_PRESETS["standard"]},
    {"backbone": "mnasnet0_5", "optimizer": "rmsprop", "lr": 1e-4, "mixup": 0.2, "dropout": 0.3, "schedule": "plateau",
     "plateau_epochs": 1},
    {"backbone": "mobilenet_v3_small", "precision": "bf16", "cutmix": 1.0, "balanced": True, "loss": "focal",
     "schedule": "step"},
    {"backbone": "squeezenet1_1", "optimizer": "adam", "clip_norm": 1.0, "patience": 2,
     "augment": AUGMENT_PRESETS["strong"]},
)  # fmt: skip
"""Dropout, batch norm, averages, half precision, every optimizer, every source of chance."""


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """So many pairs of runs: one unbroken, one killed four times."""
    rng = random.Random(seed)
    workspace, dataset = workspace_with_pictures(folder / "w", each=24)
    proof = Proof("resumes", {"runs": 0, "kills": 0, "identical": 0, "steps_compared": 0, "steps_untold": 0})
    with Nursery() as nursery:
        for number in range(many(RUNS, scale)):
            recipe = small(dataset, **{**KINDS[number % len(KINDS)], "seed": rng.randrange(2**31), "epochs": 3})
            whole = _unbroken(nursery, workspace, recipe, proof)
            broken = _broken(nursery, workspace, recipe, rng, proof)
            proof.figures["runs"] += 1
            if differ := [*_differ(whole, broken)]:
                proof.faults.append(f"{recipe.backbone} seed {recipe.seed}: {', '.join(differ)}")
            else:
                proof.figures["identical"] += 1
                proof.figures["steps_compared"] += len(broken["steps"])
                proof.figures["steps_untold"] += len(whole["steps"]) - len(broken["steps"])
    return proof


def _differ(whole: dict[str, Any], broken: dict[str, Any]) -> Iterator[str]:
    """What is not the same. One step a kill may be untold: that of a checkpoint that was whole, but not yet acknowledged."""
    yield from (key for key in whole.keys() | broken.keys() if key != "steps" and whole.get(key) != broken.get(key))
    steps, again = whole.get("steps", {}), broken.get("steps", {})
    yield from (f"step {step}: {steps.get(step)}, {told}" for step, told in again.items() if steps.get(step) != told)
    if len(untold := steps.keys() - again.keys()) > KILLS:
        yield f"steps {sorted(untold)} are untold"


def _create(workspace: Workspace, recipe: Recipe) -> str:
    store = RunStore(workspace)
    run_id = store.create(recipe).id
    store.close()
    return run_id


def _unbroken(nursery: Nursery, workspace: Workspace, recipe: Recipe, proof: Proof) -> dict[str, Any]:
    run_id = _create(workspace, recipe)
    _go_on(nursery, workspace, run_id, 1e9)
    return _result(workspace, run_id, proof)


def _go_on(nursery: Nursery, workspace: Workspace, run_id: str, save_seconds: float = 0.0) -> None:
    """To the end, undisturbed."""
    child = nursery.start(workspace.root, run_id, save_seconds)
    while child.listen(1.0):
        pass
    child.close()


def _broken(nursery: Nursery, workspace: Workspace, recipe: Recipe, rng: random.Random, proof: Proof) -> dict[str, Any]:
    """The same recipe, killed a random number of steps after each start; begun anew if it was over before the last kill."""
    for _ in range(TRIES):
        run_id = _create(workspace, recipe)
        if all(_is_killed(nursery, workspace, run_id, rng) for _ in range(KILLS)):
            proof.figures["kills"] += KILLS
            _go_on(nursery, workspace, run_id)
            return _result(workspace, run_id, proof)
    proof.faults.append(f"{recipe.backbone} seed {recipe.seed}: {TRIES} times over before the last of {KILLS} kills")
    return {}


def _is_killed(nursery: Nursery, workspace: Workspace, run_id: str, rng: random.Random) -> bool:
    """One start and a kill some steps later; False if the process had ended before."""
    child = nursery.start(workspace.root, run_id, 0.0)
    saves = rng.randint(1, 2)  # a checkpoint a step here, so it gets on
    while len(child.said("saved")) < saves and child.listen(0.002):
        pass
    child.listen(rng.random() * 0.05)
    killed = child.kill()
    child.close()
    store = RunStore(workspace)
    if killed := killed and store.run(run_id).state == "interrupted":
        store.requeue(run_id)
    store.close()
    return killed


def _result(workspace: Workspace, run_id: str, proof: Proof) -> dict[str, Any]:
    store = RunStore(workspace)
    try:
        run, folder = store.run(run_id), store.folder(run_id)
        if run.state != "finished":
            proof.faults.append(f"{run.name} is {run.state}: {run.error}")
            return {"state": run.state, "run": run_id}
        last = store.last_checkpoint(run_id)
        assert last is not None
        steps = {e.step: (e.loss, e.correct, e.lr) for _, e in store.events(run_id) if isinstance(e, StepDone)}
        state = checkpoint.load(folder / last.file)
        return {
            "model": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
            "answers": hashlib.sha256((folder / "test.json").read_bytes()).hexdigest(),
            "checkpoint": _digest({key: state[key] for key in ("model", "average", "optimizer", "scaler", "adapters")}),
            "steps": steps,
            "test": run.test_accuracy,
        }
    finally:
        store.close()


def _digest(thing: Any) -> str:
    import torch

    if isinstance(thing, torch.Tensor):
        data = thing.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return hashlib.sha256(repr((thing.dtype, tuple(thing.shape))).encode() + data).hexdigest()
    if isinstance(thing, dict):
        return hashlib.sha256("".join(f"{key}={_digest(thing[key])};" for key in sorted(thing)).encode()).hexdigest()
    return repr(thing)
