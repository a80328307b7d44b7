"""Some of the kills of the night. The whole night: python -m benchmarks.nightly --only kills."""

import secrets
from pathlib import Path

from benchmarks.nightly.kills import prove


def test_nothing_acknowledged_is_lost_when_training_is_killed(tmp_path: Path) -> None:
    proof = prove(1 / 6, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert proof.figures["kills"] >= 50
    assert proof.figures["inside_a_save"] >= 7
    assert proof.figures["events"] > 0
