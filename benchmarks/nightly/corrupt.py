"""Corrupt: checkpoints and databases are damaged in every way; the answer is always a card or the truth, never a crash.

A wrong load is one that gives anything but what was saved. The work is done in child processes, so that a crash of SQLite or
of torch would be seen as what it is.
"""

import json
import logging
import os
import random
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.nightly.proof import Proof, alone, many, tell
from core import checkpoint
from core.errors import ThawError
from core.events import Ended, Event, Notice, Saved, StepDone
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import open_workspace

CHECKPOINTS, DATABASES, TOGETHER = 1000, 200, 50


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """So many of each."""
    return alone("benchmarks.nightly.corrupt", scale, seed, folder)


def _prove(scale: float, seed: int, folder: Path) -> Proof:
    proof = Proof("corrupt", {"checkpoints": 0, "refused": 0, "databases": 0, "cards": 0, "brought_back": 0, "unharmed": 0})
    for work, number in ((_checkpoints, many(CHECKPOINTS, scale, 20)), (_databases, many(DATABASES, scale, 10))):
        for first in range(0, number, TOGETHER):
            _in_child(work, range(first, min(first + TOGETHER, number)), seed, folder, proof)
    return proof


def _in_child(work: Callable[..., None], numbers: range, seed: int, folder: Path, proof: Proof) -> None:
    """Run `work` on each number in one child; its figures and faults come back through a file."""
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            own = Proof("", dict.fromkeys(proof.figures, 0))
            place = folder / "child"
            for number in numbers:
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                try:
                    work(random.Random(f"{seed} {work.__name__} {number}"), place, own)
                except Exception:
                    own.faults.append(f"{work.__name__} {number}: {traceback.format_exc(limit=-6)}")
            answer.write_text(json.dumps([own.figures, own.faults]))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status or not answer.exists():
        proof.faults.append(f"{work.__name__} {numbers}: the process ended with {os.waitstatus_to_exitcode(status)}")
        return
    figures, faults = json.loads(answer.read_text())
    for key, value in figures.items():
        proof.figures[key] += value
    proof.faults += faults


# --- checkpoints ------------------------------------------------------------------------------------------------------


def _state(run: int, step: int) -> dict[str, Any]:
    import torch

    return {"place": {"step": step}, "run": run, "weights": torch.full((30, 40), float(100 * run + step)), "text": "雪"}


def _checkpoints(rng: random.Random, place: Path, proof: Proof) -> None:
    """Two runs with three checkpoints each; one file, or its manifest, or both are damaged."""
    store = RunStore(open_workspace(place))
    runs = [store.create(Recipe(name=str(number))) for number in range(2)]
    right: dict[Path, tuple[int, int]] = {}
    for number, run in enumerate(runs):
        for step in (1, 2, 3):
            path = store.folder(run.id) / checkpoint.free_name(store.folder(run.id), step)
            written = checkpoint.save(path, _state(number, step), {"step": step, "clock": 1.0})
            store.append(run.id, [Saved(step=step, epoch=1, best=False, file=written.file, sha256=written.sha256,
                                        size_bytes=written.size_bytes)])  # fmt: skip
            right[path] = (number, step)
    victim = rng.choice(list(right))
    before = {file: file.read_bytes() for path in right for file in (path, checkpoint.manifest_of(path))}
    _hurt(rng, victim, [path for path in right if path != victim])
    proof.figures["checkpoints"] += 1
    for path, (number, step) in right.items():
        harmed = not path.exists() or path.read_bytes() != before[path]
        try:
            state = checkpoint.load(path)
        except ThawError:
            proof.figures["refused"] += 1
            if not harmed and checkpoint.manifest_of(path).read_bytes() == before[checkpoint.manifest_of(path)]:
                proof.faults.append(f"{path.name} is whole and was refused")
        else:
            truth = (state["run"], state["place"]["step"], float(state["weights"].min()), float(state["weights"].max()))
            wanted = (number, step, 100.0 * number + step, 100.0 * number + step)
            if truth != wanted:
                proof.faults.append(f"{path.name} was damaged and gave {truth}, not {wanted}")
    for number, run in enumerate(runs):  # what a run really goes on from: hashes from the database, never from the folder
        saved = store.last_checkpoint(run.id)
        whole = [step for path, (owner, step) in right.items()
                 if owner == number and path.exists() and path.read_bytes() == before[path]]  # fmt: skip
        if (saved.step if saved else 0) != max(whole, default=0):
            proof.faults.append(f"run {number} would go on from {saved}, whole are {whole}")
        if saved:
            state = checkpoint.load(store.folder(run.id) / saved.file, saved.sha256)
            if (state["run"], state["place"]["step"]) != (number, saved.step):
                proof.faults.append(f"run {number} would load {state['run']} {state['place']}")
    store.close()


