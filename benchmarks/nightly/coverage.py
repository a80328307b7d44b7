"""Coverage: the branches of what must not lose anything, or let anybody in, that the tests take. At least 90 % of each part.

Needs the package `coverage`, which nothing else here does: `uv run --with coverage python -m benchmarks.nightly --only
coverage`. Locked-up children are not looked into, their parts are tested in this process.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.nightly.nursery import ROOT
from benchmarks.nightly.proof import Proof

LEAST = 90.0
"""Per cent."""
PARTS = {
    "store": ("core/store.py",),
    "checkpoint": ("core/checkpoint.py",),
    "recovery": ("core/recovery.py",),
    "database": ("core/database.py",),
    "dataset": ("core/dataset/*.py",),
    "gate": ("core/gate/*.py",),
    "door": ("ui/server.py", "ui/gate.py", "ui/middleware.py", "ui/access.py", "ui/sign_in.py", "ui/hosts.py"),
}
TESTS = (
    *(f"tests/core/test_{name}.py" for name in ("store", "checkpoint", "recovery", "database", "disk_faults", "backup")),
    *(f"tests/core/test_{name}.py" for name in ("engine", "drive", "fair")),
    *(f"tests/ui/test_{name}.py" for name in ("gate", "sign_in", "hosts", "access", "server", "routes", "health")),
    "tests/core/gate",
    "tests/core/dataset",
)
SETTINGS = """
[run]
branch = True
parallel = True
sigterm = True
patch = subprocess
data_file = {folder}/data
include =
{include}
"""


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """Once, whatever the scale and the seed."""
    proof = Proof("coverage", {})
    if find_spec("coverage") is None:
        proof.faults.append("the package coverage is not installed")
        return proof
    settings, found = folder / "coverage.ini", folder / "found.json"
    files = {
        part: sorted(str(file.relative_to(ROOT)) for one in globs for file in ROOT.glob(one))
        for part, globs in PARTS.items()
    }
    include = "\n".join(f"    {ROOT / file}" for part in files.values() for file in part)
    settings.write_text(SETTINGS.format(folder=folder, include=include), "utf-8")
    tests = [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest", "-n", "0", "-q", *TESTS]
    for command in (
        tests,
        [sys.executable, "-m", "coverage", "combine", "-q", f"--rcfile={settings}"],
        [sys.executable, "-m", "coverage", "json", "-q", f"--rcfile={settings}", "-o", str(found)],
    ):
        done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
        if done.returncode:
            proof.faults.append(f"{command[2:5]} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
            return proof
    reports = json.loads(found.read_text("utf-8"))["files"]
    for part, names in files.items():
        told = [reports[name]["summary"] for name in names if name in reports]
        taken, there = (sum(one[key] for one in told) for key in ("covered_branches", "num_branches"))
        share = 100 * taken / max(1, there)
        proof.figures[part] = round(share, 1)
        if share < LEAST:
            left = {name: reports[name]["missing_branches"] for name in names if name in reports}
            proof.faults.append(f"{part}: {share:.1f} % of {there} branches, not {LEAST:g} %; left {left}")
    return proof
