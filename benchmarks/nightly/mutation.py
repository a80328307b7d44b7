"""Mutation: what must not lose anything, or let anybody in, is changed in one place at a time; its tests must notice.

Needs the package `mutmut`, which nothing else here does: `uv run --with mutmut python -m benchmarks.nightly`. A change that
makes a test hang counts as noticed. What differs in the case of letters alone is left out: SQL and codecs do not mind it,
and where somebody does, another change of the same word shows it. Some other changes are none either, so not all can be
noticed. Nor can what only a locked-up child or a server does: there nothing is changed.
"""

import ast
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.nightly.proof import ROOT, Proof, many

LEAST = 80.0
"""Per cent of the changes that are noticed."""
NOTICED = frozenset({1, 3, 24, -24, 36, 152, 255})
"""Exit codes of tests that failed (1, 3) or were stopped for taking too long; with any other one nothing was noticed."""
LEFT_OUT = (".git", ".venv", "__pycache__", ".*_cache", "mutants", ".hypothesis")


@dataclass(frozen=True)
class Part:
    """Files that are changed, and the tests that should notice."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


PARTS = {
    "store": Part(
        (
            *(f"core/store/{name}.py" for name in ("reading", "writing", "store")),
            *(f"core/{name}.py" for name in ("table", "turns", "database", "recovery")),
        ),
        (
            *(f"tests/core/store/test_{name}.py" for name in ("reading", "writing", "store")),
            *(f"tests/core/test_{name}.py" for name in ("table", "turns", "database", "recovery", "fair")),
        ),
    ),
    "checkpoint": Part(
        ("core/checkpoint.py",),
        tuple(f"tests/core/test_{name}.py" for name in ("checkpoint", "disk_faults", "room")),
    ),
    "import": Part(
        (
            *(f"core/dataset/{name}.py" for name in ("names", "layout", "source", "table", "taking", "splits")),
            "core/dataset/quarantine.py",
            "core/images.py",
        ),
        (
            *(f"tests/core/dataset/test_{name}.py" for name in ("names", "layout", "source", "table", "taking", "splits")),
            "tests/core/dataset/test_quarantine.py",
            "tests/core/test_images.py",
        ),
    ),
    "gate": Part(
        ("core/gate/*.py", "ui/gate.py", "ui/middleware.py", "ui/hosts.py"),
        ("tests/core/gate", *(f"tests/ui/test_{name}.py" for name in ("gate", "middleware", "hosts", "routes"))),
    ),
}  # fmt: skip


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """Those changes whose numbers end with some digits: two of ten at scale 1, all at 5."""
    proof = Proof("mutation", {})
    if find_spec("mutmut") is None:
        proof.faults.append("the package mutmut is not here: uv run --with mutmut python -m benchmarks.nightly")
        return proof
    digits = random.Random(seed).sample("0123456789", min(10, many(2, scale)))
    for name, part in PARTS.items():
        _judge(name, part, digits, folder / name, proof)
    return proof


def _judge(name: str, part: Part, digits: Sequence[str], place: Path, proof: Proof) -> None:
    shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(*LEFT_OUT))
    settings = {
        "source_paths": ["core", "ui"],
        "only_mutate": list(part.files),
        "also_copy": ["assets", "benchmarks"],
        "pytest_add_cli_args": ["-n", "0", "-p", "no:cacheprovider"],
        "pytest_add_cli_args_test_selection": list(part.tests),
        "process_isolation": "forkserver",
    }
    with (place / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n[tool.mutmut]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
    chosen = [f"*__mutmut_*{digit}" for digit in digits]
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(os.cpu_count() or 1), *chosen]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    found = Counter[str]()
    for file in (place / "mutants").rglob("*.meta"):
        codes, spelt = json.loads(file.read_text("utf-8"))["exit_code_by_key"], spelt_otherwise(file.with_suffix(""))
        for change, code in codes.items():
            if change.rpartition(".")[2] not in spelt and change[-1] in digits:
                found["not tried" if code is None else "noticed" if code in NOTICED else "not noticed"] += 1
    tried = found.total() - found["not tried"]
    if done.returncode or not tried or found["not tried"]:
        proof.faults.append(f"{name}: {dict(found)}, ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        return
    score = 100 * found["noticed"] / tried
    proof.figures[name] = [tried, round(score, 1)]
    if score < LEAST:
        proof.faults.append(f"{name}: {score:.1f} % of {tried} changes are noticed, not {LEAST:g} %")


def spelt_otherwise(file: Path) -> set[str]:
    """Names of the changes in a file of mutmut's that differ from the original in the case of letters alone."""
    texts: dict[str, dict[str, str]] = {}
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "__mutmut_" in node.name:
            name, _, which = node.name.rpartition("__mutmut_")
            texts.setdefault(name, {})[which] = ast.unparse(node).replace(node.name, "", 1).lower()
    return {
        f"{name}__mutmut_{which}"
        for name, versions in texts.items()
        for which, text in versions.items()
        if which != "orig" and text == versions["orig"]
    }
