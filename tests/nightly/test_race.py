"""One of the races of the night. The whole night: python -m benchmarks.nightly --only race."""

import secrets
from pathlib import Path

from benchmarks.nightly.race import prove


def test_fifty_starts_at_one_moment_give_one_run_a_device_and_every_event_once(tmp_path: Path) -> None:
    proof = prove(0.05, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert (proof.figures["races"], proof.figures["starts"]) == (1, 56)
