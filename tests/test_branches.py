"""A run of the whole suite in which too few branches are taken fails and says where; a part of it is not judged."""

import os
import subprocess
import sys

from tests.branches import PARTS, ROOT

FEW = "tests/core/gate/test_limits.py"


def pytest_run(*arguments: str) -> tuple[int, str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, env=outside, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_whole_run_that_takes_too_few_branches_fails_and_says_of_which_part() -> None:
    status, said = pytest_run("-o", f"testpaths={FEW}")
    line = next(line for line in said.splitlines() if line.startswith("branches taken"))
    shares = dict(part.split(" ")[:2] for part in line.partition(": ")[2].replace(" %", "").split(", "))
    assert status == 1
    assert set(shares) == set(PARTS)
    assert float(shares["door"]) == 0 < float(shares["gate"])


def test_a_part_of_the_suite_is_not_judged_by_its_branches() -> None:
    status, said = pytest_run(FEW)
    assert status == 0
    assert "branches taken" not in said
