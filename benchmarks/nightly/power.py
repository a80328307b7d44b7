"""Power: every write, flush, rename of the protocol is recorded, and disks are made as a power cut may leave them.

A cut may come after any call. Of what was not flushed any part may be on the disk, in any order, some writes only in half; a
new name is there only if its folder was flushed. Each such disk is opened as the next start opens it: everything that had
been acknowledged by then must be there. Three protocols that are wrong on purpose must be caught, else the proof proves
nothing; a fourth leaves SQLite's own flushes out, a fifth that of the folder into which a data set is published.

With strace the recording is of a real process, its database and a data set included; without it, of the calls that Python
makes.
"""

import ast
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.nightly.proof import ROOT, Proof, many
from benchmarks.nightly.scene import picture
from core import checkpoint
from core.dataset.edits import read_edits
from core.dataset.record import read_manifest
from core.errors import ThawError
from core.store import RunStore
from core.workspace import Workspace, open_workspace

STATES = 6000
MUTANTS = (
    "no flush of the file",
    "no flush of the folder",
    "overwritten in place",
    "database without flushes",
    "set without flushes",
)
CALLS = "openat,mkdir,write,pwrite64,fsync,fdatasync,sync,rename,unlink,ftruncate,close"
SECTOR = 512

Op = tuple[Any, ...]
"""('mkdir', path) ('link', path) ('write', path, offset, bytes) ('size', path, n) ('sync', path or '' for all)
('rename', a, b) ('unlink', path) ('ack', values)"""


# --- the process that is recorded -------------------------------------------------------------------------------------


def perform(root: Path, mutant: str, acks: Callable[[list[Any]], None], *, traced: bool) -> None:
    """A run with its events and checkpoints, old ones pruned, a second start; each acknowledgement is told to `acks`.

    If `traced` a data set too, and a decision about it: they are written by calls that Python does not tell.
    """
    import torch

    from core import durable
    from core.events import Ended, Saved, StepDone
    from core.recipe import Recipe

    torch.set_num_threads(1)
    if mutant == "no flush of the file":
        checkpoint.os = _Without("fsync", checkpoint.os, file_only=True)  # type: ignore[attr-defined]
    elif mutant == "no flush of the folder":
        checkpoint.flush_folder = lambda folder: None
    elif mutant == "overwritten in place":
        checkpoint.free_name = lambda folder, step: "step-00000001.ckpt"
        checkpoint.write_durably = _in_place  # type: ignore[assignment]
    workspace = open_workspace(root)
    if traced:
        _bring(workspace, mutant, acks)
    store = RunStore(workspace)
    if mutant == "database without flushes":
        store._database._writer.execute("PRAGMA synchronous=OFF")
    run = store.create(Recipe(name="cut"))
    acks(["run", run.id])
    store.transition(run.id, "running")
    folder = store.folder(run.id)
    names: list[str] = []
    for step in range(1, 5):
        steps = [StepDone(step=10 * step + n, epoch=1, loss=0.5, correct=1, images=2, lr=0.1) for n in range(3)]
        acks(["event", run.id, store.append(run.id, steps)])
        name = checkpoint.free_name(folder, step)
        written = checkpoint.save(
            folder / name, {"step": step, "weights": torch.full((40, 40), float(step))}, {"step": step}
        )
        saved = Saved(step=step, epoch=1, file=name, sha256=written.sha256, size_bytes=written.size_bytes, best=False)
        acks(["event", run.id, store.append(run.id, [saved])])
        acks(["saved", run.id, step])
        names.append(name)
        checkpoint.prune(folder, names[-2:])
    store.append(run.id, [Ended(outcome="paused", step=4)])
    acks(["state", run.id, "paused"])
    durable.write(root / "note.json", b"{}")
    store.close()
    store = RunStore(workspace)
    acks(["event", run.id, store.append(run.id, [StepDone(step=99, epoch=2, loss=0.5, correct=1, images=2, lr=0.1)])])
    store.close()


def _bring(workspace: Workspace, mutant: str, acks: Callable[[list[Any]], None]) -> None:
    """A data set of six images, then a decision."""
    from core.dataset import decide, importing, publishing
    from core.dataset.taking import Labelled

    right = publishing.flush_folder
    if mutant == "set without flushes":
        publishing.flush_folder = lambda folder: None
    files = [Labelled(f"{n % 2}/{n}.png", f"{n % 2}", None, partial(picture, n % 2, n, 8)) for n in range(6)]
    made = importing.build(files, workspace, name="cut", source="cut.zip")
    publishing.flush_folder = right
    acks(["set", made.id, 6])
    decide(made, "exclude", [made.items[0].sha256])
    acks(["edit", made.id, 1])


