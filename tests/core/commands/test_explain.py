"""`thaw explain CODE`: what stands on a card, for whoever hears its code."""

import pytest

from core.cli import main
from core.words import catalogue


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "1")

    def run(code: str, language: str = "en") -> tuple[int, str, str]:
        monkeypatch.setenv("THAW_LANGUAGE", language)
        return main(["explain", code]), *capsys.readouterr()  # type: ignore[return-value]

    return run


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_code_is_explained(explain, language: str) -> None:
    codes = [key[6:-6] for key in catalogue("en") if key.startswith("error.") and key.endswith(".cause")]
    assert len(codes) > 150
    for code in codes:
        status, out, error = explain(code, language)
        assert (status, len(out.splitlines()), error) == (0, 2, ""), code
        assert "{" not in out, code


def test_values_stand_as_their_names_and_it_may_be_read_out_in_capitals(explain) -> None:
    assert explain(" RUN.max_hours ")[1].startswith("The run has worked for ‹hours› hours")


def test_a_code_that_was_misheard_finds_its_neighbours(explain) -> None:
    status, out, error = explain("data.no_image")
    assert (status, out) == (1, "")
    assert "There is no card with the code data.no_image." in error
    assert "data.no_images" in error
