"""What one GPU does with Thaw: H1 to H8, one command, ten minutes, JSON lines as it goes and a table at the end.

    python -m benchmarks.gpu --out DIR                          all of it on an H200 with 16 cores
    python -m benchmarks.gpu --out DIR --device cpu --quick     a look whether it works; what needs a GPU says so
    python -m benchmarks.gpu --table DIR/rows.jsonl             the table of rows that were written before

Each section works in a process of its own with a budget of its own: what fails, or hangs, costs the others nothing. Files
are generated. Thaw has to be installed (`pip install --no-deps` of its wheel will do), with torch, torchvision, numpy,
Pillow, pydantic, orjson, platformdirs, psutil and safetensors.
"""

import argparse
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.peers.conditions import ROOT, found
from core.threads import set_threads

Row = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """`work` is a function of a module of this package; `seconds` its budget."""

    title: str
    work: str
    seconds: float
    goal: str = ""


SECTIONS = {
    "H0": Section("machine and files", "decoding.prepare", 90),
    "H1": Section("JPEG decoding", "decoding.decoding", 70, "both together at least 10,000 images/s of 500x375"),
    "H2": Section("frozen forward pass", "forward.forward", 95, "ResNet-50 at least 20,000 images/s (stretch 30,000)"),
    "H3": Section("a head on 20,000 images", "training.head", 110, "at most 3 s; 15 times the reference"),
    "H4": Section("everything learns, 2 epochs", "training.full", 130, "at least 5,000 images/s (stretch 7,000), 2 times"),
    "H5": Section("last stage from kept activations", "forward.tail", 45, "graph at least 3 times eager at batch 32"),
    "H6": Section("a thousand heads", "many.heads", 40, "at most 0.5 s"),
    "H7": Section("thirty tenants", "many.tenants", 45, "95 % wait at most 10 s"),
    "H8": Section("a sprint from scratch", "training.sprint", 60, "a record of images/s"),
}
FILES = {"H1", "H3", "H4", "H7", "H8"}
"""They need what H0 generates."""
AFTER = 8.0
"""Seconds after its budget when a section that has not ended is ended."""
SPARE = 5.0
"""Seconds at the end for the table."""


def child(options: argparse.Namespace) -> None:
    """One section, here."""
    set_threads(interactive=False)
    from benchmarks.gpu.bench import Bench

    bench = Bench(
        options.child, options.out / "rows.jsonl", device=options.device, quick=options.quick, scratch=options.scratch,
        deadline=options.until, files=options.files,
    )  # fmt: skip
    module, _, name = SECTIONS[options.child].work.partition(".")
    try:
        getattr(importlib.import_module(f"benchmarks.gpu.{module}"), name)(bench)
    except Exception as error:
        bench.tell("section", error=f"{type(error).__name__}: {error}"[:800])
        raise


def section(name: str, options: argparse.Namespace, scratch: Path, end: float) -> None:
    """One section in a process of its own, ended with all its children when its time is over."""
    rows, begin = options.out / "rows.jsonl", time.time()
    seconds = min(SECTIONS[name].seconds * options.stretch, end - begin - AFTER)
    if seconds < 5:
        _tell(rows, {"section": name, "what": "section", "skipped": "no time left"})
        return
    command = [
        sys.executable,
        "-m",
        "benchmarks.gpu",
        "--child",
        name,
        "--out",
        str(options.out),
        "--device",
        options.device,
    ]
    command += ["--scratch", str(scratch), "--until", str(begin + seconds), *(["--quick"] if options.quick else [])]
    command += ["--files"] if FILES & set(options.only or SECTIONS) else []
    with (options.out / f"{name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
        try:
            status = process.wait(seconds + AFTER)
            ended = f"exit status {status}" if status else ""
        except subprocess.TimeoutExpired:
            ended = f"stopped after {seconds + AFTER:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # its own session: only what it has started
                process.wait()
    took = round(time.time() - begin, 1)
    _tell(rows, {"section": name, "what": "section", "seconds": took, **({"error": ended} if ended else {})})
    print(f"{name} {SECTIONS[name].title}: {took} s {ended}", file=sys.stderr, flush=True)
    if ended:
        print("\n".join((options.out / f"{name}.log").read_text("utf-8", "replace").splitlines()[-8:]), file=sys.stderr)


def conditions(options: argparse.Namespace) -> Row:
    """Machine, versions and commit; a copy of the tree without git is told its commit."""
    try:
        row = found()
    except PackageNotFoundError as error:
        row = {"error": f"not installed: {error}"}
    if options.commit:
        row |= {"commit": options.commit, "changed": None}
    try:
        row["thaw"] = version("thaw")
    except PackageNotFoundError:
        row["thaw"] = "not installed: the engine cannot name its version, H3, H4 and H8 will fail"
    return {**row, "device": options.device, "quick": options.quick, "nvidia-smi": _smi()}


def _smi(*words: str) -> str:
    try:
        done = subprocess.run(["nvidia-smi", *words], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: {error}"
    return (done.stdout or done.stderr).strip()


def _tell(rows: Path, row: Row) -> None:
    with rows.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row, default=str) + "\n")


