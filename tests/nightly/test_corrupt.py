"""Some of the damaged files of the night. The whole night: python -m benchmarks.nightly --only corrupt."""

import secrets
from pathlib import Path

from benchmarks.nightly.corrupt import prove


def test_damage_is_answered_with_the_truth_or_a_card(tmp_path: Path) -> None:
    proof = prove(0.1, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert (proof.figures["checkpoints"], proof.figures["databases"]) == (100, 20)
    assert proof.figures["refused"] > 33
