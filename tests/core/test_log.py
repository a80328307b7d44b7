"""The log holds the whole story, one error after the other."""

from pathlib import Path

import pytest

from core import log


def test_errors_are_appended_with_their_traceback(tmp_path: Path) -> None:
    for number in (1, 2):
        with pytest.raises(ValueError, match="number") as caught:
            raise ValueError(f"number {number}")
        assert log.record(tmp_path, caught.value) == str(tmp_path / "log.txt")
    text = (tmp_path / "log.txt").read_text()
    assert text.count("Traceback") == 2
    assert text.index("number 1") < text.index("number 2")


def test_a_folder_that_cannot_be_written_costs_only_the_log(tmp_path: Path) -> None:
    assert log.record(tmp_path / "gone", ValueError()) == "-"
