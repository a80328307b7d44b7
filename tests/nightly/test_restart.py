"""Some of the restarts of the night. The whole night: python -m benchmarks.nightly --only restart."""

import secrets
from pathlib import Path

from benchmarks.nightly.restart import prove


def test_a_server_told_to_end_in_a_save_an_import_or_a_step_leaves_in_time_and_the_next_one_goes_on(tmp_path: Path) -> None:
    proof = prove(0.06, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert [proof.figures[key] for key in ("rounds", "in_save", "in_import", "in_step")] == [3, 1, 1, 1]
    assert proof.figures["steps_lost"] <= 3  # one a restart
