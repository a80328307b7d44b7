"""Kills: a real training process is killed at random moments, many of them inside a save; nothing acknowledged is lost."""

import random
from pathlib import Path

from benchmarks.nightly.nursery import Child, Nursery
from benchmarks.nightly.proof import Proof, many
from benchmarks.nightly.scene import small, workspace_with_pictures
from core import checkpoint
from core.errors import ThawError
from core.events import StepDone
from core.store import RunStore
from core.workspace import Workspace

KILLS, INSIDE = 300, 40


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """So many kills; after each the store is opened as the next process would."""
    rng = random.Random(seed)
    workspace, dataset = workspace_with_pictures(folder / "w")
    proof = Proof("kills", {"kills": 0, "inside_a_save": 0, "events": 0, "checkpoints": 0, "runs": 0, "finished": 0})
    wanted, inside = many(KILLS, scale, 3), many(INSIDE, scale)
    run_id = ""
    save_seconds = 0.02
    with Nursery() as nursery:
        while proof.figures["kills"] < wanted or proof.figures["inside_a_save"] < inside:
            if not run_id:
                run_id = _new_run(workspace, dataset, rng)
                proof.figures["runs"] += 1
            child = nursery.start(workspace.root, run_id, 0.0)
            mean_to = rng.random() < 0.6  # inside a save
            _wait(child, rng, inside=mean_to, save_seconds=save_seconds)
            alive = child.kill()
            child.close()
            save_seconds = _save_seconds(child) or save_seconds
            if alive:
                proof.figures["kills"] += 1
                proof.figures["inside_a_save"] += child.in_save
            state = _look(workspace, run_id, child, proof)
            if state == "finished":
                proof.figures["finished"] += 1
                run_id = ""
            elif state == "failed" or proof.faults:
                proof.faults.append(f"run {run_id} is {state}")
                break
    return proof


def _new_run(workspace: Workspace, dataset: str, rng: random.Random) -> str:
    store = RunStore(workspace)
    run = store.create(small(dataset, seed=rng.randrange(2**31), epochs=6))
    store.close()
    return run.id


def _wait(child: Child, rng: random.Random, *, inside: bool, save_seconds: float) -> None:
    """Until the moment of the kill, or the end of the process."""
    if not inside:
        while not child.said("event"):
            if not child.listen(0.05):
                return
        child.listen(rng.random() * 0.8)
        return
    saves = rng.randint(1, 6)
    while len(child.said("save")) < saves:
        if not child.listen(0.002):
            return
    child.listen(rng.random() * save_seconds)


def _save_seconds(child: Child) -> float:
    begin = [at for at, word, _ in child.lines if word == "save"]
    end = [at for at, word, _ in child.lines if word == "saved"]
    spans = [stop - start for start, stop in zip(begin, end, strict=False)]
    return min(0.5, sum(spans) / len(spans)) if spans else 0.0


def _look(workspace: Workspace, run_id: str, child: Child, proof: Proof) -> str:
    """Everything that was acknowledged is there; the run is put back into the queue. Gives its state."""
    store = RunStore(workspace)
    faults = proof.faults
    try:
        store._database.check()
        told = child.said("event")
        events = store.events(run_id)
        if told and store.last_seq(run_id) < told[-1][0]:
            faults.append(f"event {told[-1][0]} was acknowledged, the last one is {store.last_seq(run_id)}")
        there = {event.step for _, event in events if isinstance(event, StepDone)}
        lost = [values[2] for values in told if values[2] and values[2] not in there]
        if lost:
            faults.append(f"steps {lost} were acknowledged and are gone")
        proof.figures["events"] += sum(values[1] for values in told)
        marks = [mark for values in told for mark in values[3]]
        proof.figures["checkpoints"] += len(marks)
        saved = store.last_checkpoint(run_id)
        if marks and (saved is None or saved.step < marks[-1][0]):
            faults.append(f"checkpoint {marks[-1]} was acknowledged, the last whole one is {saved}")
        if saved is not None:
            state = checkpoint.load(store.folder(run_id) / saved.file, saved.sha256)
            if state["place"]["step"] != saved.step:
                faults.append(f"{saved.file} holds step {state['place']['step']}")
        run = store.run(run_id)
        over = [outcome for values in told for outcome in values[4]]
        if over and run.state != over[-1]:
            faults.append(f"the run was acknowledged as {over[-1]} and is {run.state}")
        if run.state == "interrupted":
            store.requeue(run_id)
        elif run.state not in {"finished", "queued"}:
            faults.append(f"after a kill the run is {run.state}: {run.error}")
        return run.state
    except ThawError as error:
        faults.append(f"{error.code}: {error}")
        return "failed"
    finally:
        store.close()
