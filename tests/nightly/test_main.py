"""The command that carries proofs out."""

from pathlib import Path

from benchmarks.nightly import __main__ as nightly


def test_every_proof_can_be_asked_for_by_its_name() -> None:
    files = Path(nightly.__file__).parent.glob("*.py")
    proofs = {file.stem for file in files if "\ndef prove(" in file.read_text("utf-8")}
    assert set(nightly.NAMES) == proofs
