"""Some of the sequences of the night. The whole night: python -m benchmarks.nightly --only machine."""

import secrets
from pathlib import Path

from benchmarks.nightly.machine import prove


def test_any_sequence_of_acts_and_crashes_keeps_the_table_of_states(tmp_path: Path) -> None:
    proof = prove(0.05, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert proof.figures["sequences"] == 500
    assert proof.figures["crashes"] > 160
    assert proof.figures["checkpoints"] > 10
