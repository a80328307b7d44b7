"""Restart: a real server that trains while a browser looks on is told to end (SIGTERM, often twice); another comes after it.

Aimed at the middle of a step, a validation, a save and an import. It leaves in time and loses one step at most; the next one
goes on by itself, in the old order.
"""

import contextlib
import os
import random
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.nightly.proof import Proof, many
from benchmarks.nightly.scene import picture, small, workspace_with_pictures
from benchmarks.nightly.server import Server, rerun
from benchmarks.nightly.slow import SECONDS, TOLD
from core.dataset import import_dataset, list_datasets
from core.errors import Interrupted
from core.events import Ended, Started, StepDone
from core.store import RunStore
from core.workspace import Workspace

ROUNDS = 50
SLOW = "benchmarks.nightly.slow"
MOMENTS = ("save", "import", "step", "validation")
LEAVE_SECONDS = 10.0
"""Docker kills after that. Judged as if the cores were ours alone: in a queue of processes everything takes longer."""
GO_ON_SECONDS = 60.0
MOST_LOST = 1
"""Steps."""
PICTURES = 3000
"""Of an import, so that it is still at work when the signal comes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store says."""

    seq: int
    """Of the newest event of the run."""
    steps: tuple[int, ...]
    saved: int
    """Step of the newest checkpoint."""
    begun: tuple[int, ...]
    """Steps at which its attempts began."""
    reason: str
    """Why its last attempt has ended."""
    waiting: tuple[str, ...]
    """Ids in the order of the queue."""


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """So many servers told to end, each followed by the next."""
    rng = random.Random(seed)
    proof = Proof("restart", {"rounds": 0, "second_signals": 0, "steps": 0, "steps_lost": 0, "slowest_to_leave": 0.0})
    workspace, run_id = _scene(folder / "w")
    told = folder / "told.txt"
    told.touch()
    for number in range(many(ROUNDS, scale)):
        moment = MOMENTS[number % len(MOMENTS)]
        if moment == "import":
            _leave_import(workspace, folder)
        with Server(workspace, SLOW, **{TOLD: str(told)}) as server:
            _went_on(workspace, run_id, proof)
            with server.session() as session:
                session.send(rerun("train"))
                _await(moment, told, workspace, rng, proof)
                before = _look(workspace, run_id)
                _leaves(server, rng, proof)
            proof.faults += server.unhandled()
        _kept(before, _look(workspace, run_id), moment, proof)
        proof.figures["rounds"] += 1
        if proof.faults:
            return proof
    with Server(workspace, SLOW, **{TOLD: str(told)}):
        _went_on(workspace, run_id, proof)
        _imports_came_to_an_end(workspace, folder, proof)
    proof.figures["steps"] = len(_look(workspace, run_id).steps)
    return proof


def _scene(folder: Path) -> tuple[Workspace, str]:
    """A long run in front of three that wait."""
    workspace, dataset = workspace_with_pictures(folder)
    store = RunStore(workspace)
    ids = [store.create(small(dataset, seed=number, epochs=1000)).id for number in range(4)]
    store.close()
    return workspace, ids[0]


def _leave_import(workspace: Workspace, folder: Path) -> None:
    """An import that the end of its process has cut short before its first picture: the next server goes on with it."""

    def cut_short() -> bool:
        raise Interrupted

    earlier = len(list(folder.glob("*.zip")))
    file = folder / f"{earlier}.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(earlier * PICTURES, (earlier + 1) * PICTURES):
            archive.writestr(f"{'abc'[number % 3]}/{number}.png", picture(number % 3, number, 16))
    with contextlib.suppress(Interrupted):
        import_dataset(file, workspace, cancelled=cut_short)


def _await(moment: str, told: Path, workspace: Workspace, rng: random.Random, proof: Proof) -> None:
    """Until the server is in the middle of it."""
    end = time.monotonic() + GO_ON_SECONDS
    begin = told.stat().st_size
    word = "step" if moment == "import" else moment
    while not told.read_bytes()[begin:].endswith(f"{word}\n".encode()):
        if time.monotonic() > end:
            proof.faults.append(f"no {word} within {GO_ON_SECONDS:.0f} s")
            return
        time.sleep(0.005)
    time.sleep(rng.random() * SECONDS[word])
    key = f"in_{moment}"
    proof.figures[key] = proof.figures.get(key, 0) + (moment != "import" or _imports(workspace))


