"""Moments that are kept: their names, which of them are there, and that nothing else can be deleted by their name."""

from pathlib import Path

import pytest

from core import pins
from core.checkpoint import prune
from core.errors import StoreError
from core.events import Pinned
from core.history import History


def pinned(file: str, size: int = 3) -> Pinned:
    return Pinned(step=812, epoch=2, name="x", file=file, sha256="0" * 64, size_bytes=size)


def test_names_are_never_used_twice_and_no_retention_knows_them(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        names.append(pins.free_name(tmp_path, 812))
        (tmp_path / names[-1]).write_bytes(b"abc")
    assert names == ["kept-00000812.safetensors", "kept-00000812-2.safetensors", "kept-00000812-3.safetensors"]
    assert all(pins.FILE.fullmatch(name) for name in names)
    prune(tmp_path, ())
    assert len(list(tmp_path.iterdir())) == 3


def test_only_what_lies_there_whole_is_listed(tmp_path: Path) -> None:
    (tmp_path / "kept-00000001.safetensors").write_bytes(b"abc")
    (tmp_path / "kept-00000002.safetensors").write_bytes(b"ab")
    told = [pinned(f"kept-0000000{number}.safetensors") for number in (1, 2, 3)]
    assert pins.here(tmp_path, told) == (told[0],)
    pins.let_go(tmp_path, told[0].file)
    assert pins.here(tmp_path, told) == ()


@pytest.mark.parametrize(
    "name", ["model.safetensors", "../kept-00000001.safetensors", "kept-1.safetensors", "", "kept-00000009.safetensors"]
)
def test_nothing_else_can_be_let_go(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for file in (folder / "model.safetensors", folder / "kept-1.safetensors", tmp_path / "kept-00000001.safetensors"):
        file.write_bytes(b"abc")
    with pytest.raises(StoreError) as failure:
        pins.let_go(folder, name)
    assert failure.value.code == "run.no_pin"
    assert len([file for file in tmp_path.rglob("*") if file.is_file()]) == 3


def test_the_history_of_a_run_tells_them() -> None:
    history = History()
    assert history.state().pins == ()
    history.feed(pinned("kept-00000812.safetensors"))
    assert [pin.file for pin in history.state().pins] == ["kept-00000812.safetensors"]
