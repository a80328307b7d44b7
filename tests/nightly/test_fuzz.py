"""A tenth of the inputs of the night. The whole night: python -m benchmarks.nightly --only fuzz."""

import secrets
import time
from pathlib import Path

import pytest

from benchmarks.nightly import fuzz
from benchmarks.nightly.fuzz import TARGETS, prove
from benchmarks.nightly.proof import Proof


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_raises_anything_unexpected(target: str, tmp_path: Path) -> None:
    proof = prove(0.1, secrets.randbelow(2**31), tmp_path, [target])
    assert proof.faults == []
    assert proof.figures[target] == 200_000


def test_an_input_that_takes_for_ever_is_told_with_the_place_where_it_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def for_ever(data: bytes) -> None:
        time.sleep(600)

    monkeypatch.setitem(TARGETS, "cookie", for_ever)
    monkeypatch.setattr(fuzz, "HANG_SECONDS", 0.5)
    proof = Proof("fuzz", {})
    fuzz._fuzz("cookie", 1, 3, 1, tmp_path, proof)
    assert "no end in" in proof.faults[0]
    assert "for_ever" in proof.faults[0]
    assert "ended with -9" in proof.faults[1]
