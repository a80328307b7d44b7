"""Some of the power cuts of the night. The whole night: python -m benchmarks.nightly --only power."""

import secrets
from pathlib import Path

from benchmarks.nightly.power import prove


def test_no_power_cut_takes_what_was_acknowledged_and_wrong_protocols_are_caught(tmp_path: Path) -> None:
    proof = prove(0.005, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert proof.figures["states"] > 100
    assert len(proof.figures["wrong_protocols_lose"]) >= 3