def _imports(workspace: Workspace) -> bool:
    """One is at work, or was cut short; a demo that is drawn anew each time is none."""
    return any(workspace.datasets.glob(".import-*/job.json"))


def _leaves(server: Server, rng: random.Random, proof: Proof) -> None:
    begin = time.monotonic()
    server.terminate()
    time.sleep(rng.random() * 0.5)
    if twice := rng.random() < 0.5 and server.alive():
        server.terminate()
        proof.figures["second_signals"] += 1
    may = LEAVE_SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    if not server.wait(may):
        proof.faults.append(f"the server lives {may:.0f} s after SIGTERM")
    if not twice and server.status():
        proof.faults.append(f"the server has ended with status {server.status()}")
    seconds = time.monotonic() - begin
    proof.figures["slowest_to_leave"] = max(proof.figures["slowest_to_leave"], round(seconds, 1))


def _look(workspace: Workspace, run_id: str) -> Seen:
    store = RunStore(workspace)
    try:
        events = store.events(run_id)
        with store._database.read() as db:
            rows = db.execute("SELECT id FROM run WHERE state = 'queued' ORDER BY place").fetchall()
        saved = store.last_checkpoint(run_id)
        ends = [event.reason for _, event in events if isinstance(event, Ended)]
        return Seen(
            seq=store.last_seq(run_id),
            steps=tuple(event.step for _, event in events if isinstance(event, StepDone)),
            saved=saved.step if saved else 0,
            begun=tuple(event.step for _, event in events if isinstance(event, Started)),
            reason=ends[-1] if ends else "",
            waiting=tuple(row["id"] for row in rows),
        )
    finally:
        store.close()


def _kept(before: Seen, after: Seen, moment: str, proof: Proof) -> None:
    """The run has saved itself, and the queue is as it was."""
    lost = max(after.steps, default=0) - after.saved
    proof.figures["steps_lost"] += lost
    if lost > MOST_LOST:
        proof.faults.append(f"in {moment}: step {max(after.steps)} was made, {after.saved} is saved")
    if after.reason != "shutdown":
        proof.faults.append(f"in {moment}: the run has ended by {after.reason!r}")
    if after.waiting != before.waiting:
        proof.faults.append(f"in {moment}: the queue was {before.waiting} and is {after.waiting}")
    if len(after.steps) - len(set(after.steps)) > MOST_LOST * len(after.begun):
        proof.faults.append(f"in {moment}: steps were made twice: {after.steps}")
    if set(after.steps) != set(range(1, max(after.steps, default=0) + 1)):
        proof.faults.append(f"in {moment}: steps are missing: {after.steps}")


def _went_on(workspace: Workspace, run_id: str, proof: Proof) -> None:
    """The new server has taken the run up by itself, at its checkpoint, before those that wait."""
    before, end = _look(workspace, run_id), time.monotonic() + GO_ON_SECONDS
    attempts = proof.figures["rounds"] + 1
    while len((now := _look(workspace, run_id)).begun) < attempts:
        if time.monotonic() > end:
            proof.faults.append(f"the run did not go on within {GO_ON_SECONDS:.0f} s")
            return
        time.sleep(0.2)
    if now.begun[-1] != before.saved:
        proof.faults.append(f"it went on at step {now.begun[-1]}, not at its checkpoint, {before.saved}")
    if len(now.waiting) != 3 or run_id in now.waiting:
        proof.faults.append(f"{now.waiting} wait")


def _imports_came_to_an_end(workspace: Workspace, folder: Path, proof: Proof) -> None:
    """Every import that was cut short is a data set, with every picture."""
    wanted, end = len(list(folder.glob("*.zip"))), time.monotonic() + 4 * GO_ON_SECONDS
    while time.monotonic() < end and _imports(workspace):
        time.sleep(0.2)
    sizes = [len(dataset.items) for dataset in list_datasets(workspace)]
    if sizes.count(PICTURES) != wanted:
        proof.faults.append(f"{wanted} imports were cut short, the data sets hold {sizes}")
