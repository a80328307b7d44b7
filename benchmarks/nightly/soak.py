"""Soak: a real server for an hour: short runs, sessions that come and go, files, training processes killed beside it.

Its memory, descriptors, threads, answers and write-ahead log are read while it works; at the end it is killed itself, and
everything must be there.
"""

import contextlib
import random
import statistics
import threading
import time
from pathlib import Path

import psutil

from benchmarks.nightly.nursery import Nursery
from benchmarks.nightly.proof import Proof, many
from benchmarks.nightly.scene import picture, small, workspace_with_pictures
from benchmarks.nightly.server import Server, rerun, ticket
from core.errors import ThawError
from core.store import RunStore
from core.workspace import Workspace

SECONDS, RUNS, SESSIONS, KILLS, UPLOADS = 3600, 500, 30, 100, 200
WARM = 0.3
"""Share of the time that is warm-up."""
MOST_SLOPE = 1.0
"""MB an hour after warm-up, judged from half an hour on."""
JUDGED_SECONDS = 1800
MOST_HEALTH_SECONDS = 0.25
"""Of 99 answers in a hundred, judged as the slopes are."""
MOST_WAL_BYTES = 64 * 2**20
PAGES = ("", "data", "model", "train", "results", "runs", "try_it")


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """So long, so many runs, sessions, files and kills."""
    rng = random.Random(seed)
    seconds, runs, kills = many(SECONDS, scale, 40), many(RUNS, scale, 4), many(KILLS, scale, 2)
    workspace, dataset = workspace_with_pictures(folder / "w")
    proof = Proof("soak", {"seconds_served": seconds, "runs": 0, "sessions": 0, "kills": 0, "uploads": 0})
    made: list[str] = []
    with Nursery() as nursery, Server(workspace) as server:
        over = threading.Event()
        visitors = [
            threading.Thread(target=_visit, args=(server, over, min(SESSIONS, max(2, many(SESSIONS, scale * 4))), proof)),
            threading.Thread(target=_bring, args=(server, over, many(UPLOADS, scale), seconds, proof)),
        ]
        for visitor in visitors:
            visitor.start()
        watch = _Watch(server, workspace)
        begin = time.monotonic()
        while (now := time.monotonic() - begin) < seconds or proof.figures["kills"] < kills or len(made) < runs:
            if len(made) < runs * min(1.0, now / (0.9 * seconds)):
                made.append(_submit(workspace, dataset, rng))
            if proof.figures["kills"] < kills * now / (0.9 * seconds):
                made.append(_kill_one(nursery, workspace, dataset, rng))
                proof.figures["kills"] += 1
            watch.look(now)
            if not server.alive():
                proof.faults.append("the server has ended")
                break
            if now > 3 * seconds + 300:
                proof.faults.append(f"only {len(made)} runs in {now:.0f} s")
                break
            time.sleep(min(1.0, seconds / 200))
        _drain(workspace, proof)
        over.set()
        for visitor in visitors:
            visitor.join(60)
        watch.look(time.monotonic() - begin)
        server.kill()
    proof.figures["runs"] = len(made)
    watch.report(proof, seconds)
    proof.figures["tracebacks"] = len(server.unhandled())
    proof.faults += server.unhandled()
    _nothing_lost(workspace, made, proof)
    return proof


