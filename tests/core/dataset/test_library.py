"""Data sets of a workspace are found, listed and deleted by id, and by nothing that is a path."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from core.dataset import DEMOS, delete_dataset, drawn, import_dataset, list_datasets, open_dataset, publishing
from core.errors import DataError
from core.workspace import Workspace

Make = Callable[..., Path]
Pets = Callable[..., dict[str, bytes]]


def code(workspace: Workspace, id: str) -> str:
    with pytest.raises(DataError) as caught:
        open_dataset(workspace, id)
    return caught.value.code


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits demo with forty scans, to be quick."""
    whole = DEMOS["digits"]
    monkeypatch.setitem(DEMOS, "digits", replace(whole, files=lambda: islice(whole.files(), 40)))


def test_the_newest_data_set_comes_first(
    workspace: Workspace, zipped: Make, pets: Pets, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        hour = 0

        @classmethod
        def now(cls, zone: object) -> object:
            cls.hour += 1
            from datetime import UTC, datetime

            return datetime(2026, 1, 1, cls.hour, tzinfo=UTC)

    monkeypatch.setattr(publishing, "datetime", Clock)
    made = [import_dataset(zipped(pets(2, first=100 * number), f"{number}.zip"), workspace) for number in range(3)]
    assert list_datasets(workspace) == tuple(made[::-1])


def test_deleting_removes_the_images(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    dataset = import_dataset(zipped(pets()), workspace)
    delete_dataset(workspace, dataset.id)
    assert list(workspace.datasets.iterdir()) == []
    assert list_datasets(workspace) == ()
    assert code(workspace, dataset.id) == "dataset.unknown"


@pytest.mark.parametrize("id", ["", ".", "..", "../runs", "/etc", "a/b", ".import-x", "demo:nothing", "NO", "x" * 65])
def test_what_is_no_id_is_unknown_and_deletes_nothing(workspace: Workspace, id: str) -> None:
    (workspace.datasets / ".import-x").mkdir()
    assert code(workspace, id) == "dataset.unknown"
    with pytest.raises(DataError):
        delete_dataset(workspace, id)
    assert workspace.runs.is_dir()
    assert (workspace.datasets / ".import-x").is_dir()


def test_an_unknown_id_names_the_nearest(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    dataset = import_dataset(zipped(pets()), workspace)
    with pytest.raises(DataError, match=f"The nearest is {dataset.id}"):
        open_dataset(workspace, dataset.id[:-1] + "x")
    with pytest.raises(DataError, match="The nearest is demo:digits"):
        open_dataset(workspace, "demo:digit")


def test_a_damaged_data_set_is_left_out_of_the_list_and_said_when_opened(
    workspace: Workspace, zipped: Make, pets: Pets
) -> None:
    dataset = import_dataset(zipped(pets()), workspace)
    (dataset.folder / "manifest.json").write_text("{")
    assert list_datasets(workspace) == ()
    assert code(workspace, dataset.id) == "dataset.damaged"
    assert import_dataset(zipped(pets()), workspace).counts() == {"cats": 4, "dogs": 4}
    assert len(list_datasets(workspace)) == 1


def test_a_manifest_is_parsed_once_while_it_does_not_change(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    dataset = import_dataset(zipped(pets()), workspace)
    assert open_dataset(workspace, dataset.id) is open_dataset(workspace, dataset.id)


@pytest.mark.usefixtures("few_digits")
def test_a_demo_is_made_once_and_made_again_if_its_images_are_gone(workspace: Workspace) -> None:
    first = open_dataset(workspace, "demo:digits")
    written = (first.folder / "manifest.json").stat().st_mtime_ns
    assert open_dataset(workspace, "demo-digits") == first
    assert (first.folder / "manifest.json").stat().st_mtime_ns == written
    assert [dataset.demo for dataset in list_datasets(workspace)] == ["digits"]
    first.path(first.items[0]).unlink()
    again = open_dataset(workspace, "demo:digits")
    assert again == first
    assert again.image(again.items[0])


@pytest.mark.usefixtures("few_digits")
def test_a_demo_that_another_version_made_is_made_again(workspace: Workspace) -> None:
    first = open_dataset(workspace, "demo:digits")
    manifest = first.folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"digits-1"', b'"digits-0"'))
    assert open_dataset(workspace, "demo:digits") == first
    assert b'"digits-1"' in manifest.read_bytes()


@pytest.mark.usefixtures("few_digits")
def test_a_deleted_demo_comes_back(workspace: Workspace) -> None:
    first = open_dataset(workspace, "demo:digits")
    delete_dataset(workspace, first.id)
    assert not first.folder.exists()
    assert open_dataset(workspace, "demo:digits") == first


@pytest.mark.usefixtures("few_digits")
def test_only_a_whole_demo_of_this_version_counts_as_drawn(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(workspace, "demo:digits") is None
    made = open_dataset(workspace, "demo:digits")
    assert drawn(workspace, "demo:digits") == made
    assert drawn(workspace, "demo:nothing") is None
    made.path(made.items[0]).rename(workspace.root / "away")
    assert drawn(workspace, "demo:digits") is None
    (workspace.root / "away").rename(made.path(made.items[0]))
    monkeypatch.setitem(DEMOS, "digits", replace(DEMOS["digits"], version="another"))
    assert drawn(workspace, "demo:digits") is None
