"""A tenth of the inputs of the night. The whole night: python -m benchmarks.nightly --only fuzz."""

import secrets
from pathlib import Path

import pytest

from benchmarks.nightly.fuzz import TARGETS, prove


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_raises_anything_unexpected(target: str, tmp_path: Path) -> None:
    proof = prove(0.1, secrets.randbelow(2**31), tmp_path, [target])
    assert proof.faults == []
    assert proof.figures[target] == 200_000