class _Without:
    """A module without one of its functions."""

    def __init__(self, name: str, module: Any, *, file_only: bool) -> None:
        self._name, self._module, self._file_only = name, module, file_only

    def __getattr__(self, name: str) -> Any:
        if name != self._name:
            return getattr(self._module, name)
        import stat

        return lambda handle: self._module.fsync(handle) if stat.S_ISDIR(os.fstat(handle).st_mode) else None


def _in_place(path: Path, write: Callable[[Any], object]) -> tuple[str, int]:
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    sink = checkpoint._Hashing(handle)
    write(sink)
    os.fsync(handle)
    os.close(handle)
    checkpoint.flush_folder(path.parent)
    return sink.digest.hexdigest(), sink.size


# --- recording --------------------------------------------------------------------------------------------------------


def record(folder: Path, *, traced: bool) -> dict[str, list[Op]]:
    """What one process does to its workspaces, in order: by the right protocol (''), and by each that is wrong."""
    mutants = ("", *(MUTANTS if traced else MUTANTS[:3]))
    command = [sys.executable, "-m", "benchmarks.nightly.power", str(folder), str(int(traced)), *mutants]
    for number in range(len(mutants)):
        (folder / f"w{number}").mkdir(parents=True)
    log = folder / "calls"
    if traced:
        command = ["strace", "-f", "-y", "-xx", "-s", "10000000", "-e", f"trace={CALLS}", "-o", str(log), *command]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    found: dict[str, list[Op]] = {}
    for number, mutant in enumerate(mutants):
        if traced:
            found[mutant] = list(_of_strace(log, folder / f"w{number}", folder / f"acks{number}"))
        else:
            lines = (folder / f"calls{number}").read_text("utf-8").splitlines()
            found[mutant] = [tuple(ast.literal_eval(line)) for line in lines]
    return found