def table(rows: list[Row]) -> str:
    """All of it in Markdown."""
    known: Row = next((row["conditions"] for row in rows if "conditions" in row), {})
    gpu: Row = next((row for row in rows if row.get("what") == "GPU"), {})
    versions = ", ".join(f"{name} {number}" for name, number in known.get("versions", {}).items())
    parts = [
        f"Measured on {str(known.get('date', '?'))[:10]} on {gpu.get('name', known.get('device', '?'))} with"
        f" {known.get('cores', '?')} cores of {known.get('processor', '?')}, Python {known.get('python', '?')}, {versions};"
        f" commit {known.get('commit', '?')}{' with changes' if known.get('changed') else ''}."
        + (" Tiny sizes: a test of the benchmark, not of the machine." if known.get("quick") else "")
    ]
    for name, about in SECTIONS.items():
        mine = [row for row in rows if row.get("section") == name]
        if not mine:
            continue
        lines = ["| what | value | least–most | |", "|---|---:|---:|---|"]
        lines += [_line(row) for row in mine if row["what"] != "section" or "value" in row or not _quiet(row)]
        took = next((row["seconds"] for row in mine if row["what"] == "section" and "seconds" in row), "?")
        parts.append(
            f"**{name}: {about.title}** ({took} s){f'; aim: {about.goal}' if about.goal else ''}\n\n" + "\n".join(lines)
        )
    return "\n\n".join(parts) + "\n"


def _quiet(row: Row) -> bool:
    return "error" not in row and "skipped" not in row


def _line(row: Row) -> str:
    told = f"**failed**: {row['error']}" if "error" in row else row.get("skipped", "")
    value = f"{_number(row['value'])} {row['unit']}" if "value" in row else "–"
    spread = f"{_number(row['least'])}–{_number(row['most'])}" if "least" in row else ""
    cells = (row["what"], value, spread, str(told).replace("\n", " ")[:160])
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def run(options: argparse.Namespace) -> None:
    """All sections that are wanted, one after another."""
    end = time.time() + options.seconds - SPARE
    options.out = options.out.absolute()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = options.out / "rows.jsonl"
    rows.unlink(missing_ok=True)
    _tell(rows, {"conditions": conditions(options)})
    scratch = Path(tempfile.mkdtemp(prefix="thaw-gpu-", dir=options.scratch))
    wanted = ["H0", *(name for name in SECTIONS if name != "H0" and name in (options.only or SECTIONS))]
    try:
        for name in wanted:
            section(name, options, scratch, end)
            report(rows)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        _tell(rows, {"afterwards": _smi()})
        print(report(rows))


def report(rows: Path) -> str:
    """The table so far, beside the rows."""
    told = table([json.loads(line) for line in rows.read_text("utf-8").splitlines()])
    rows.with_name("table.md").write_text(told, "utf-8")
    return told


def main() -> None:
    """Read the options and go."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of rows.jsonl, table.md and the sections' logs")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="these sections; H0 always comes first")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether all of it works")
    parser.add_argument("--seconds", type=float, default=585.0, help="for everything")
    parser.add_argument("--stretch", type=float, default=1.0, help="factor of each section's budget")
    parser.add_argument("--scratch", type=Path, help="where files of some 15 GB are put and removed")
    parser.add_argument("--commit", default="", help="of this tree, where git cannot say")
    parser.add_argument("--table", type=Path, metavar="ROWS")
    parser.add_argument("--child", choices=list(SECTIONS), help=argparse.SUPPRESS)
    parser.add_argument("--files", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        print(report(options.table))
    elif options.out is None:
        parser.error("--out is needed")
    elif options.child:
        child(options)
    else:
        run(options)


if __name__ == "__main__":
    main()
