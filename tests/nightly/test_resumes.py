"""Some of the resumes of the night. The whole night: python -m benchmarks.nightly --only resumes."""

import secrets
from pathlib import Path

from benchmarks.nightly.resumes import prove


def test_runs_that_were_killed_four_times_end_to_the_bit_like_unbroken_ones(tmp_path: Path) -> None:
    proof = prove(0.15, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert (proof.figures["runs"], proof.figures["identical"]) == (3, 3)
    assert proof.figures["kills"] == 12
    assert proof.figures["steps_compared"] >= 27