_BEGUN = re.compile(rb"^(\d+) +(.*) <unfinished \.\.\.>$")
_ENDED = re.compile(rb"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_CALL = re.compile(rb"^\d+ +(\w+)\((.*)\) += (\d+)(?:<[^>]*>)?$")
_HANDLE = re.compile(rb"^(\d+)<([^>]*)>(?:\(deleted\))?")


def _plain(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode()) if b"\\x" in text else text


def whole_calls(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of strace in which each call is told at its end: it tells in two halves what another thread interrupts."""
    begun: dict[bytes, bytes] = {}
    for line in lines:
        if found := _BEGUN.match(line):
            begun[found[1]] = line.removesuffix(b" <unfinished ...>")
        elif found := _ENDED.match(line):
            yield begun.pop(found[1], b"") + found[2]
        else:
            yield line


def _of_strace(log: Path, root: Path, acks: Path) -> Iterator[Op]:
    at: dict[bytes, int] = {}
    seen: set[str] = {str(root)}
    inside = str(root).encode()
    for line in whole_calls(log.read_bytes().split(b"\n")):
        found = _CALL.match(line)
        if not found:
            continue
        call, given, answer = found[1].decode(), found[2], int(found[3])
        texts = [_plain(text).decode("utf-8", "replace") for text in re.findall(rb'"((?:\\x[0-9a-f]{2})*)"', given[:4096])]
        handle = _HANDLE.match(given)
        path = _plain(handle[2]).decode() if handle else ""
        if call == "openat":
            at[str(answer).encode()] = 0
            if "O_CREAT" in given.decode("latin-1") and texts[0].startswith(str(root)):
                if texts[0] not in seen:
                    yield ("link", texts[0])
                    seen.add(texts[0])
                elif "O_TRUNC" in given.decode("latin-1"):
                    yield ("size", texts[0], 0)
        elif call == "sync":
            yield ("sync", "")
        elif call == "mkdir" and texts[0].startswith(str(root)):
            yield ("mkdir", texts[0])
        elif call == "rename" and texts[0].startswith(str(root)):
            seen.discard(texts[0])
            seen.add(texts[1])
            yield ("rename", texts[0], texts[1])
        elif call == "unlink" and texts[0].startswith(str(root)):
            seen.discard(texts[0])
            yield ("unlink", texts[0])
        elif handle and path == str(acks) and call == "write":
            yield ("ack", json.loads(_plain(re.findall(rb'"((?:\\x[0-9a-f]{2})*)"', given)[0])))
        elif handle and path.encode().startswith(inside) and not path.endswith("-shm"):
            if call in {"fsync", "fdatasync"}:
                yield ("sync", path)
            elif call == "ftruncate":
                yield ("size", path, int(given.rsplit(b", ", 1)[1]))
            elif call in {"write", "pwrite64"}:
                data = _plain(re.findall(rb'"((?:\\x[0-9a-f]{2})*)"', given)[0])
                offset = int(given.rsplit(b", ", 1)[1]) if call == "pwrite64" else at.get(handle[1], 0)
                if call == "write":
                    at[handle[1]] = offset + len(data)
                yield ("write", path, offset, data)


class _PythonsCalls:
    """Takes down what Python's own `os` is asked to do in a folder. SQLite asks the system itself, so it is not heard."""

    NAMES = ("open", "write", "fsync", "replace", "unlink", "mkdir", "close")

    def __init__(self, root: Path, log: Path) -> None:
        self.root, self.log = str(root), log.open("w", encoding="utf-8")
        self.real = {name: getattr(os, name) for name in self.NAMES}
        self.handles: dict[int, list[Any]] = {}
        for name in self.NAMES:
            setattr(os, name, getattr(self, f"_{name}"))

    def end(self) -> None:
        for name, function in self.real.items():
            setattr(os, name, function)

    def say(self, *op: Any) -> None:
        self.log.write(repr(op) + "\n")
        self.log.flush()

    def _open(self, path: Any, flags: int, *more: Any, **named: Any) -> int:
        new = flags & os.O_CREAT and not os.path.lexists(path)
        handle = int(self.real["open"](path, flags, *more, **named))
        if os.fspath(path).startswith(self.root):
            self.handles[handle] = [os.fspath(path), 0]
            if new:
                self.say("link", os.fspath(path))
            elif flags & os.O_TRUNC:
                self.say("size", os.fspath(path), 0)
        return handle

    def _write(self, handle: int, data: Any) -> int:
        sent = int(self.real["write"](handle, data))
        if handle in self.handles:
            path, offset = self.handles[handle]
            self.say("write", path, offset, bytes(data[:sent]))
            self.handles[handle][1] += sent
        return sent

    def _fsync(self, handle: int) -> None:
        self.real["fsync"](handle)
        if handle in self.handles:
            self.say("sync", self.handles[handle][0])

    def _close(self, handle: int) -> None:
        self.handles.pop(handle, None)
        self.real["close"](handle)

    def _replace(self, a: Any, b: Any) -> None:
        self.real["replace"](a, b)
        if os.fspath(a).startswith(self.root):
            self.say("rename", os.fspath(a), os.fspath(b))

    def _unlink(self, path: Any, *more: Any, **named: Any) -> None:
        self.real["unlink"](path, *more, **named)
        if os.fspath(path).startswith(self.root):
            self.say("unlink", os.fspath(path))

    def _mkdir(self, path: Any, *more: Any, **named: Any) -> None:
        self.real["mkdir"](path, *more, **named)
        if os.fspath(path).startswith(self.root):
            self.say("mkdir", os.fspath(path))


# --- disks after a cut ------------------------------------------------------------------------------------------------


@dataclass
class _Inode:
    safe: bytes = b""
    pending: list[Op] = field(default_factory=list)


@dataclass
class Disk:
    """What is safe, and what is only on its way."""

    inodes: list[_Inode] = field(default_factory=list)
    now: dict[str, int] = field(default_factory=dict)
    """Names as the process sees them."""
    safe: dict[str, int] = field(default_factory=dict)
    """Names that a cut leaves; -1 is a folder."""
    pending: list[Op] = field(default_factory=list)
    """('link', name, inode) ('rename', a, b, inode) ('unlink', name), in order."""

    def apply(self, op: Op) -> None:
        """One call more."""
        kind = op[0]
        if kind == "mkdir":
            self.now[op[1]] = -1
            self.pending.append(("link", op[1], -1))
        elif kind == "link":
            self.inodes.append(_Inode())
            self.now[op[1]] = len(self.inodes) - 1
            self.pending.append(("link", op[1], self.now[op[1]]))
        elif kind == "rename":
            _moved(self.now, op[1], op[2], self.now[op[1]])
            self.pending.append(("rename", op[1], op[2], self.now[op[2]]))
        elif kind == "unlink" and op[1] in self.now:
            del self.now[op[1]]
            self.pending.append(("unlink", op[1]))
        elif kind in {"write", "size"} and self.now.get(op[1], -1) >= 0:
            self.inodes[self.now[op[1]]].pending.append((kind, *op[2:]))
        elif kind == "sync":
            self._sync(op[1])

    def _sync(self, path: str) -> None:
        if not path:
            for name in [name for name, inode in self.now.items() if inode >= 0]:
                self._sync(name)
            for op in self.pending:
                _entry(self.safe, op)
            self.pending = []
            return
        inode = self.now.get(path)
        if inode is not None and inode >= 0:
            self.inodes[inode].safe = _content(self.inodes[inode].safe, self.inodes[inode].pending)
            self.inodes[inode].pending = []
            return
        for op in [op for op in self.pending if str(Path(op[1]).parent) == path]:
            _entry(self.safe, op)
            self.pending.remove(op)

    def count(self) -> int:
        """Of the things that are on their way."""
        return len(self.pending) + sum(len(inode.pending) for inode in self.inodes)

    def files(self, chosen: Callable[[], bool], torn: Callable[[], bool]) -> dict[str, bytes | None]:
        """A disk: path to content, None for a folder. `chosen` says of each thing on its way whether it has arrived."""
        names = dict(self.safe)
        for op in self.pending:
            if chosen():
                _entry(names, op)
        contents = []
        for inode in self.inodes:
            kept = [(op[0], op[1], op[2][: len(op[2]) // 2 // SECTOR * SECTOR]) if op[0] == "write" and torn() else op
                    for op in inode.pending if chosen()]  # fmt: skip
            contents.append(_content(inode.safe, kept))
        found: dict[str, bytes | None] = {}
        for name in sorted(names):
            above = str(Path(name).parent)
            if (above in found and found[above] is None) or (above not in self.now and above not in names):
                found[name] = None if names[name] < 0 else contents[names[name]]
        return found


def _entry(names: dict[str, int], op: Op) -> None:
    if op[0] == "link":
        names[op[1]] = op[2]
    elif op[0] == "unlink":
        names.pop(op[1], None)
    else:
        _moved(names, op[1], op[2], op[3])


def _moved(names: dict[str, int], before: str, after: str, inode: int) -> None:
    """A name becomes another one, and with a folder all that lies in it."""
    names.pop(before, None)
    names[after] = inode
    for name in [name for name in names if inode < 0 and name.startswith(f"{before}/")]:
        names[after + name.removeprefix(before)] = names.pop(name)


def _content(before: bytes, ops: list[Op]) -> bytes:
    data = bytearray(before)
    for op in ops:
        if op[0] == "size":
            del data[op[1] :]
            data.extend(b"\0" * (op[1] - len(data)))
        else:
            data.extend(b"\0" * (op[1] + len(op[2]) - len(data)))
            data[op[1] : op[1] + len(op[2])] = op[2]
    return bytes(data)


def disks(ops: list[Op], states: int, rng: random.Random) -> Iterator[tuple[dict[str, bytes | None], list[list[Any]]]]:
    """Disks with what had been acknowledged: for cuts all over the recording, none twice."""
    disk, acks, met = Disk(), [], set[bytes]()
    each = max(1, round(states / max(1, len(ops))))
    chance = min(1.0, states / max(1, len(ops)))
    for op in ops:
        if op[0] == "ack":
            acks.append(op[1])
        else:
            disk.apply(op)
        if rng.random() > chance and op[0] != "ack":
            continue
        for files in _samples(disk, each, rng):
            mark = hashlib.sha256(repr((len(acks), sorted(files.items()))).encode()).digest()
            if mark not in met:
                met.add(mark)
                yield files, list(acks)


def _samples(disk: Disk, each: int, rng: random.Random) -> Iterator[dict[str, bytes | None]]:
    """None of it, all of it, all but one, and by chance."""
    never = lambda: False  # noqa: E731
    yield disk.files(never, never)
    yield disk.files(lambda: True, never)
    for _ in range(each):
        left = rng.randrange(max(1, disk.count()))
        turn = iter(range(10**9))
        yield disk.files(lambda turn=turn, left=left: next(turn) != left, never)  # type: ignore[misc]
        share = rng.random()
        yield disk.files(lambda share=share: rng.random() < share, lambda: rng.random() < 0.2)  # type: ignore[misc]


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(files: dict[str, bytes | None], acks: list[list[Any]], root: Path, place: Path, *, database: bool) -> str:
    """What is lost on this disk; '' if nothing is."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name, data in files.items():
        path = place / Path(name).relative_to(root)
        if data is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    last = {kind: [ack for ack in acks if ack[0] == kind] for kind in ("set", "edit", "run", "event", "saved", "state")}
    try:
        return _database(place, last) if database else _files(place, last)
    except ThawError as error:
        return f"{error.code}: {error}"


def _database(place: Path, last: dict[str, list[list[Any]]]) -> str:
    if lost := _sets(place, last):
        return lost
    store = RunStore(open_workspace(place))
    try:
        if store.rescued:
            return f"the database was damaged: {store.rescued}"
        store._database.check()
        for _, run_id in last["run"]:
            store.run(run_id)
        for _, run_id, seq in last["event"][-1:]:
            if store.last_seq(run_id) < seq:
                return f"event {seq} is lost"
            store.events(run_id)
        for _, run_id, step in last["saved"][-1:]:
            saved = store.last_checkpoint(run_id)
            if saved is None or saved.step < step:
                return f"checkpoint {step} is lost"
            if checkpoint.load(store.folder(run_id) / saved.file, saved.sha256)["step"] != saved.step:
                return f"checkpoint {step} is another"
        for _, run_id, state in last["state"]:
            if store.run(run_id).state != state:
                return f"the run is {store.run(run_id).state}, not {state}"
        return ""
    finally:
        store.close()


def _sets(place: Path, last: dict[str, list[list[Any]]]) -> str:
    """The data sets: every image as it was, every decision."""
    for _, set_id, images in last["set"]:
        dataset = read_manifest(place / "datasets" / set_id)[0]
        if len([dataset.image(item) for item in dataset.items]) != images:
            return f"data set {set_id} is another"
    for _, set_id, decisions in last["edit"]:
        if len(read_edits(place / "datasets" / set_id)) < decisions:
            return f"a decision about data set {set_id} is lost"
    return ""


def _files(place: Path, last: dict[str, list[list[Any]]]) -> str:
    """The checkpoints alone, by their manifests."""
    whole = []
    for _, run_id in last["run"]:
        for path in checkpoint.checkpoints(place / "runs" / run_id):
            try:
                state = checkpoint.load(path)
            except ThawError:
                continue  # it is known to be damaged: an older one does
            if "-1.ckpt" not in path.name and int(path.name[5:13]) != state["step"]:
                return f"{path.name} holds step {state['step']}"
            whole.append(state["step"])
    wanted = last["saved"][-1][2] if last["saved"] else 0
    return "" if max(whole, default=0) >= wanted else f"checkpoint {wanted} is lost"


def works() -> bool:
    """strace is here and may trace."""
    if not shutil.which("strace"):
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], check=False, capture_output=True).returncode == 0


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """The protocol keeps everything on every disk; each of the wrong ones loses something."""
    rng = random.Random(seed)
    traced = works()
    proof = Proof("power", {"states": 0, "calls": 0, "database": "traced" if traced else "not traced: no strace"})
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="thaw-power-", dir=memory)) if memory.is_dir() else folder / "disk"
    try:
        recorded = record(folder, traced=traced)
        proof.figures["calls"] = len(recorded[""])
        for files, acks in disks(recorded[""], many(STATES, scale, 40), rng):
            proof.figures["states"] += 1
            lost = judge(files, acks, folder / "w0", place / "d", database=traced)
            if lost:
                proof.faults.append(f"after {len(acks)} acknowledgements: {lost}")
        caught = {}
        for number, (mutant, ops) in enumerate(recorded.items()):
            if not mutant:
                continue
            tried, losses = 0, 0
            for files, acks in disks(ops, many(STATES // 4, scale, 60), rng):
                tried += 1
                losses += bool(judge(files, acks, folder / f"w{number}", place / "d", database=traced))
                if losses >= 5 and tried >= 20:
                    break
            caught[mutant] = f"{losses} of {tried}"
            if not losses:
                proof.faults.append(f"the wrong protocol '{mutant}' was not caught")
        proof.figures["wrong_protocols_lose"] = caught
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return proof


def _main(folder: str, traced: str, *mutants: str) -> None:
    for number, mutant in enumerate(mutants):
        root = Path(folder, f"w{number}")
        handle = os.open(Path(folder, f"acks{number}"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        open_workspace(root)
        calls = None if traced == "1" else _PythonsCalls(root, Path(folder, f"calls{number}"))
        if calls:
            for path in sorted(root.iterdir()):
                calls.say("mkdir", str(path))
            calls.say("sync", str(root))

        def tell(values: list[Any], calls: _PythonsCalls | None = calls, handle: int = handle) -> None:
            if calls:
                calls.say("ack", values)
            else:
                os.write(handle, json.dumps(values).encode())

        right = {name: getattr(checkpoint, name) for name in ("os", "flush_folder", "free_name", "write_durably")}
        perform(root, mutant, tell, traced=traced == "1")
        for name, thing in right.items():
            setattr(checkpoint, name, thing)
        if calls:
            calls.end()
        os.close(handle)


if __name__ == "__main__":
    _main(*sys.argv[1:])
