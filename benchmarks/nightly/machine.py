"""Machine: random sequences of everything that can be done to runs, crashes among them, against a model of a few lines."""

import random
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.nightly.proof import Proof, many
from core import checkpoint
from core.drive import take_slot
from core.errors import StoreError
from core.events import Discard, Ended, Pause, Saved, StepDone, Stop
from core.locks import Hold
from core.recipe import Recipe
from core.run import BEFORE, RESUMABLE, STATES, State
from core.store import RunStore
from core.workspace import Workspace, open_workspace

SEQUENCES, LENGTH, TOGETHER = 10_000, 14, 40
OUTCOMES = ("finished", "stopped", "paused", "interrupted", "discarded", "failed")
OVER = ("finished", "discarded")
DEVICES = ("cpu", "cuda:1")
ACTS = (
    "create", "claim", "claim", "steps", "steps", "save", "save", "end", "end", "requeue", "move", "send", "take", "bin",
    "crash",
)  # fmt: skip


@dataclass
class Known:
    """What the model knows of a run."""

    state: State
    owner: int
    """Which of the two processes."""
    device: str
    deleted: bool = False
    steps: int = 0
    commands: list[str] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)
    """Checkpoints that were acknowledged, and those that a crash left whole but untold."""
    saved_step: int = -1


