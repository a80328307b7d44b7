"""One of the resumes of the night. The whole night: python -m benchmarks.nightly --only resumes."""

import secrets
from pathlib import Path

from benchmarks.nightly.resumes import prove


def test_a_run_that_was_killed_four_times_ends_to_the_bit_like_an_unbroken_one(tmp_path: Path) -> None:
    proof = prove(0.05, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert (proof.figures["runs"], proof.figures["identical"]) == (1, 1)
    assert proof.figures["kills"] == 4
    assert proof.figures["steps_compared"] >= 9