def _hurt(rng: random.Random, victim: Path, others: list[Path]) -> None:
    manifest, other = checkpoint.manifest_of(victim), rng.choice(others)
    how = rng.randrange(12)
    if how <= 3:
        _flip(rng, victim, 1 if how < 3 else rng.randint(2, 100))
    elif how == 4:
        victim.write_bytes(victim.read_bytes()[: rng.randrange(victim.stat().st_size)])
    elif how == 5:
        victim.unlink()
    elif how == 6:  # swapped with another, of this run or not
        mine, its = victim.read_bytes(), other.read_bytes()
        victim.write_bytes(its)
        other.write_bytes(mine)
    elif how == 7:  # another's file and manifest under this name
        shutil.copy(other, victim)
        shutil.copy(checkpoint.manifest_of(other), manifest)
    elif how == 8:
        _flip(rng, manifest, rng.randint(1, 5))
    elif how == 9:
        manifest.write_bytes(rng.choice([b"", b"{}", b"[1]", b"null", b'{"sha256": 3}', b"\xff\xfe", b"[" * 5000]))
    elif how == 10:
        data = bytearray(victim.read_bytes())
        at = rng.randrange(len(data))
        data[at : at + 512] = rng.choice([b"\0", b"\xff"]) * len(data[at : at + 512])
        victim.write_bytes(data)
    else:
        victim.write_bytes(victim.read_bytes() + rng.randbytes(rng.randint(1, 100)))


def _flip(rng: random.Random, file: Path, bits: int) -> None:
    data = bytearray(file.read_bytes())
    for _ in range(bits):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


# --- databases --------------------------------------------------------------------------------------------------------


def _databases(rng: random.Random, place: Path, proof: Proof) -> None:
    """A database with runs, events, a copy of itself; damaged, then opened as a server opens it."""
    workspace = open_workspace(place)
    store = RunStore(workspace)
    truth: dict[str, tuple[Recipe, list[Event]]] = {}
    for number in range(rng.randint(2, 6)):
        recipe = Recipe(name=f"run {number}", lr=0.001 * (number + 1), seed=number)
        run = store.create(recipe)
        events: list[Event] = [
            StepDone(step=n, epoch=1, loss=n / 7, correct=n, images=8, lr=0.01) for n in range(rng.randint(1, 300))
        ]
        events += [Notice(code="x" * rng.randint(10, 3000)) for _ in range(rng.randint(1, 6))]
        events.append(Ended(outcome="paused", step=number))
        store.transition(run.id, "running")
        store.append(run.id, events)
        truth[run.id] = (recipe, events)
        if number == 1 and rng.random() < 0.7:
            store.keep_copy()
    files = [workspace.database]
    if rng.random() < 0.5:  # a crash: the write-ahead log is still there
        wal = Path(f"{workspace.database}-wal")
        logged = (workspace.database.read_bytes(), wal.read_bytes())
        store.close()
        workspace.database.write_bytes(logged[0])
        wal.write_bytes(logged[1])
        files.append(wal)
    else:
        store.close()
    _hurt_database(rng, files)
    proof.figures["databases"] += 1
    _ask(workspace.root, truth, proof)


def _hurt_database(rng: random.Random, files: list[Path]) -> None:
    file = rng.choice(files)
    how, data = rng.randrange(11), bytearray(file.read_bytes())
    if how <= 2 and data:
        _flip(rng, file, rng.choice([1, 1, 3, 30, 300]))
    elif how == 3:
        file.write_bytes(data[: rng.randrange(len(data) + 1)])
    elif how in {4, 5} and len(data) > 4096:  # whole pages
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data) // 4096) * 4096
            data[at : at + 4096] = rng.choice([b"\0" * 4096, b"\xff" * 4096, rng.randbytes(4096), bytes(data[-4096:])])
        file.write_bytes(data)
    elif how == 6:
        for at in rng.sample(range(100), 5):
            data[at : at + 1] = rng.randbytes(1)
        file.write_bytes(data)
    elif how == 7:
        file.unlink()
    elif how == 8:
        file.write_bytes(rng.choice([b"", b"SQLite format 3\0", b"hello" * 1000, rng.randbytes(20_000)]))
    elif how == 9:
        file.write_bytes(data + rng.randbytes(rng.randint(1, 9000)))
    else:  # an old half and a new half
        half = len(data) // 8192 * 4096
        data[half:] = rng.randbytes(len(data) - half)
        file.write_bytes(data)


def _ask(root: Path, truth: dict[str, tuple[Recipe, list[Event]]], proof: Proof) -> None:
    """Everything that is said must be true: a run as it was made, events as they were written, or fewer of them."""
    try:
        store = RunStore(open_workspace(root))
    except ThawError:
        proof.figures["cards"] += 1
        return
    cards = 0
    try:
        store.serve()
        found = store.runs()
        if len(found) < len(truth) and not store.rescued and not store.found:
            proof.faults.append(f"{len(truth) - len(found)} runs are lost without a word")
        for run in found:
            if run.id not in truth:
                proof.faults.append(f"a run {run.id} that never was")
                continue
            recipe, events = truth[run.id]
            if run.recipe != recipe:
                proof.faults.append(f"the recipe of {run.name} is another")
            try:
                said = [event for _, event in store.events(run.id)]
            except ThawError:
                cards += 1
                continue
            lost = [event for event in said if isinstance(event, Ended) and event.reason == "lost"]
            kept = [event for event in said if event not in lost]
            if kept != events[: len(kept)] and not _is_part(kept, events):
                proof.faults.append(f"the events of {run.name} are others")
        again = store.create(Recipe(name="afterwards"))
        store.append(again.id, [Notice(code="y")])
    except ThawError:
        cards += 1
    finally:
        rescued = store.rescued
        store.close()
    if rescued:
        proof.figures["brought_back"] += 1
    else:
        proof.figures["cards" if cards else "unharmed"] += 1


def _is_part(some: list[Event], whole: list[Event]) -> bool:
    """`some` are of the whole, in their order."""
    rest = iter(whole)
    return all(any(event == one for one in rest) for event in some)


if __name__ == "__main__":
    logging.disable()  # damage on purpose is no news
    tell(_prove(float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
