"""Thaw beside fastai, PyTorch Lightning, timm and torchvision's reference recipe: one command, one table.

    python -m benchmarks.peers --data shared/data            everything, 15 to 20 minutes on two cores
    python -m benchmarks.peers --data shared/data --quick    a look whether all of it works, 3 minutes
    python -m benchmarks.peers --table ROWS.jsonl            the tables of rows that were written before

Each contender works in a process and an environment of its own (made with uv when it is first needed, as are images,
weights and the choice of the fastest way to tune a peer; none of this is measured). All read the same files, splits, seeds
and weights, in turns. A figure with ≈ is extrapolated from the epochs or trainings that were done. The policies stand in
`contenders.py`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from benchmarks.peers import conditions, environments, material, table, tasks
from benchmarks.peers.contenders import OURS, PEERS, PRECISE, Entry, Variant, entries, policy, variants

CHILD = Path(__file__).parent / "child"
TUNING = "tuning.json"
Row = dict[str, Any]


class Bench:
    """One run: where things are, how to start a contender, and the rows so far."""

    def __init__(self, options: argparse.Namespace, out: TextIO) -> None:
        self.options, self.out = options, out
        self.cores = conditions.cores()
        self.bf16 = bool(conditions.processor()[1] & set(PRECISE))
        self.entries = entries(options.contenders, options.policies, reference=options.reference)
        self.pythons: dict[str, Path] = {OURS: Path(sys.executable)}
        self.tuned: dict[str, Variant] = {}
        self.rows: list[Row] = []
        self.things: dict[str, Any] = {}
        self.folder: Path = options.environments

    def tell(self, row: Row) -> None:
        self.rows.append(row)
        self.out.write(json.dumps(row) + "\n")
        self.out.flush()

    # preparation, not measured

    def prepare(self) -> None:
        """Environments, images, weights, tuning. A peer that cannot be installed is left out, with a row that says why."""
        for name in dict.fromkeys(entry.contender for entry in self.entries):
            if name == OURS:
                continue
            try:
                self.pythons[name] = environments.python_of(name, self.folder)
            except RuntimeError as error:
                self.tell({"task": "environment", "contender": name, "policy": "", "error": str(error)})
                print(f"{name} is left out: {error}", file=sys.stderr)
        self.entries = [entry for entry in self.entries if entry.contender in self.pythons]
        self._material()
        known = self.folder / TUNING
        read = json.loads(known.read_text("utf-8")) if known.is_file() else {}
        for name in dict.fromkeys(entry.contender for entry in self.entries if entry.policy == "tuned"):
            key = f"{name} {conditions.processor()[0]} {self.cores}"
            if key in read and not self.options.retune:
                self.tuned[name] = Variant(**read[key])
            elif self.options.quick:
                self.tuned[name] = Variant(self.cores, True, 0)
            else:
                self.tuned[name] = self._fastest(name)
                read[key] = vars(self.tuned[name])
                known.write_text(json.dumps(read, indent=1), "utf-8")

    def _material(self) -> None:
        options, root = self.options, self.folder / "material"
        root.mkdir(parents=True, exist_ok=True)
        weights = material.weights(root)
        net = {
            "backbone": "resnet18",
            "weights": weights["resnet18"]["npz"],
            "safetensors": weights["resnet18"]["safetensors"],
        }
        self.net = {**net, "classes": material.CLASSES, "size": options.size, "batch": options.batch, "seed": options.seed}
        small = {"backbone": "thaw-small", "weights": weights["thaw-small"]["npz"], "safetensors": "", "size": 64}
        self.small = {**self.net, **small}
        counts = {
            "start": 32,
            "head": options.head_images,
            "last-stage": options.last_images,
            "full": options.full_images,
            "sweep16": options.sweep_images,
        }
        self.hands = options.data / "sign-digits.zip" if options.data else None
        for name, images in counts.items():
            if options.files == "hands" and name != "start" and self.hands:
                drawn = material.shared_out(material.pictures_in(self.hands), train=images, val=images // 5, seed=len(name))
                split = {part: drawn[part] for part in ("train", "val")}
                place = material.unpacked(root, self.hands, split)
            else:
                parts = {"train": images, "val": max(10, images // 5)}
                place = material.generated(root, name=name, parts=parts, size=tasks.SIZES["500x375"])
            self.things[name] = {**self.net, "root": str(place)}
        if "decode" in options.tasks:
            self.things["decode"] = {
                name: str(material.generated(root, name=f"decode-{name}", parts={"train": count}, size=size, classes=2))
                for (name, size), count in zip(tasks.SIZES.items(), options.decode_files, strict=True)
            }
        material.warmed([root])

    def _fastest(self, name: str) -> Variant:
        """The way of spreading a tuned peer over the cores that does a small head the fastest."""
        root = self.folder / "material"
        place = material.generated(root, name="tune", parts={"train": 128, "val": 32}, size=tasks.SIZES["500x375"])
        spec = {**self.net, "root": str(place)}
        job = [{"task": "tune", "how": "fit", "spec": spec, "fits": [tasks.fit("tune", tasks.HEAD, "head", 3, 3)]}]
        took: list[tuple[float, Variant]] = []
        for variant in variants(self.cores):
            rows = self.child(Entry(name, "tuned"), job, variant)
            seconds = next(
                (row["detail"]["epoch_seconds"] for row in rows if row.get("task") == "tune" and "detail" in row), None
            )
            if seconds:
                took.append((seconds, variant))
                told = {"contender": name, "policy": "tuned", "epoch_seconds": seconds, "variant": vars(variant)}
                self.tell({"task": "tune", **told})
        return min(took, key=lambda one: one[0])[1] if took else Variant(self.cores, True, 0)

    # measuring

    def child(self, entry: Entry, jobs: list[Row], variant: Variant | None = None) -> list[Row]:
        """Let a contender do `jobs` in a new process; its rows, errors included."""
        variant = variant or (self.tuned.get(entry.contender) if entry.policy == "tuned" else None)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "KMP_"))}
        environment |= {"PYTHONWARNINGS": "ignore", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": ""}
        if entry.contender == OURS:
            environment["PYTHONPATH"] = str(conditions.ROOT)
        else:
            environment.pop("PYTHONPATH", None)
        environment |= variant.environment() if variant else {}
        chosen = policy(entry, augment=self.options.augment, cores=self.cores, bf16=self.bf16, variant=variant)
        others = conditions.Others()
        with tempfile.TemporaryDirectory(dir=self.options.scratch) as place:
            out, job, log = Path(place) / "rows.jsonl", Path(place) / "job.json", Path(place) / "log"
            (Path(place) / "scratch").mkdir()
            told: Row = {"contender": entry.contender, "policy": chosen, "tasks": jobs, "out": str(out)}
            told["scratch"] = str(Path(place) / "scratch")
            told["born"] = time.monotonic()
            job.write_text(json.dumps(told), "utf-8")
            ended = ""
            with log.open("w") as noise:
                command = [str(self.pythons[entry.contender]), str(CHILD), str(job)]
                process = subprocess.Popen(command, stdout=noise, stderr=noise, env=environment, cwd=place)
                try:
                    if process.wait(self.options.timeout):
                        ended = f"exit status {process.returncode}"
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    ended = f"stopped after {self.options.timeout:g} s"
            rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()] if out.is_file() else []
            if ended or any("error" in row for row in rows):
                print("".join(log.read_text("utf-8", "replace").splitlines(keepends=True)[-12:]), file=sys.stderr)
        if ended:
            rows.append({"task": "process", "error": ended})
        share = others.share()
        return [{**row, "contender": entry.contender, "policy": entry.policy, "others": share} for row in rows]

    def measure(self, entry: Entry, jobs: list[Row], round_: int) -> None:
        """`child`, with its rows kept and told."""
        begin = time.monotonic()
        rows = self.child(entry, jobs)
        for row in rows:
            self.tell({**row, "round": round_, "augment": self.options.augment if entry.policy != "defaults" else "own"})
        failed = [f"{row['task']}: {row['error']}" for row in rows if "error" in row]
        names = ", ".join(dict.fromkeys(row["task"] for row in rows if "seconds" in row))
        took, others = time.monotonic() - begin, rows[-1]["others"] if rows else 0.0
        print(
            f"{entry.title:32} round {round_}  {took:6.1f} s  others {others:4.0%}"
            f"  {names}{'  FAILED ' + '; '.join(failed) if failed else ''}",
            file=sys.stderr,
            flush=True,
        )

    def rounds(self) -> None:
        """Everyone in turn, again and again. What took long is not repeated: its spread is small, its price is not."""
        for round_ in range(self.options.repeats):
            self.tell({"task": "clock", "round": round_, "milliseconds": conditions.clock()})
            for entry in [*self.entries[round_:], *self.entries[:round_]]:
                jobs = tasks.training(self.options, self.things, ours=entry.contender == OURS)
                jobs = [job for job in jobs if not round_ or self._cheap(entry, job)]
                if jobs:
                    self.measure(entry, jobs, round_)
        self.tell({"task": "clock", "round": self.options.repeats, "milliseconds": conditions.clock()})

    def _cheap(self, entry: Entry, job: Row) -> bool:
        names = {what["name"] for what in job["fits"]} | {job["task"]}
        names |= {f"decode-{name}" for name in job.get("folders", {})}
        names |= {"sweep100"} if "rates" in job else set()
        mine = [row for row in self.rows if (row.get("contender"), row.get("policy")) == (entry.contender, entry.policy)]
        return bool(
            sum(row["wall"] for row in mine if row.get("task") in names and row.get("round") == 0) < self.options.patience
        )

    def from_zip(self) -> None:
        """Ours as often as there are rounds; of the peers the best at the head, once."""
        if self.hands is None:
            return
        split = material.thaws_split(self.folder / "material", self.hands)
        found = table.figures(self.rows).get("head", {})
        peers = [entry for entry in self.entries if entry.contender in PEERS]
        if self.options.zip_peers == "best" and found:
            leaders = [table.best(found, policy) for policy in self.options.policies]
            peers = [leader[0] for leader in leaders if leader]
        elif self.options.zip_peers == "none":
            peers = []
        ours = [entry for entry in self.entries if entry.contender == OURS]
        for round_ in range(self.options.repeats):
            for entry in [*ours, *([] if round_ else peers)]:
                mine = entry.contender == OURS
                job = tasks.from_zip(self.net, str(self.hands), str(split), self.options.epochs, ours=mine)
                self.measure(entry, job, round_)

    def accuracies(self) -> None:
        """One seed for all; the other seeds for ours and, for each task, for the peer that was best with the first."""
        if self.hands is None:
            return
        names, epochs = material.pictures_in(self.hands), self.options.accuracy_epochs
        policies = {"ours", *self.options.accuracy_policies}
        wanted = {entry: list(tasks.ACCURACIES) for entry in self.entries if entry.policy in policies}
        for seed in range(self.options.seeds):
            sizes = {part: getattr(self.options, f"accuracy_{part}") for part in ("val", "test")}
            drawn = material.shared_out(names, train=self.options.accuracy_images, seed=seed, **sizes)
            root = material.unpacked(self.folder / "material", self.hands, drawn)
            spec = {**self.small, "root": str(root), "seed": seed}
            for entry, these in wanted.items():
                self.measure(entry, tasks.accuracy(spec, these, epochs), seed)
            if seed == 0:
                leaders = {one.task: one.peer for one in table.comparisons(self.rows)}
                wanted = {
                    entry: mine
                    for entry, these in wanted.items()
                    if (mine := these if entry.contender == OURS else [task for task in these if leaders.get(task) == entry])
                }


def report(rows: list[Row]) -> str:
    """All tables and notes in Markdown."""
    known: Row = next((row["conditions"] for row in rows if "conditions" in row), {})
    measured = [row for row in rows if "contender" in row]
    found = table.figures(measured)
    return "\n\n".join(part for part in _parts(known, rows, measured, found) if part) + "\n"


def _parts(known: Row, rows: list[Row], measured: list[Row], found: table.Figures) -> Iterator[str]:
    versions = {key: value for row in measured for key, value in row.get("versions", {}).items() if key != "threads"}
    told = ", ".join(f"{key} {value}" for key, value in versions.items())
    yield (
        f"Measured on {known.get('date', '?')[:10]} on {known.get('cores', '?')} cores of {known.get('processor', '?')}"
        f" ({', '.join(known.get('features', []))}; {known.get('memory_gib', '?')} GiB),"
        f" Python {known.get('python', '?')}, {told};"
        f" commit {known.get('commit', '?')}{' with changes' if known.get('changed') else ''}."
        " Seconds unless said; medians (least–most) of rounds in turns; ≈ extrapolated; ratio: how many times we are faster"
        " (or need less)."
    )
    if found:
        yield table.main_table(found, known)
        yield table.ties(found)
        yield table.all_table(found, known)
    yield table.accuracy_table(measured)
    own = "; ".join(f"{peer.title}: {peer.told}" for peer in PEERS.values())
    fair = known.get("options", {}).get("augment", "none")
    yield f"Augmentation: Thaw and every tuned peer: {fair}. Peers at their defaults: {own}."
    clocks = [row["milliseconds"] for row in rows if row.get("task") == "clock"]
    others = [row["others"] for row in measured if "others" in row]
    if clocks and others:
        drift = max(clocks) / min(clocks) - 1
        yield (
            f"Quiet? Load before: {known.get('load', '?')}; other programs took up to {max(others):.0%} of the processors;"
            f" the clock drifted by {drift:.0%}{' (more than 5 %: measure again)' if drift > 0.05 else ''}."
        )
    failed = [f"{row['contender']} {row['policy']} {row['task']}: {row['error']}" for row in measured if "error" in row]
    yield "\n".join(["Failed:", *(f"- {one}" for one in failed)]) if failed else ""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, help="folder with sign-digits.zip; without it there is no zip and no accuracy")
    add("--tasks", nargs="+", choices=tasks.KINDS, default=list(tasks.KINDS))
    add("--contenders", nargs="+", choices=[OURS, *PEERS], default=[OURS, *PEERS])
    add("--policies", nargs="+", choices=["defaults", "tuned"], default=["defaults", "tuned"])
    add("--reference", action="store_true", help="also Thaw's own reference path: plain, uncached, fp32")
    add("--quick", action="store_true", help="tiny sizes: does it all work?")
    add("--repeats", type=int, default=2)
    add("--patience", type=float, default=15.0, help="a task that took a contender longer, in seconds, is not repeated")
    add("--peer-epochs", type=int, default=2, help="epochs that peers do of the planned ones, the rest extrapolated; 0: all")
    add("--augment", choices=["none", "flip"], default="none", help="for ours and for tuned peers")
    add("--files", choices=["generated", "hands"], default="generated", help="images of the timed trainings")
    add("--size", type=int, default=224)
    add("--batch", type=int, default=32)
    add("--seed", type=int, default=0)
    add("--head-images", type=int, default=500)
    add("--epochs", type=int, default=10, help="of the head")
    add("--last-images", type=int, default=256)
    add("--last-epochs", type=int, default=3)
    add("--full-images", type=int, default=128)
    add("--sweep-images", type=int, default=64)
    add("--sweep-epochs", type=int, default=3)
    add("--sweep-budget", type=float, default=60.0, help="seconds after which our own sweep over rates is extrapolated")
    add("--decode-files", type=int, nargs=3, default=[200, 100, 40], metavar=("SMALL", "MIDDLE", "LARGE"))
    add("--zip-peers", choices=["best", "all", "none"], default="best")
    add("--seeds", type=int, default=5)
    add("--accuracy-policies", nargs="*", choices=["defaults", "tuned"], default=["tuned"], help="of the peers that compete")
    add("--accuracy-images", type=int, default=600)
    add("--accuracy-val", type=int, default=100)
    add("--accuracy-test", type=int, default=800, help="0: all that are left")
    add("--accuracy-epochs", type=int, default=6)
    add(
        "--environments",
        type=Path,
        default=environments.default_folder(),
        help="kept between runs, outside of the repository",
    )
    add("--scratch", type=Path, help="for workspaces and checkpoints while a contender works")
    add("--retune", action="store_true", help="find the fastest way to tune each peer again")
    add("--timeout", type=float, default=1200.0, help="seconds for one process")
    add("--load", type=float, default=0.3, help="highest load of the last minute at which a run begins")
    add("--force", action="store_true", help="begin at any load")
    add("--json", type=Path, help="raw rows (default: artifacts/peers-DATE.jsonl)")
    add("--report", type=Path, help="write the tables here, too, ready for a README")
    add("--table", type=Path, help="measure nothing: the tables of these rows")
    given = parser.parse_args()
    if given.quick:
        for key, value in tasks.QUICK.items():
            if getattr(given, key) == parser.get_default(key):
                setattr(given, key, value)
    return given


def sizes(options: argparse.Namespace) -> dict[str, str]:
    """What the table says of each task."""
    head = f"{options.head_images} images, {options.epochs} epochs"
    return {
        "head": f"ResNet-18 at {options.size}, {head}",
        "head-again": head,
        "last-stage": f"{options.last_images} images, {options.last_epochs} epochs",
        "full": f"{options.full_images} images, 1 epoch",
        "sweep16": f"{options.sweep_images} images, {options.sweep_epochs} epochs",
        "sweep100": head,
        "zip": "2,062 images",
    }


def main() -> None:
    options = parsed()
    if options.table:
        text = report([json.loads(line) for line in options.table.read_text("utf-8").splitlines()])
    else:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        if load > options.load:
            told = f"the load of the last minute is {load:.2f}, more than {options.load:g}: figures would be wrong"
            if not options.force:
                sys.exit(f"{told}; wait, or take --force")
            print(f"warning: {told}", file=sys.stderr)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        rows = options.json or conditions.ROOT / "artifacts" / f"peers-{stamp}.jsonl"
        rows.parent.mkdir(parents=True, exist_ok=True)
        with rows.open("w", encoding="utf-8") as out:
            bench = Bench(options, out)
            given = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}  # rows travel
            bench.tell({"conditions": {**conditions.found(), "options": given, "sizes": sizes(options)}})
            bench.prepare()
            begin = time.monotonic()
            bench.rounds()
            if "zip" in options.tasks:
                bench.from_zip()
            if "accuracy" in options.tasks:
                bench.accuracies()
            print(f"measured for {(time.monotonic() - begin) / 60:.1f} minutes; rows in {rows}", file=sys.stderr)
        text = report(bench.rows)
    print(text)
    if options.report:
        options.report.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
