"""One of the restarts of the night. The whole night: python -m benchmarks.nightly --only restart."""

import secrets
from pathlib import Path

from benchmarks.nightly.restart import prove


def test_a_server_told_to_end_inside_a_save_leaves_in_time_and_the_next_one_goes_on(tmp_path: Path) -> None:
    proof = prove(0.02, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert (proof.figures["rounds"], proof.figures["in_save"]) == (1, 1)
    assert proof.figures["steps_lost"] <= 1
