"""Some of the power cuts of the night. The whole night: python -m benchmarks.nightly --only power."""

import secrets
from pathlib import Path

from benchmarks.nightly.power import prove, whole_calls


def test_no_power_cut_takes_what_was_acknowledged_and_wrong_protocols_are_caught(tmp_path: Path) -> None:
    proof = prove(0.005, secrets.randbelow(2**31), tmp_path)
    assert proof.faults == []
    assert proof.figures["states"] > 100
    assert len(proof.figures["wrong_protocols_lose"]) >= 3


def test_a_call_that_another_thread_interrupts_is_told_whole_and_at_its_end() -> None:
    said = [
        b'7 write(5</a>, "\\x61", 1 <unfinished ...>',
        b"8 fsync(6</b> <unfinished ...>",
        b"9 +++ exited with 0 +++",
        b"8 <... fsync resumed>)              = 0",
        b"8 close(6</b>)                      = 0",
        b"7 <... write resumed>)              = 1",
    ]
    assert list(whole_calls(said)) == [
        b"9 +++ exited with 0 +++",
        b"8 fsync(6</b>)              = 0",
        b"8 close(6</b>)                      = 0",
        b'7 write(5</a>, "\\x61", 1)              = 1',
    ]
