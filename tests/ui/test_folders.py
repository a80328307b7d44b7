"""A page reads only what lies inside the folders that it may read, wherever a path seems to lead."""

import os
from pathlib import Path

import pytest

from core.errors import AccessError
from core.workspace import Workspace
from ui import folders, services


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("outside")
    (place / "secret.png").write_bytes(b"x")
    return place


def code(source: Path, workspace: Workspace) -> str:
    with pytest.raises(AccessError) as caught:
        folders.checked(source, workspace)
    return caught.value.code


def test_the_usual_folders_are_the_home_and_where_the_workspace_lies_and_never_a_whole_disk(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(folders.ROOTS, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "me"))
    assert folders.roots(workspace) == ((tmp_path / "me").resolve(), tmp_path.resolve())
    monkeypatch.setenv("HOME", os.sep)
    monkeypatch.setenv("USERPROFILE", Path(os.sep).resolve().anchor)
    assert folders.roots(Workspace(Path("/thaw"))) == ()


def test_other_folders_can_be_said_or_none(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, outside: Path
) -> None:
    monkeypatch.setenv(folders.ROOTS, f"{outside}{os.pathsep}{tmp_path / 'more'}")
    assert folders.checked(outside / "secret.png", workspace) == (outside / "secret.png").resolve()
    assert code(tmp_path / "elsewhere", workspace) == "gate.outside_folders"
    monkeypatch.setenv(folders.ROOTS, "")
    assert code(outside, workspace) == "gate.outside_folders"


def test_no_path_leads_out(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, outside: Path) -> None:
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    monkeypatch.setenv(folders.ROOTS, str(root))
    (root / "link").symlink_to(outside, target_is_directory=True)
    (root / "file").symlink_to(outside / "secret.png")
    (root / "loop").symlink_to(root / "loop")
    (tmp_path / "root-and-more").mkdir()
    for way_out in (
        root / "link", root / "link" / "secret.png", root / "file", root / "inner" / ".." / ".." / "outside",
        tmp_path / "root-and-more", Path("/"), Path("/etc/passwd"), root / "inner" / "\0" / "x", Path("~nobody-of-us/x"),
    ):  # fmt: skip
        assert code(way_out, workspace) == "gate.outside_folders", way_out
    (root / "near").symlink_to(root / "inner", target_is_directory=True)
    assert folders.checked(root / "near", workspace) == (root / "inner").resolve()


def test_an_import_reads_the_place_that_was_checked_and_no_link(house: Workspace, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "flowers").symlink_to(pictures, target_is_directory=True)
    job = services.start_import(tmp_path / "flowers", "flowers")
    (tmp_path / "flowers").unlink()
    assert job.wait(60)
    assert job.error is None


def test_an_import_from_elsewhere_is_refused_also_if_it_is_called_an_upload(
    house: Workspace, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(folders.ROOTS, str(tmp_path))
    for upload in (False, True):
        with pytest.raises(AccessError) as caught:
            services.start_import(pictures, "flowers", upload=upload)
        assert caught.value.code == "gate.outside_folders"
