"""Limits: sensible ones only; and what folders weigh."""

from pathlib import Path

import pytest

from core.errors import AccessError
from core.gate import Limits
from core.gate.limits import weigh


@pytest.mark.parametrize("wrong", [{"queued": 0}, {"disk_bytes": -1}, {"uploads": 10**9}, {"unknown": 1}])
def test_a_limit_out_of_range_is_refused_and_named(wrong: dict[str, int]) -> None:
    with pytest.raises(AccessError, match=next(iter(wrong))):
        Limits().changed(**wrong)


def test_a_changed_limit_leaves_the_others() -> None:
    assert Limits().changed(queued=2) == Limits(queued=2)


def test_folders_weigh_what_their_files_have_and_links_lead_nowhere(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "one").write_bytes(bytes(1000))
    (tmp_path / "a" / "two").write_bytes(bytes(500))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(bytes(10**6))
    (tmp_path / "a" / "link").symlink_to(outside)
    links = (tmp_path / "a" / "link").lstat().st_size
    assert weigh([tmp_path / "a"]) == 1500 + links
    assert weigh([tmp_path / "not there"]) == 0
