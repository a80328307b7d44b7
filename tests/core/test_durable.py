"""A file appears whole or not at all; a changed text is known by its seal."""

import errno
import json
import os
from pathlib import Path

import pytest

from core import durable


def test_a_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    durable.write(file, b"one")
    durable.write(file, b"two")
    assert file.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    file = tmp_path / "a.json"
    durable.write(file, b"one")

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="full"):
        durable.write(file, b"two")
    monkeypatch.undo()
    assert file.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [file]


def test_every_flipped_bit_of_a_sealed_text_is_found_or_leaves_no_text() -> None:
    text = b'{"lr": 0.01}'
    sealed = durable.sealed(text)
    assert durable.unsealed(sealed) == text
    assert durable.unsealed(text) == text  # from before there were seals
    for bit in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert durable.unsealed(bytes(flipped)) == bytes(flipped)  # no seal any more: no JSON either
        except ValueError:
            continue
        with pytest.raises(ValueError, match=r"."):
            json.loads(bytes(flipped))
