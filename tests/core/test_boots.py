"""A process is alive as long as it holds its own lock file; ids are never used again."""

from pathlib import Path

import pytest

from core.boots import Boots
from core.errors import StoreError


def test_the_living_are_told_from_the_dead(tmp_path: Path) -> None:
    one, two = Boots(tmp_path), Boots(tmp_path)
    assert one.own != two.own
    assert one.is_alive(one.own)
    assert one.is_alive(two.own)
    assert not one.is_alive("0" * 16)
    two.close()
    two.close()
    assert not one.is_alive(two.own)
    one.close()


def test_only_lock_files_of_the_dead_are_swept(tmp_path: Path) -> None:
    one, two = Boots(tmp_path), Boots(tmp_path)
    (tmp_path / "boots" / "dead.lock").touch()
    one.sweep()
    assert {file.stem for file in (tmp_path / "boots").iterdir()} == {one.own, two.own}
    one.close()
    two.close()


def test_one_process_serves_until_it_closes(tmp_path: Path) -> None:
    one, two = Boots(tmp_path), Boots(tmp_path)
    one.serve()
    with pytest.raises(StoreError, match="Another Thaw server"):
        two.serve()
    one.close()
    two.serve()
    two.close()
