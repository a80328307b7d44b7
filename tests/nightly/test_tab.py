"""A tab that is away for seconds. The whole night: python -m benchmarks.nightly --only tab."""

from pathlib import Path

import pytest

from benchmarks.nightly.tab import kept_seconds, prove

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def test_a_tab_that_comes_back_finds_its_run_at_work_its_curves_whole_and_its_form_as_it_was(
    chromium: str, tmp_path: Path
) -> None:
    proof = prove(0.01, 7, tmp_path)
    assert proof.faults == []
    assert proof.figures["away_seconds"] > proof.figures["session_kept_seconds"]


def test_at_full_length_it_is_away_for_longer_than_a_session_is_kept() -> None:
    assert kept_seconds() == 120
