"""Prove it: `python -m benchmarks.nightly [--only NAME]... [--scale 0.01] [--seed N] [--json FILE]`.

One table on standard output, one line of JSON a proof in FILE; the status is 1 if a proof failed. At scale 1 the numbers
are those of the night (kills 300, resumes 20, restarts 50, races 20, corrupt 1,000 and 200, fuzz 2 million a target,
machine 10,000, cuts of the whole catalogue, a tab away for 130 s, mutation a fifth of all changes, soak an hour); the
pull-request column is `--scale 0.01`. Mutation needs the package `mutmut`: `uv run --with mutmut python -m ...`.
The seed is random unless it is given, and printed, so that a failure comes back.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import logging
import secrets
import sys
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.nightly.proof import Proof

NAMES = ("machine", "power", "corrupt", "kills", "resumes", "restart", "race", "cuts", "tab", "fuzz", "soak", "mutation")


def main() -> int:
    """Run the proofs that were asked for; gives the exit status."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.nightly", description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    asked.add_argument("--scale", type=float, default=1.0)
    asked.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    asked.add_argument("--json", type=Path)
    asked.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    args = asked.parse_args()
    logging.disable()  # damage on purpose is no news
    found = []
    for name in args.only or NAMES:
        print(f"{name} …", end="", file=sys.stderr, flush=True)
        proof = carry_out(name, args.scale, args.seed, args.folder)
        found.append(proof)
        print(f" {'ok' if proof.passed else 'FAILED'} in {proof.seconds:.0f} s", file=sys.stderr)
        if args.json:
            with args.json.open("a", encoding="utf-8") as out:
                out.write(proof.to_json(scale=args.scale, seed=args.seed) + "\n")
    print(f"\nscale {args.scale:g}, seed {args.seed}")
    print("| proof | result | seconds | figures |\n|---|---|---|---|")
    for proof in found:
        figures = ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in proof.figures.items())
        print(f"| {proof.name} | {'passed' if proof.passed else '**FAILED**'} | {proof.seconds:.0f} | {figures} |")
    for proof in found:
        for fault in proof.faults[:20]:
            print(f"{proof.name}: {fault}", file=sys.stderr)
    return 0 if all(proof.passed for proof in found) else 1


def carry_out(name: str, scale: float, seed: int, folder: Path | None) -> Proof:
    """One proof; an exception of its own is a failure like any other."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"thaw-{name}-", dir=folder, ignore_cleanup_errors=True) as place:
        try:
            proof: Proof = import_module(f"benchmarks.nightly.{name}").prove(scale, seed, Path(place))
        except Exception:
            proof = Proof(name, {}, [traceback.format_exc()])
    proof.seconds = time.monotonic() - begin
    return proof


def _plain(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict) else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
