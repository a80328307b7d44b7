"""Soak: a real server for an hour: short runs, sessions that come and go, training processes killed beside it.

Its memory, descriptors and threads are read while it works; at the end it is killed itself, and everything must be there.
"""

import contextlib
import http.client
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from benchmarks.nightly.nursery import ROOT, Nursery
from benchmarks.nightly.proof import Proof, many
from benchmarks.nightly.scene import small, workspace_with_pictures
from core.errors import ThawError
from core.store import RunStore
from core.workspace import Workspace

SECONDS, RUNS, SESSIONS, KILLS = 3600, 500, 30, 100
WARM = 0.3
"""Share of the time that is warm-up."""
MOST_SLOPE = 1.0
"""MB an hour after warm-up, judged from half an hour on."""
JUDGED_SECONDS = 1800
PAGES = ("", "data", "model", "train", "results", "runs", "try_it")


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """So long, so many runs, sessions and kills."""
    rng = random.Random(seed)
    seconds, runs, kills = many(SECONDS, scale, 40), many(RUNS, scale, 4), many(KILLS, scale, 2)
    workspace, dataset = workspace_with_pictures(folder / "w")
    proof = Proof("soak", {"seconds_served": seconds, "runs": 0, "sessions": 0, "kills": 0})
    made: list[str] = []
    with Nursery() as nursery, _Server(workspace) as server:
        over = threading.Event()
        visitors = threading.Thread(
            target=_visit, args=(server, over, min(SESSIONS, max(2, many(SESSIONS, scale * 4))), proof)
        )
        visitors.start()
        watch = _Watch(server.pid)
        begin = time.monotonic()
        slowest = 0.0
        while (now := time.monotonic() - begin) < seconds or proof.figures["kills"] < kills or len(made) < runs:
            if len(made) < runs * min(1.0, now / (0.9 * seconds)):
                made.append(_submit(workspace, dataset, rng))
            if proof.figures["kills"] < kills * now / (0.9 * seconds):
                made.append(_kill_one(nursery, workspace, dataset, rng))
                proof.figures["kills"] += 1
            watch.look(now)
            slowest = max(slowest, server.health())
            if not server.alive():
                proof.faults.append("the server has ended")
                break
            if now > 3 * seconds + 300:
                proof.faults.append(f"only {len(made)} runs in {now:.0f} s")
                break
            time.sleep(min(1.0, seconds / 200))
        _drain(workspace, proof)
        over.set()
        visitors.join(60)
        watch.look(time.monotonic() - begin)
        server.kill()
    proof.figures["runs"] = len(made)
    proof.figures["slowest_health_ms"] = round(slowest * 1000)
    watch.report(proof, seconds)
    _nothing_lost(workspace, made, proof)
    return proof


class _Server:
    """`thaw ui` as a process of its own."""

    def __init__(self, workspace: Workspace) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command = [sys.executable, "-m", "core.cli", "ui", "--no-browser", "--port", str(self.port)]
        command += ["--workspace", str(workspace.root), "--device", "cpu"]
        self.log = workspace.root / "server.txt"
        self._out = self.log.open("wb")
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=self._out, stderr=self._out,
                                         env={**os.environ, "OMP_NUM_THREADS": "1", "THAW_LANGUAGE": "en"})  # fmt: skip
        self.pid = self._process.pid

    def __enter__(self) -> "_Server":
        end = time.monotonic() + 180
        while b"Thaw is ready" not in self.log.read_bytes():
            if time.monotonic() > end or not self.alive():
                raise RuntimeError(f"the server did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._out.close()

    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: the last fault of the hour."""
        if self.alive():
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(20)

    def health(self) -> float:
        """Seconds that an answer takes; 30 if there is none."""
        begin = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            return 30.0
        finally:
            connection.close()
        return time.monotonic() - begin


class _Watch:
    """Memory in MB, descriptors and threads of a process over time."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.seen: list[tuple[float, float, int, int]] = []

    def look(self, now: float) -> None:
        with contextlib.suppress(psutil.Error):
            process = self._process
            self.seen.append((now, process.memory_info().rss / 2**20, process.num_fds(), process.num_threads()))

    def report(self, proof: Proof, seconds: float) -> None:
        """Slopes after the warm-up by the median of all pairs (Theil and Sen), so that single peaks do not speak."""
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


def _visit(server: _Server, over: threading.Event, sessions: int, proof: Proof) -> None:
    """Browser sessions, as many at a time: each opens a page, asks again a few times, goes; then another comes."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    def one(number: int) -> None:
        rng = random.Random(number)
        while not over.is_set():
            try:
                url = f"ws://127.0.0.1:{server.port}/_stcore/stream"
                with connect(url, origin=f"http://127.0.0.1:{server.port}", max_size=2**26, open_timeout=60) as socket_:  # type: ignore[arg-type]
                    proof.figures["sessions"] += 1
                    for _ in range(rng.randint(2, 5)):
                        message = BackMsg()
                        message.rerun_script.query_string = ""
                        message.rerun_script.page_name = rng.choice(PAGES)
                        socket_.send(message.SerializeToString())
                        end = time.monotonic() + rng.uniform(4, 12)
                        while time.monotonic() < end and not over.is_set():
                            with contextlib.suppress(TimeoutError):
                                socket_.recv(timeout=1.0)
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
        wal = Path(f"{workspace.database}-wal")
        proof.figures["log_mb"] = round(wal.stat().st_size / 2**20, 1) if wal.exists() else 0
    finally:
        store.close()
    text = (workspace.root / "server.txt").read_text("utf-8", errors="replace")
    proof.figures["tracebacks"] = text.count("Traceback (most recent call last)")
    if proof.figures["tracebacks"]:
        proof.faults.append(text[text.index("Traceback (most recent call last)") :][:1500])
