"""Some of the inputs of the night. The whole night: python -m benchmarks.nightly --only fuzz."""

import secrets
from pathlib import Path

from benchmarks.nightly.fuzz import prove


def test_no_input_raises_anything_unexpected(tmp_path: Path) -> None:
    proof = prove(0.01, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert {proof.figures[name] for name in ("image", "archive", "recipe", "header", "names", "cookie", "upload")} == {
        20_000
    }
