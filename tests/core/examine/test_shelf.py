"""A check is done once for each version; what was found last is there until another version was checked."""

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from core.dataset import Dataset, decide, open_dataset
from core.errors import DataError
from core.examine import examine, last_examination, look
from core.workspace import Workspace

Draw = Callable[..., Image.Image]


@pytest.fixture
def data(drawn: Draw, saved: Callable[..., bytes], imported: Callable[..., Dataset]) -> Dataset:
    files = {f"{'ab'[n % 2]}/{n}.png": saved(drawn(500 + n)) for n in range(12)}
    return imported({**files, "a/copy.jpg": saved(drawn(500), "JPEG"), "b/again.bmp": saved(drawn(503), "BMP")})


def test_one_examination_serves_until_something_is_decided(
    data: Dataset, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert last_examination(data, workspace) is None
    heard: list[tuple[int, int]] = []
    first = examine(data, workspace, progress=lambda *report: heard.append(report))
    assert first.counts == {"same": 1, "near": 1}
    assert heard == sorted(heard)
    assert heard[-1] == (4 * 14, 4 * 14)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("it was looked at a second time")

    with monkeypatch.context() as patch:
        patch.setattr(look, "look", forbidden)
        assert examine(data, workspace) == first
    copies = next(finding for finding in first.findings if finding.kind == "same")
    decide(data, "exclude", copies.images[1:])
    now = open_dataset(workspace, data.id)
    assert last_examination(now, workspace) == first
    second = examine(now, workspace)
    assert (second.counts, second.version) == ({"near": 1}, now.version)
    assert last_examination(now, workspace) == second


def test_equal_sets_give_equal_findings(data: Dataset, workspace: Workspace) -> None:
    assert look.look(data, workspace) == look.look(data, workspace)


def test_a_damaged_file_is_worked_out_anew(data: Dataset, workspace: Workspace) -> None:
    first = examine(data, workspace)
    for file in (workspace.cache / "examine").glob("*.json"):
        file.write_text("{")
    assert last_examination(data, workspace) is None
    assert examine(data, workspace) == first


def test_a_check_that_is_called_off_leaves_nothing(
    drawn: Draw, saved: Callable[..., bytes], imported: Callable[..., Dataset], workspace: Workspace
) -> None:
    data = imported({f"{'ab'[n % 2]}/{n}.png": saved(drawn(700 + n)) for n in range(6)})
    with pytest.raises(DataError) as caught:
        examine(data, workspace, cancelled=lambda: True)
    assert caught.value.code == "examine.cancelled"
    assert last_examination(data, workspace) is None


def test_copies_on_both_sides_of_a_given_division_keep_the_sealed_one_first(
    drawn: Draw, saved: Callable[..., bytes], imported: Callable[..., Dataset], workspace: Workspace
) -> None:
    files = {f"{'test' if n > 7 else 'train'}/{'ab'[n % 2]}/{n}.png": saved(drawn(800 + n)) for n in range(12)} | {
        "train/a/copy.jpg": saved(drawn(808), "JPEG"),
        "train/b/other.jpg": saved(drawn(800), "JPEG"),
    }
    data = imported(files)
    found = examine(data, workspace)
    names = {item.sha256: item.name for item in data.items}
    shown = {finding.kind: [names[sha] for sha in finding.images] for finding in found.findings}
    assert shown["leak"] == ["test/a/8.png", "train/a/copy.jpg"]
    assert sorted(shown["clash"]) == ["train/a/0.png", "train/b/other.jpg"]