class House:
    """Two processes, as two stores with two boots; one of them may be the server."""

    def __init__(self, workspace: Workspace, rng: random.Random) -> None:
        self.workspace, self.rng = workspace, rng
        self.stores = [RunStore(workspace), RunStore(workspace)]
        self.known: dict[str, Known] = {}
        self.slots: dict[str, Hold] = {}
        """Of the runs at work."""
        self.faults: list[str] = []
        self.done: list[str] = []

    def begin(self) -> None:
        """A new sequence; the runs of old ones are over."""
        for store in self.stores:
            store.close()
        for run_id in list(self.slots):
            self.slots.pop(run_id).release()
        self.stores = [RunStore(self.workspace), RunStore(self.workspace)]
        self.known, self.done = {}, []

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Take down what is not as the model says."""
        if found != wanted:
            self.faults.append(f"{what}: {found!r}, not {wanted!r}; after {' · '.join(self.done)}")

    def one(self) -> None:
        """Do something at random, in both worlds."""
        op = self.rng.choice(ACTS) if self.known else "create"
        who = self.rng.randrange(2)
        run_id = self.rng.choice(list(self.known)) if self.known else ""
        self.done.append(f"{op} {who} {run_id[-3:]}")
        getattr(self, f"_{op}")(who, self.stores[who], run_id)

    def _create(self, who: int, store: RunStore, _: str) -> None:
        device = self.rng.choice(DEVICES)
        self.known[store.create(Recipe(name="x", device=device)).id] = Known("queued", who, device)

    def _claim(self, who: int, store: RunStore, run_id: str) -> None:
        run = self.known[run_id]
        hold: Hold | None = None
        with suppress(StoreError):
            hold = take_slot(store, run.device)
        self.expect("slot", hold is None, run.device in (self.known[other].device for other in self.slots))
        if hold is None:
            return
        wins = run.state == "queued" and run.owner == who and not run.deleted
        self.expect("claim", store.transition(run_id, "running", allowed={"queued"}), wins)
        if wins:
            run.state, self.slots[run_id] = "running", hold
        else:
            hold.release()

    def _steps(self, who: int, store: RunStore, run_id: str) -> None:
        run = self.known[run_id]
        if run.state != "running" or run.owner != who:
            return
        new = [StepDone(step=run.steps + n, epoch=1, loss=1.0, correct=0, images=1, lr=0.1) for n in (1, 2)]
        store.append(run_id, new)
        run.steps += 2

    def _save(self, who: int, store: RunStore, run_id: str) -> None:
        run = self.known[run_id]
        if run.state == "running" and run.owner == who:
            store.append(run_id, [self._written(store, run_id)])

    def _written(self, store: RunStore, run_id: str) -> Saved:
        """A checkpoint on the disk that nobody has said anything of so far."""
        run, folder = self.known[run_id], store.folder(run_id)
        name = checkpoint.free_name(folder, run.steps)
        written = checkpoint.save(folder / name, {"steps": run.steps}, {"step": run.steps})
        run.saved.append(name)
        run.saved_step = run.steps
        return Saved(step=run.steps, epoch=0, file=name, sha256=written.sha256, size_bytes=written.size_bytes, best=False)

    def _end(self, who: int, store: RunStore, run_id: str) -> None:
        run, outcome = self.known[run_id], self.rng.choice(OUTCOMES)
        may = run.state in BEFORE[outcome] & {"running"}  # type: ignore[index]
        self.expect(f"end {outcome}", store.end(run_id, Ended(outcome=outcome), states={"running"}), may)  # type: ignore[arg-type]
        if may:
            run.state, run.commands = outcome, []  # type: ignore[assignment]
            self.slots.pop(run_id).release()

    def _requeue(self, who: int, store: RunStore, run_id: str) -> None:
        run = self.known[run_id]
        may = run.state in RESUMABLE and not run.deleted and (bool(run.saved) or run.state not in {"stopped", "failed"})
        try:
            store.requeue(run_id)
            self.expect("requeue", True, may)
        except StoreError:
            self.expect("requeue", False, may)
        if may:
            run.state, run.owner = "queued", who

    def _move(self, who: int, store: RunStore, run_id: str) -> None:
        run, new = self.known[run_id], self.rng.choice(STATES)
        if new in {"running", "queued"} or run.state in {"queued", "running"}:
            return
        self.expect(f"move to {new}", store.transition(run_id, new), run.state in BEFORE[new])
        if run.state in BEFORE[new]:
            run.state = new

    def _send(self, who: int, store: RunStore, run_id: str) -> None:
        run, command = self.known[run_id], self.rng.choice([Stop(), Pause(), Discard()])
        may = run.state in {"queued", "running"}
        try:
            store.send(run_id, command)
            self.expect("send", True, may)
        except StoreError:
            self.expect("send", False, may)
        if may:
            run.commands.append(command.kind)

    def _take(self, who: int, store: RunStore, run_id: str) -> None:
        run = self.known[run_id]
        self.expect("take", [command.kind for command in store.take(run_id)], run.commands)
        run.commands = []

    def _bin(self, who: int, store: RunStore, run_id: str) -> None:
        run = self.known[run_id]
        if run.deleted:
            store.restore(run_id)
            run.deleted = False
            return
        may = run.state not in {"queued", "running"}
        try:
            store.delete(run_id)
            self.expect("delete", True, may)
        except StoreError:
            self.expect("delete", False, may)
        run.deleted = may

    def _crash(self, who: int, store: RunStore, _: str) -> None:
        """The process is gone, perhaps inside a save; what it was running is interrupted, its queue is taken over."""
        for run_id, run in self.known.items():
            if run.owner == who and run.state == "running" and run.steps > run.saved_step and self.rng.random() < 0.3:
                self._written(store, run_id)
        store.close()
        for run_id in [run_id for run_id in self.slots if self.known[run_id].owner == who]:
            self.slots.pop(run_id).release()  # as the system does
        self.stores[who] = RunStore(self.workspace)
        self.stores[1 - who].recover()
        taker = self.rng.randrange(2)
        self.stores[taker].adopt()
        for run in self.known.values():
            if run.owner == who and run.state == "running":
                run.state, run.commands = "interrupted", []
            elif run.owner == who and run.state == "queued":
                run.owner = taker

    def check(self) -> None:
        """Both worlds agree."""
        store = self.stores[self.rng.randrange(2)]
        for run_id, run in self.known.items():
            there = store.run(run_id)
            self.expect("state", (there.state, there.deleted), (run.state, run.deleted))
            steps = [event.step for _, event in store.events(run_id) if isinstance(event, StepDone)]
            self.expect("steps", steps, list(range(1, run.steps + 1)))
            self._check_saved(store, run_id, run)
            if run.state in OVER:
                for new in STATES:
                    self.expect(f"leave {run.state}", store.transition(run_id, new), False)
        live = Counter(run.recipe.device for run in store.runs() if run.state == "running")
        self.expect("most live on a device", max(live.values(), default=0) > 1, False)
        with store._database.read() as db:
            seqs = [row[0] for row in db.execute("SELECT seq FROM event ORDER BY seq")]
        self.expect("event numbers", seqs, list(range(1, len(seqs) + 1)))

    def _check_saved(self, store: RunStore, run_id: str, run: Known) -> None:
        """Every checkpoint that was acknowledged is still listed and loads, and the newest is that of the next attempt."""
        listed = [event for _, event in store.events(run_id) if isinstance(event, Saved)]
        self.expect("saved", [saved.file for saved in listed], run.saved)
        for saved in listed:
            state = checkpoint.load(store.folder(run_id) / saved.file, saved.sha256)
            self.expect(saved.file, state["steps"], saved.step)
        newest = store.last_checkpoint(run_id)
        self.expect("last checkpoint", newest and newest.file, run.saved[-1] if run.saved else None)


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """So many sequences; a few share a database, in memory where the machine has such a place."""
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="thaw-machine-", dir=memory)) if memory.is_dir() else folder
    proof = Proof("machine", {"sequences": 0, "acts": 0, "crashes": 0, "checkpoints": 0})
    rng = random.Random(seed)
    try:
        house: House | None = None
        for number in range(many(SEQUENCES, scale, 10)):
            if number % TOGETHER == 0:
                if house:
                    for store in house.stores:
                        store.close()
                shutil.rmtree(place / "w", ignore_errors=True)
                house = House(open_workspace(place / "w"), rng)
            assert house is not None
            house.begin()
            for _ in range(rng.randint(4, 2 * LENGTH)):
                house.one()
            house.check()
            proof.figures["sequences"] += 1
            proof.figures["acts"] += len(house.done)
            proof.figures["checkpoints"] += sum(len(run.saved) for run in house.known.values())
            proof.figures["crashes"] += sum(act.startswith("crash") for act in house.done)
            if house.faults:
                proof.faults += house.faults
                break
    finally:
        if house:
            for store in house.stores:
                store.close()
        if place != folder:
            shutil.rmtree(place, ignore_errors=True)
    return proof