class _Watch:
    """Memory in MB, descriptors and threads of a server over time, its answers and its write-ahead log."""

    def __init__(self, server: Server, workspace: Workspace) -> None:
        self._server = server
        self._process = psutil.Process(server.pid)
        self._wal = Path(f"{workspace.database}-wal")
        self.seen: list[tuple[float, float, int, int]] = []
        self.answers: list[float] = []
        self.wal_bytes = 0

    def look(self, now: float) -> None:
        self.answers.append(self._server.health())
        with contextlib.suppress(FileNotFoundError):
            self.wal_bytes = max(self.wal_bytes, self._wal.stat().st_size)
        with contextlib.suppress(psutil.Error):
            process = self._process
            self.seen.append((now, process.memory_info().rss / 2**20, process.num_fds(), process.num_threads()))

    def report(self, proof: Proof, seconds: float) -> None:
        """Slopes after the warm-up by the median of all pairs (Theil and Sen), so that single peaks do not speak."""
        late_answer = sorted(self.answers)[int(0.99 * len(self.answers))]
        proof.figures |= {
            "health_p99_ms": round(late_answer * 1000),
            "health_most_ms": round(max(self.answers) * 1000),
            "wal_most_mb": round(self.wal_bytes / 2**20, 1),
        }
        if self.wal_bytes >= MOST_WAL_BYTES:
            proof.faults.append(f"the write-ahead log came to {self.wal_bytes:,} bytes")
        if seconds >= JUDGED_SECONDS and late_answer >= MOST_HEALTH_SECONDS:
            proof.faults.append(f"one answer in a hundred took {late_answer * 1000:.0f} ms")
        late = [row for row in self.seen if row[0] >= WARM * self.seen[-1][0]] if self.seen else []
        if len(late) < 8:
            proof.faults.append("the server could not be watched")
            return
        thinned = late[:: max(1, len(late) // 300)]
        third = len(thinned) // 3
        memory, descriptors, threads = (_slope([(row[0] / 3600, row[at]) for row in thinned]) for at in (1, 2, 3))
        proof.figures |= {
            "memory_mb": round(statistics.median(row[1] for row in thinned[-third:])),
            "memory_mb_an_hour": round(memory, 2),
            "descriptors": [statistics.median(row[2] for row in part) for part in (thinned[:third], thinned[-third:])],
            "threads": [statistics.median(row[3] for row in part) for part in (thinned[:third], thinned[-third:])],
        }
        if seconds >= JUDGED_SECONDS:
            if memory > MOST_SLOPE:
                proof.faults.append(f"memory grows by {memory:.2f} MB an hour")
            if descriptors > 2 or threads > 2:
                proof.faults.append(f"{descriptors:.1f} descriptors and {threads:.1f} threads more an hour")


def _slope(points: list[tuple[float, float]]) -> float:
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for n, a in enumerate(points) for b in points[n + 1 :] if b[0] > a[0]]
    return statistics.median(slopes) if slopes else 0.0


def _submit(workspace: Workspace, dataset: str, rng: random.Random) -> str:
    """A run left by a process that has gone: the server takes its queue over."""
    store = RunStore(workspace)
    run = store.create(small(dataset, seed=rng.randrange(2**31), epochs=rng.randint(1, 2)))
    store.close()
    return run.id


def _kill_one(nursery: Nursery, workspace: Workspace, dataset: str, rng: random.Random) -> str:
    """A training process beside the server, killed; the server finds out and nobody else touches its run."""
    store = RunStore(workspace)
    run = store.create(small(dataset, seed=rng.randrange(2**31), epochs=50))
    child = nursery.start(workspace.root, run.id, 0.0)
    store.close()  # its queue is taken over by whoever is first: the child, or the server
    child.listen(0.2 + rng.random())
    child.kill()
    child.close()
    return run.id


def _drain(workspace: Workspace, proof: Proof) -> None:
    """Wait until the server's queue is empty; long runs that it took over from a killed process are stopped."""
    from core.events import Stop

    end = time.monotonic() + 900
    while time.monotonic() < end:
        store = RunStore(workspace)
        try:
            active = [run for run in store.runs() if run.state in {"queued", "running"}]
            for run in active:
                if run.recipe.epochs == 50:
                    with contextlib.suppress(ThawError):
                        store.send(run.id, Stop())
        finally:
            store.close()
        if not active:
            return
        time.sleep(1.0)
    proof.faults.append("the queue did not come to an end")


def _visit(server: Server, over: threading.Event, sessions: int, proof: Proof) -> None:
    """Browser sessions, as many at a time: each opens a page, asks again a few times, goes; then another comes."""
    from websockets.exceptions import WebSocketException

    def one(number: int) -> None:
        rng = random.Random(number)
        while not over.is_set():
            try:
                with server.session() as session:
                    proof.figures["sessions"] += 1
                    for _ in range(rng.randint(2, 5)):
                        session.send(rerun(rng.choice(PAGES)))
                        end = time.monotonic() + rng.uniform(4, 12)
                        while time.monotonic() < end and not over.is_set():
                            with contextlib.suppress(TimeoutError):
                                session.recv(timeout=1.0)
            except (OSError, WebSocketException, TimeoutError) as error:
                if not over.is_set() and server.alive():
                    proof.figures["broken_sessions"] = proof.figures.get("broken_sessions", 0) + 1
                    proof.figures["last_break"] = f"{type(error).__name__}: {error}"[:120]
                over.wait(1.0)

    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _bring(server: Server, over: threading.Event, files: int, seconds: float, proof: Proof) -> None:
    """So many files within so many seconds, each with the ticket of a page opened for it; what was answered is kept."""
    from websockets.exceptions import WebSocketException

    begin = time.monotonic()
    while not over.wait(0.2):
        number = proof.figures["uploads"]
        if number >= files or time.monotonic() - begin < number * 0.8 * seconds / files:
            continue
        with contextlib.suppress(OSError, WebSocketException, TimeoutError), server.session() as session:
            session.send(rerun("data"))
            while (right := ticket(session.recv(timeout=60))) is None:
                pass
            status = server.upload(right, f"{number}.png", picture(number, 0, 256))
            proof.figures["uploads"] += 1
            if status != 201:
                proof.faults.append(f"file {number} was answered with {status}")


def _nothing_lost(workspace: Workspace, made: list[str], proof: Proof) -> None:
    """Every run that was ever made is there, over or waiting, with a whole checkpoint where it says so."""
    store = RunStore(workspace)
    try:
        store._database.check()
        states: dict[str, int] = {}
        for run_id in made:
            try:
                run = store.run(run_id)
                states[run.state] = states.get(run.state, 0) + 1
                newest = store.newest_saved(run_id)
                if run.state == "failed":
                    proof.faults.append(f"{run.name} failed: {run.error}")
                if newest and run.state != "finished" and store.last_checkpoint(run_id) != newest:
                    proof.faults.append(f"{run.name}: the newest checkpoint is not whole")
                if run.state == "finished" and not (store.folder(run_id) / "model.safetensors").is_file():
                    proof.faults.append(f"{run.name} finished without a model")
            except ThawError as error:
                proof.faults.append(f"{run_id}: {error}")
        proof.figures["states"] = states
        for number in range(proof.figures["uploads"]):
            there = [file.read_bytes() for file in workspace.uploads.rglob(f"{number}.png")]
            if there != [picture(number, 0, 256)]:
                proof.faults.append(f"file {number} is not there")
    finally:
        store.close()
