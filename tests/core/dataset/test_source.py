"""A source is checked before one of its files is read, and nothing in it reaches outside."""

import errno
import io
import os
import random
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.dataset import source as module
from core.dataset.source import Source, open_source
from core.errors import DataError

Zipped = Callable[..., Path]


def opened(path: Path) -> Source:
    with open_source(path) as source:
        return source


def refusal(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        opened(path)
    return caught.value


def read(path: Path) -> dict[str, bytes]:
    with open_source(path) as source:
        return {entry.name: entry.read() for entry in source.entries}


def named(path: Path, raw: bytes, data: bytes = b"x") -> Path:
    """A zip with one entry of this raw name and flag bit 11 unset, as old tools write them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("Q" * len(raw), data)
    path.write_bytes(out.getvalue().replace(b"Q" * len(raw), raw))
    return path


def test_a_zip_and_a_folder_of_the_same_files_read_the_same(zipped: Zipped, folder: Callable[..., Path]) -> None:
    files = {"cats/1.jpg": b"one", "cats/10.jpg": b"ten", "cats/2.jpg": b"two", "dogs/a.png": b""}
    assert read(zipped(files)) == read(folder(files)) == files
    with open_source(zipped(files)) as source:
        assert [entry.name for entry in source.entries] == ["cats/1.jpg", "cats/2.jpg", "cats/10.jpg", "dogs/a.png"]
        assert (source.name, source.refused) == ("set.zip", ())


def test_a_compressed_entry_is_read_from_many_threads_at_once(zipped: Zipped) -> None:
    from concurrent.futures import ThreadPoolExecutor

    files = {f"{number}.jpg": os.urandom(2000) * 9 for number in range(60)}
    with open_source(zipped(files, compression=zipfile.ZIP_DEFLATED)) as source, ThreadPoolExecutor(8) as pool:
        assert dict(pool.map(lambda entry: (entry.name, entry.read()), source.entries)) == files


def test_what_systems_leave_behind_is_not_listed(zipped: Zipped, folder: Callable[..., Path]) -> None:
    files = {"cats/1.jpg": b"1", "__MACOSX/cats/._1.jpg": b"2", "cats/.DS_Store": b"3", "Thumbs.db": b"4", "z/2.jpg": b"5"}
    assert read(zipped(files)) == read(folder(files)) == {"cats/1.jpg": b"1", "z/2.jpg": b"5"}


def test_a_workspace_among_the_images_is_passed_over(folder: Callable[..., Path]) -> None:
    place = folder({"cats/1.jpg": b"1", "work/thaw.sqlite": b"", "work/datasets/abcd/1.jpg": b"1", "dogs/2.jpg": b"2"})
    assert read(place) == {"cats/1.jpg": b"1", "dogs/2.jpg": b"2"}


def test_empty_folders_are_known(zipped: Zipped, folder: Callable[..., Path]) -> None:
    assert opened(zipped({"cats/1.jpg": b"1", "owl/": b""})).folders == ("owl/",)
    place = folder({"cats/1.jpg": b"1"})
    (place / "owl").mkdir()
    assert opened(place).folders == ("cats/", "owl/")


def test_nothing_there_is_said(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere.zip")
    assert error.code == "data.missing"
    assert str(tmp_path / "nowhere.zip") in error.cause


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "set.zip")
    assert refusal(tmp_path / "set.zip").code == "data.missing"


@pytest.mark.parametrize("data", [b"", b"hello", b"Rar!\x1a\x07\x00" + bytes(99), b"\x1f\x8b" + bytes(99)])
def test_what_is_no_zip_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "photos.zip").write_bytes(data)
    error = refusal(tmp_path / "photos.zip")
    assert (error.code, error.cause) == ("data.not_a_zip", "photos.zip is not a zip archive.")


def test_a_zip_that_was_not_copied_whole_is_damaged(zipped: Zipped) -> None:
    path = zipped({"cats/1.jpg": bytes(5000)})
    path.write_bytes(path.read_bytes()[:4000])
    assert refusal(path).code == "data.zip_damaged"


def test_a_damaged_entry_is_an_error_of_that_file_alone(zipped: Zipped) -> None:
    path = zipped({"a.jpg": b"A" * 500, "b.jpg": b"B" * 500})
    path.write_bytes(path.read_bytes().replace(b"A" * 500, b"A" * 250 + b"!" + b"A" * 249, 1))
    with open_source(path) as source:
        first, second = source.entries
        with pytest.raises(OSError, match="Bad CRC-32"):
            first.read()
        assert second.read() == b"B" * 500


def test_a_password_is_said(zipped: Zipped) -> None:
    path = zipped({"a.jpg": b"A"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert refusal(path).code == "data.encrypted"


@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "C:\\evil.jpg", "..\\evil.jpg"])
def test_a_name_that_leads_out_is_refused_and_listed(tmp_path: Path, name: str) -> None:
    path = named(tmp_path / "set.zip", name.encode())
    source = opened(path)
    assert source.entries == ()
    assert [(skipped.name.replace("\\", "/"), skipped.code) for skipped in source.refused] == [
        (name.replace("\\", "/"), "data.unsafe_name")
    ]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused_and_listed(tmp_path: Path, kind: int) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        link = zipfile.ZipInfo("cats/1.jpg")
        link.create_system, link.external_attr = 3, (kind | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("cats/2.jpg", b"2")
    source = opened(tmp_path / "set.zip")
    assert [entry.name for entry in source.entries] == ["cats/2.jpg"]
    assert [(skipped.name, skipped.code) for skipped in source.refused] == [("cats/1.jpg", "data.link")]


def test_links_in_a_folder_are_refused_and_never_followed(folder: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.jpg").write_bytes(b"secret")
    place = folder({"cats/1.jpg": b"1"})
    (place / "cats" / "link.jpg").symlink_to(tmp_path / "secret" / "s.jpg")
    (place / "loop").symlink_to(place)
    (place / "away").symlink_to(tmp_path / "secret")
    source = opened(place)
    assert [entry.name for entry in source.entries] == ["cats/1.jpg"]
    assert [(skipped.name, skipped.code) for skipped in source.refused] == [
        ("away", "data.link"), ("cats/link.jpg", "data.link"), ("loop", "data.link"),
    ]  # fmt: skip


def test_a_file_that_became_a_link_after_it_was_listed_is_not_read(folder: Callable[..., Path], tmp_path: Path) -> None:
    place = folder({"cats/1.jpg": b"1"})
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    with open_source(place) as source:
        (place / "cats" / "1.jpg").unlink()
        (place / "cats" / "1.jpg").symlink_to(tmp_path / "secret.jpg")
        with pytest.raises(OSError, match="symbolic links"):
            source.entries[0].read()


def test_a_bomb_is_refused_before_anything_is_unpacked(zipped: Zipped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RATIO_FROM_BYTES", 2**20)
    error = refusal(zipped({"a.jpg": bytes(4 * 2**20)}, "bomb.zip", zipfile.ZIP_DEFLATED))
    assert error.code == "data.bomb"
    assert error.cause.startswith("bomb.zip would unpack to 4.0 MB from only 0.0 MB;")


def test_a_large_archive_that_packs_little_is_welcome(zipped: Zipped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RATIO_FROM_BYTES", 2**10)
    data = {"a.jpg": random.Random(0).randbytes(2**12), "b.jpg": bytes(2**12)}
    assert read(zipped(data, compression=zipfile.ZIP_DEFLATED)) == data


def test_an_archive_that_packs_well_and_is_small_is_welcome(zipped: Zipped) -> None:
    assert read(zipped({"a.bmp": bytes(2**20)}, compression=zipfile.ZIP_DEFLATED)) == {"a.bmp": bytes(2**20)}


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused(zipped: Zipped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    assert refusal(zipped({"a.jpg": bytes(1001)})).code == "data.too_big"


@pytest.mark.parametrize("start", [0, 30 + 900 - 1])
def test_overlapping_entries_are_refused_whatever_python_does(zipped: Zipped, start: int) -> None:
    """Two rows of the table of contents that point at one stretch of data, or at its last byte."""
    path = zipped({"a.jpg": bytes(900), "b.jpg": bytes(900)})
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[second + 42 : second + 46] = struct.pack("<L", start)
    path.write_bytes(data)
    assert refusal(path).code == "data.overlap"


def test_too_many_entries_are_refused(zipped: Zipped, folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 5)
    files = {f"{number}.jpg": b"x" for number in range(6)}
    for path in (zipped(files), folder(files)):
        error = refusal(path)
        assert (error.code, error.values["n"], error.values["limit"]) == ("data.too_many_entries", 6, 5)


def test_a_table_of_contents_of_absurd_size_is_refused_before_it_is_read(
    zipped: Zipped, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped({f"{number}.jpg": b"x" for number in range(60)})
    monkeypatch.setattr(module, "MAX_DIRECTORY_BYTES", 200)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert refusal(path).code == "data.too_many_entries"


def test_folders_that_the_disk_does_not_give_are_listed_and_the_first_is_refused(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, scan = folder({"cats/1.jpg": b"1", "dogs/1.jpg": b"1"}), os.scandir
    for broken, names in ((root / "dogs", ["cats/1.jpg"]), (root, None)):

        def failing(path: str, broken: Path = broken) -> object:
            if Path(path) == broken:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return scan(path)

        monkeypatch.setattr(os, "scandir", failing)
        if names is None:
            assert refusal(root).code == "data.unreadable_folder"
        else:
            source = opened(root)
            assert [entry.name for entry in source.entries] == names
            assert [(left.name, left.code, left.values["reason"]) for left in source.refused] == [
                ("dogs/", "data.unreadable", "Input/output error")
            ]


def test_more_than_the_disk_has_room_for_is_refused_with_both_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=module.RESERVE_BYTES + 3 * 2**30))
    module.check_room("set", 3 * 2**30, tmp_path)
    with pytest.raises(DataError) as caught:
        module.check_room("set", 3 * 2**30 + 1, tmp_path)
    assert (caught.value.code, caught.value.values["size"]) == ("data.no_space", "3.0 GB")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=module.RESERVE_BYTES + 2**20))
    with pytest.raises(DataError) as caught:
        module.check_room("set", 5 * 2**20, tmp_path)
    assert caught.value.values["size"] == "5.0 MB"


def test_the_size_of_a_large_table_of_contents_stands_in_its_64_bit_record() -> None:
    """The end of the archive says 'too large for me'; what follows the locator's address counts."""
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 9, 9, 7_000_000_000, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert module._directory_size(io.BytesIO(record + locator + end)) == 7_000_000_000
    assert module._directory_size(io.BytesIO(record[:20] + locator[:8] + struct.pack("<Q", 30) + locator[16:] + end)) == 0
    assert module._directory_size(io.BytesIO(b"no zip at all")) == 0


def test_folders_too_deep_are_listed(folder: Callable[..., Path]) -> None:
    deep = "/".join(["d"] * 40)
    source = opened(folder({f"{deep}/1.jpg": b"1", "cats/1.jpg": b"1"}))
    assert [entry.name for entry in source.entries] == ["cats/1.jpg"]
    assert [skipped.code for skipped in source.refused] == ["data.too_deep"]


def test_two_files_of_one_name_in_an_archive_are_not_dropped_silently(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("cats/1.jpg", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("cats/1.jpg", b"second")
    assert read(tmp_path / "set.zip") == {"cats/1.jpg": b"first"}
    assert [(skipped.name, skipped.code) for skipped in opened(tmp_path / "set.zip").refused] == [
        ("cats/1.jpg", "data.same_name")
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_chinese_names_without_the_utf_8_flag_are_read(tmp_path: Path, encoding: str) -> None:
    assert list(read(named(tmp_path / "set.zip", "健康/叶片一.jpg".encode(encoding)))) == ["健康/叶片一.jpg"]


def test_western_names_without_the_utf_8_flag_are_read(tmp_path: Path) -> None:
    assert list(read(named(tmp_path / "set.zip", "Käse/1.jpg".encode("cp437")))) == ["Käse/1.jpg"]


def test_backslashes_of_old_windows_tools_separate_folders(tmp_path: Path) -> None:
    assert list(read(named(tmp_path / "set.zip", b"cats\\1.jpg"))) == ["cats/1.jpg"]


def test_a_folder_with_names_that_are_no_utf_8_is_read(tmp_path: Path) -> None:
    place = os.fsencode(tmp_path / "set")
    os.makedirs(place + b"/" + "猫".encode("gbk"))
    with open(place + b"/" + "猫".encode("gbk") + b"/1.jpg", "wb") as file:
        file.write(b"cat")
    texts = read(tmp_path / "set")
    assert list(texts.values()) == [b"cat"]
    assert all(name.encode() for name in texts)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
@pytest.mark.filterwarnings("ignore")
def test_whatever_the_names_every_entry_is_listed_ignored_or_refused(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, str(number))
    from core.dataset.names import ignored, unsafe

    with open_source(tmp_path / "set.zip") as source:
        for entry in source.entries:
            assert not unsafe(entry.name)
            assert not ignored(entry.name)
            assert entry.read() in {str(number).encode() for number in range(len(names))}
        listed = len(source.entries) + len(source.folders) + len(source.refused)
        assert listed + sum(1 for name in names if ignored(name.replace("\\", "/"))) >= len(set(names))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_archive_is_refused_or_its_files_are(zipped: Zipped, at: int, value: int, cut: bool) -> None:
    path = zipped({"a.jpg": b"A" * 50, "b/c.jpg": b"B" * 50, "漢.jpg": b"C" * 50}, compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[at % len(data)] = value
    path.write_bytes(data[: at % len(data)] if cut else data)
    with suppress(DataError), open_source(path) as source:
        for entry in source.entries:
            with suppress(OSError):  # the only error that an import expects
                entry.read()
