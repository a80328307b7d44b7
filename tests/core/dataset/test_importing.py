"""An import is whole or not at all, changes nothing of the person's, and loses no file without a word."""

import errno
import hashlib
import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.dataset import Dataset, Refused, decide, import_dataset, open_dataset, publishing
from core.dataset.names import ignored
from core.dataset.record import read_manifest
from core.dataset.source import MAX_FILE_BYTES
from core.errors import DataError
from core.images import open_image
from core.words import LANGUAGES, say
from core.workspace import Workspace, open_workspace

Make = Callable[..., Path]
Pets = Callable[..., dict[str, bytes]]
Picture = Callable[..., bytes]


def skipped(dataset: Dataset) -> list[tuple[str, str]]:
    return [(left.name, left.code) for left in dataset.skipped]


def refusal(path: Path, workspace: Workspace) -> DataError:
    with pytest.raises(DataError) as caught:
        import_dataset(path, workspace)
    assert list(workspace.datasets.iterdir()) == []
    for language in LANGUAGES:
        assert say(f"error.{caught.value.code}.remedy", language, **caught.value.values)
    return caught.value


def test_a_zip_of_class_folders_becomes_a_data_set(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    files = pets(4)
    dataset = import_dataset(zipped(files, "My pets.zip"), workspace)
    assert (dataset.name, dataset.source, dataset.classes) == ("My pets", "My pets.zip", ("cats", "dogs"))
    assert dataset.counts() == {"cats": 4, "dogs": 4}
    assert [item.name for item in dataset.items] == list(files)
    assert [dataset.image(item) for item in dataset.items] == list(files.values())
    assert {(item.width, item.height, item.suffix, item.split) for item in dataset.items} == {(12, 10, "png", None)}
    assert dataset.skipped == ()
    assert open_dataset(workspace, dataset.id) == dataset


def test_a_folder_and_a_zip_of_the_same_images_are_one_data_set(
    workspace: Workspace, zipped: Make, folder: Make, pets: Pets
) -> None:
    first = import_dataset(zipped(pets()), workspace)
    second = import_dataset(folder(pets(above="deeper/down/"), "other"), workspace, name="Other")
    assert second == first
    assert [place.name for place in workspace.datasets.iterdir()] == [first.id]


def test_other_labels_or_splits_are_another_data_set(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    files = pets()
    renamed = {name.replace("cats", "lions"): data for name, data in files.items()}
    given_split = {f"{'test' if name[-5] == '1' else 'train'}/{name}": data for name, data in files.items()}
    ids = {
        import_dataset(zipped(some, f"{number}.zip"), workspace).id
        for number, some in enumerate((files, renamed, given_split))
    }
    assert len(ids) == 3


def test_the_files_of_the_person_are_only_read(workspace: Workspace, folder: Make, pets: Pets) -> None:
    place = folder(pets())
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in place.rglob("*.png")}
    dataset = import_dataset(place, workspace)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in place.rglob("*.png")} == before
    (place / "cats" / "0.png").write_bytes(b"changed later")
    assert hashlib.sha256(dataset.image(dataset.items[0])).hexdigest() == dataset.items[0].sha256


def test_files_are_stored_by_their_hash_and_nothing_else_is_there(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    dataset = import_dataset(zipped(pets()), workspace)
    expected = {f"{hashlib.sha256(data).hexdigest()}.png" for data in pets().values()} | {"manifest.json"}
    assert {path.name for path in dataset.folder.iterdir()} == expected


def test_given_splits_are_kept(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    files = {
        f"{split}/{name}": data
        for place, split in enumerate(("train", "valid"))
        for name, data in pets(first=50 * place).items()
    }
    dataset = import_dataset(zipped(files), workspace)
    assert {item.split for item in dataset.items if item.name.startswith("train/")} == {"train"}
    assert {item.split for item in dataset.items if item.name.startswith("valid/")} == {"val"}


def test_a_table_in_the_zip_gives_classes(workspace: Workspace, zipped: Make, picture: Picture) -> None:
    files = {f"pics/{number}.png": picture(number) for number in range(6)}
    table = "image,label\n" + "".join(f"{number}.png,{'雪' if number % 2 else '<b>x</b>'}\n" for number in range(6))
    dataset = import_dataset(zipped({**files, "labels.csv": table.encode()}), workspace)
    assert dataset.counts() == {"<b>x</b>": 3, "雪": 3}
    assert dataset.skipped == ()


def test_every_file_that_cannot_be_used_is_listed_with_its_reason(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture
) -> None:
    jpeg = picture(77, "JPEG", (64, 64))
    bad = {
        "cats/text.jpg": b"not an image at all",
        "cats/cut.jpg": jpeg[: len(jpeg) // 2],
        "cats/dot.png": picture(78, size=(1, 1)),
        "cats/empty.png": b"",
        "cats/phone.heic": b"\0\0\0\x18ftypheic" + bytes(50),
        "cats/drawing.svg": b"<svg/>",
        "outside.png": picture(79),
        "notes.txt": b"hello",
        "more.zip": b"PK",
        "__MACOSX/cats/._0.png": b"x",
    }
    dataset = import_dataset(zipped({**pets(), **bad}), workspace)
    assert sorted(skipped(dataset)) == [
        ("cats/cut.jpg", "image.damaged"), ("cats/dot.png", "image.too_small"), ("cats/drawing.svg", "image.unsupported"),
        ("cats/empty.png", "image.empty"), ("cats/phone.heic", "image.unsupported"), ("cats/text.jpg", "image.not_an_image"),
        ("more.zip", "data.nested_archive"), ("notes.txt", "data.not_an_image"), ("outside.png", "data.outside_class"),
    ]  # fmt: skip
    assert [item.name for item in dataset.items] == list(pets())
    for left in dataset.skipped:
        for language in LANGUAGES:
            assert left.name in say(f"error.{left.code}.cause", language, **left.values)
    assert open_dataset(workspace, dataset.id).skipped == dataset.skipped


def test_a_damaged_entry_of_a_zip_is_listed(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    path = zipped({**pets(), "cats/z.png": b"Z" * 200})
    path.write_bytes(path.read_bytes().replace(b"Z" * 200, b"Z" * 199 + b"!"))
    assert skipped(import_dataset(path, workspace)) == [("cats/z.png", "data.unreadable")]


def test_a_file_above_the_limit_is_listed_and_not_read(workspace: Workspace, folder: Make, pets: Pets) -> None:
    place = folder(pets())
    with (place / "cats" / "huge.png").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # takes no room on the disk
    assert skipped(import_dataset(place, workspace)) == [("cats/huge.png", "data.file_too_big")]


def test_the_same_file_twice_in_a_class_is_kept_once_and_listed(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture
) -> None:
    dataset = import_dataset(zipped({**pets(), "cats/10.png": picture(0), "cats/9.png": picture(0)}), workspace)
    assert dataset.counts() == {"cats": 4, "dogs": 4}
    assert [(left.name, left.values["first"]) for left in dataset.skipped] == [
        ("cats/9.png", "cats/0.png"), ("cats/10.png", "cats/0.png"),
    ]  # fmt: skip


def test_of_a_file_in_two_splits_the_sealed_one_stays(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture
) -> None:
    files = {f"train/{name}": data for name, data in pets().items()}
    files |= {"test/cats/a.png": picture(0), "test/cats/b.png": picture(90), "test/dogs/c.png": picture(91)}
    dataset = import_dataset(zipped(files), workspace)
    assert skipped(dataset) == [("train/cats/0.png", "data.duplicate")]
    assert next(item.split for item in dataset.items if item.name == "test/cats/a.png") == "test"


def test_the_same_file_in_two_classes_is_kept_out_of_both(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture
) -> None:
    dataset = import_dataset(zipped({**pets(), "dogs/cat.png": picture(0)}), workspace)
    assert dataset.counts() == {"cats": 3, "dogs": 4}
    assert [(left.name, left.code, left.values["other"]) for left in dataset.skipped] == [
        ("cats/0.png", "data.contradiction", "dogs/cat.png"), ("dogs/cat.png", "data.contradiction", "cats/0.png"),
    ]  # fmt: skip
    assert not (dataset.folder / f"{hashlib.sha256(picture(0)).hexdigest()}.png").exists()


def test_a_class_of_one_image_is_left_out_and_told(workspace: Workspace, zipped: Make, pets: Pets, picture: Picture) -> None:
    dataset = import_dataset(zipped({**pets(), "owl/1.png": picture(90)}), workspace)
    assert dataset.classes == ("cats", "dogs")
    assert skipped(dataset) == [("owl/1.png", "data.lonely")]
    assert ("data.class_left_out", {"n": 1, "classes": "owl"}) in dataset.notices


def test_an_empty_class_folder_is_told(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    dataset = import_dataset(zipped({**pets(), "owl/": b""}), workspace)
    assert ("data.empty_class", {"name": "owl"}) in dataset.notices


def test_what_was_done_to_images_is_told_with_how_many(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    import io

    import numpy as np
    from PIL import Image

    def png(top: int) -> bytes:
        out = io.BytesIO()
        Image.fromarray(np.linspace(0, top, 144).astype(np.uint16).reshape(12, 12)).save(out, "PNG")
        return out.getvalue()

    dataset = import_dataset(zipped({**pets(), "cats/deep1.png": png(65535), "cats/deep2.png": png(60000)}), workspace)
    assert ("data.sixteen_bit", {"n": 2}) in dataset.notices
    for code, values in dataset.notices:
        for language in LANGUAGES:
            assert say(f"notice.{code}", language, **values)


def test_what_can_be_seen_of_refused_files_lies_with_the_set_and_never_the_file(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = picture(90, size=(300, 300))
    broken = {f"cats/{name}.png": whole[: len(whole) * share // 10] for name, share in (("cut 5", 5), ("cut 9", 9))}
    monkeypatch.setattr(publishing, "REMAINS", 1)
    made = import_dataset(zipped({**pets(), **broken, "cats/text.png": b"text"}), workspace)
    first, second, text = made.skipped
    assert [one.name for one in (first, second, text)] == ["cats/cut 5.png", "cats/cut 9.png", "cats/text.png"]
    assert (first.remains, second.remains, text.remains) == (hashlib.sha256(broken[first.name]).hexdigest(), "", "")
    small = made.remains(first).read_bytes()
    assert small[8:12] == b"WEBP"
    assert len(small) < len(broken[first.name]) / 2
    assert len(list(made.folder.glob("remains-*"))) == 1
    assert read_manifest(made.folder)[0] == made


def test_a_set_that_is_imported_again_gets_what_can_be_seen(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture
) -> None:
    made = import_dataset(zipped(pets()), workspace)
    whole = picture(90, size=(300, 300))
    again = import_dataset(zipped({**pets(), "cats/cut.png": whole[: len(whole) // 2]}, "more.zip"), workspace)
    assert again.folder == made.folder
    assert again.remains(again.skipped[0]).read_bytes()[8:12] == b"WEBP"


def cut(picture: Picture, number: int, share: float = 0.5) -> bytes:
    """A photo that breaks off."""
    whole = picture(number, "JPEG", size=(96, 80))
    return whole[: int(len(whole) * share)]


def test_of_a_jpeg_that_breaks_off_the_part_lies_with_the_set_and_is_no_image_of_it(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture
) -> None:
    data = cut(picture, 90)
    source = zipped({**pets(), "cats/cut.jpg": data, "cats/cut.png": picture(91, size=(90, 90))[:900]})
    before = source.read_bytes()
    made = import_dataset(source, workspace)
    assert source.read_bytes() == before
    assert skipped(made) == [("cats/cut.jpg", "image.damaged"), ("cats/cut.png", "image.damaged")]
    [(one, item)] = made.parts()
    assert (item.name, made.classes[item.label], item.split, item.width) == ("cats/cut.jpg", "cats", None, 96)
    assert one.part is not None
    assert (item.height, one.part.share) == (round(80 * one.part.share), pytest.approx(0.5, abs=0.2))
    assert open_image(made.image(item), name="part").pixels.shape == (item.height, 96, 3)
    assert item.sha256 not in {image.sha256 for image in made.items}
    assert read_manifest(made.folder)[0] == made
    assert made.fingerprint == import_dataset(zipped(pets(), "without.zip"), workspace).fingerprint


def test_what_a_person_kept_outlives_an_import_of_the_same_that_leaves_it_away(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture
) -> None:
    made = import_dataset(zipped({**pets(), "cats/a.jpg": cut(picture, 90), "cats/b.jpg": cut(picture, 91)}), workspace)
    kept = next(item for _, item in made.parts() if item.name == "cats/a.jpg")
    decide(made, "keep", [kept.sha256])
    again = import_dataset(zipped({**pets(), "cats/c.jpg": cut(picture, 92)}, "more.zip"), workspace)
    assert again.folder == made.folder
    assert [item.name for _, item in again.parts()] == ["cats/a.jpg", "cats/c.jpg"]
    now = open_dataset(workspace, made.id)
    assert [item.name for item in now.items if item.sha256 == kept.sha256] == ["cats/a.jpg"]
    assert all(now.image(item) for item in now.items)


def test_only_parts_that_are_shown_are_stored(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "REMAINS", 1)
    made = import_dataset(zipped({**pets(), **{f"cats/{n}.jpg": cut(picture, 90 + n) for n in range(3)}}), workspace)
    assert [item.name for _, item in made.parts()] == ["cats/0.jpg"]
    assert len(list(made.folder.glob("*.jpg"))) == 1


@pytest.mark.parametrize(
    "part",
    [
        ["../../secret", 9, 9, 0.5, "cats", None], ["a" * 64, 0, 9, 0.5, "cats", None], ["a" * 64, 9, 9, 2, "cats", None],
        ["a" * 64, 9, 9, 0.5, "cats", "secret"], ["a" * 64, 9, 9, 0.5, 3, None], ["a" * 64], [],
    ],
)  # fmt: skip
def test_a_manifest_whose_parts_are_none_of_ours_is_damaged(
    workspace: Workspace, zipped: Make, pets: Pets, part: list[object]
) -> None:
    made = import_dataset(zipped({**pets(), "cats/notes.png": b"text"}), workspace)
    document = json.loads((made.folder / "manifest.json").read_bytes())
    (made.folder / "manifest.json").write_text(json.dumps({**document, "parts": [[0, *part]]}))
    with pytest.raises(DataError) as caught:
        read_manifest(made.folder)
    assert caught.value.code == "dataset.damaged"


@pytest.mark.parametrize("name", ["../../secret", "x" * 64, "A" * 64, 7])
def test_a_manifest_whose_remains_lie_elsewhere_is_damaged(
    workspace: Workspace, zipped: Make, pets: Pets, name: object
) -> None:
    made = import_dataset(zipped({**pets(), "cats/notes.png": b"text"}), workspace)
    document = json.loads((made.folder / "manifest.json").read_bytes())
    (made.folder / "manifest.json").write_text(json.dumps({**document, "remains": [[0, name]]}))
    with pytest.raises(DataError) as caught:
        read_manifest(made.folder)
    assert caught.value.code == "dataset.damaged"


def test_names_that_say_another_type_are_told_by_pair_and_count(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture
) -> None:
    files = {"cats/a.png": picture(80, "TIFF"), "cats/b.PNG": picture(81, "TIFF"), "cats/c.jpg": picture(82, "WEBP")}
    honest = {"cats/d.jpeg": picture(83, "JPEG"), "cats/e.TIFF": picture(84, "TIFF"), "cats/f": picture(85)}
    made = import_dataset(zipped({**pets(), **files, **honest}), workspace)
    assert [values for code, values in made.notices if code == "data.misnamed"] == [
        {"n": 2, "says": ".png", "kind": "TIFF"},
        {"n": 1, "says": ".jpg", "kind": "WebP"},
    ]


def test_entries_with_unsafe_paths_are_counted(workspace: Workspace, zipped: Make, pets: Pets, picture: Picture) -> None:
    files = {"../../cats/a.png": picture(80), "/cats/b.png": picture(81), "C:\\cats\\c.png": picture(82)}
    made = import_dataset(zipped({**pets(), **files}), workspace)
    assert ("data.unsafe_names", {"n": 3}) in made.notices
    assert [code for _, code in skipped(made)] == ["data.unsafe_name"] * 3


def test_an_empty_zip_is_said(workspace: Workspace, zipped: Make) -> None:
    error = refusal(zipped({}, "empty.zip"), workspace)
    assert (error.code, error.cause) == ("data.no_images", "empty.zip holds no images.")


def test_a_zip_without_a_usable_image_names_every_reason(workspace: Workspace, zipped: Make) -> None:
    error = refusal(zipped({"cats/a.jpg": b"text", "dogs/b.jpg": b"text", "c.txt": b"text"}), workspace)
    assert isinstance(error, Refused)
    assert error.cause == "None of the 3 files in set.zip can be used as an image of a class."
    assert [(left.name, left.code) for left in error.skipped] == [
        ("c.txt", "data.not_an_image"), ("cats/a.jpg", "image.not_an_image"), ("dogs/b.jpg", "image.not_an_image"),
    ]  # fmt: skip


def test_one_class_is_not_enough(workspace: Workspace, zipped: Make, picture: Picture) -> None:
    error = refusal(zipped({f"set/cats/{number}.png": picture(number) for number in range(3)}), workspace)
    assert error.cause == "set.zip has images of one class only: cats (3)."


def test_one_image_in_every_class_is_not_enough_and_the_counts_are_said(
    workspace: Workspace, zipped: Make, picture: Picture
) -> None:
    error = refusal(zipped({f"{label}/1.png": picture(number) for number, label in enumerate("abc")}), workspace)
    assert error.code == "data.too_few"
    assert error.cause.startswith(
        "set.zip has too few images: a (1), b (1), c (1). At least two classes need 2 images or more"
    )


def test_two_classes_of_which_one_has_a_single_image_are_not_enough(
    workspace: Workspace, zipped: Make, picture: Picture
) -> None:
    files = {"a/1.png": picture(1), "b/1.png": picture(2), "b/2.png": picture(3)}
    assert refusal(zipped(files), workspace).values["counts"] == "a (1), b (2)"


@pytest.mark.parametrize(
    "name", ["猫/图片一.png", "قطط/صورة.png", "<img src=x onerror=alert(1)>/a.png", "CON/NUL.png", "=cmd|x/![](a).png"]
)
def test_names_of_any_script_or_trick_come_back_as_given(
    workspace: Workspace, zipped: Make, pets: Pets, picture: Picture, name: str
) -> None:
    label = name.split("/")[0]
    dataset = import_dataset(zipped({**pets(), name: picture(500), f"{label}/b.png": picture(501)}), workspace)
    assert label in dataset.classes
    assert name in [item.name for item in dataset.items]
    assert open_dataset(workspace, dataset.id) == dataset


LABELS = st.text(st.characters(exclude_characters="/\\\0:", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda label: not ignored(label) and label not in {".", ".."}
)


@settings(max_examples=10)
@given(labels=st.lists(LABELS, min_size=2, max_size=4, unique=True))
def test_any_class_names_survive_and_every_written_file_is_named_by_its_hash(
    tmp_path_factory: pytest.TempPathFactory, picture: Picture, labels: list[str]
) -> None:
    root = tmp_path_factory.mktemp("names")
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for number, label in enumerate(labels):
            for index in range(2):
                archive.writestr(f"{label}/{index}.png", picture(10 * number + index))
    dataset = import_dataset(root / "set.zip", open_workspace(root / "workspace"))
    assert set(dataset.classes) == set(labels)
    written = [path for path in root.rglob("*") if path.is_file() and path.name not in {"set.zip", "manifest.json"}]
    assert len(written) == 2 * len(labels)
    assert all(re.fullmatch(r"[0-9a-f]{64}\.png", path.name) and path.parent == dataset.folder for path in written)


def test_progress_counts_every_file_once(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    heard: list[tuple[int, int]] = []
    import_dataset(zipped(pets(10)), workspace, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(done, 20) for done in range(1, 21)]


def test_a_cancelled_import_leaves_nothing(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    heard: list[int] = []
    with pytest.raises(DataError) as caught:
        import_dataset(
            zipped(pets(20)), workspace, progress=lambda done, total: heard.append(done), cancelled=lambda: len(heard) > 5
        )
    assert caught.value.code == "data.cancelled"
    assert list(workspace.datasets.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(
    workspace: Workspace, zipped: Make, pets: Pets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(publishing, "write_manifest", full)
    with pytest.raises(DataError) as caught:
        import_dataset(zipped(pets()), workspace)
    assert caught.value.code == "data.disk_full"
    assert list(workspace.datasets.iterdir()) == []


def test_a_disk_that_is_too_small_is_said_before_anything_is_read(workspace: Workspace, folder: Make, pets: Pets) -> None:
    place = folder(pets())
    for number in range(shutil.disk_usage(place).free // MAX_FILE_BYTES + 1):
        with (place / "cats" / f"sparse {number}.png").open("wb") as file:
            file.truncate(MAX_FILE_BYTES)
    heard: list[int] = []
    with pytest.raises(DataError) as caught:
        import_dataset(place, workspace, progress=lambda done, total: heard.append(done))
    assert (caught.value.code, heard, list(workspace.datasets.iterdir())) == ("data.no_space", [], [])


def test_an_import_that_was_killed_is_swept_when_it_is_old(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    begun = {"young": 0, "young-job": 2 * 3600, "forsaken": 2 * 3600, "old-job": 8 * 24 * 3600}
    for name, seconds in begun.items():
        place = workspace.datasets / f".import-{name}"
        place.mkdir()
        (place / ("job.json" if name.endswith("job") else "x.png")).write_bytes(b"x")
        os.utime(place, (time.time() - seconds,) * 2)
    import_dataset(zipped(pets()), workspace)
    assert {place.name.removeprefix(".import-") for place in workspace.datasets.glob(".*")} == {"young", "young-job"}


def test_importing_again_puts_back_what_was_lost(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    path = zipped(pets())
    dataset = import_dataset(path, workspace)
    dataset.path(dataset.items[0]).unlink()
    again = import_dataset(path, workspace)
    assert again == dataset
    assert again.image(again.items[0]) == pets()["cats/0.png"]


def test_importing_again_lists_what_is_kept_out_now(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    first = import_dataset(zipped({**pets(), "cats/old.png": b"no picture"}), workspace)
    again = import_dataset(zipped({**pets(), "dogs/new.png": b""}, "second.zip"), workspace)
    assert (skipped(first), skipped(again)) == (
        [("cats/old.png", "image.not_an_image")],
        [("dogs/new.png", "image.empty")],
    )
    assert open_dataset(workspace, first.id) == again
    assert (again.id, again.name, again.items) == (first.id, first.name, first.items)


def test_a_source_whose_name_is_no_utf_8_comes_in(workspace: Workspace, tmp_path: Path, pets: Pets) -> None:
    root = os.fsencode(tmp_path) + "/小狗".encode("gbk")
    for file, data in pets().items():
        os.makedirs(os.path.dirname(root + b"/" + file.encode()), exist_ok=True)
        with open(root + b"/" + file.encode(), "wb") as out:
            out.write(data)
    dataset = import_dataset(Path(os.fsdecode(root)), workspace)
    assert (dataset.name, dataset.source) == ("小狗", "小狗")


def test_a_set_is_published_by_a_flush_a_rename_and_a_flush_of_the_folder_that_has_it_now(
    workspace: Workspace, zipped: Make, pets: Pets, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = heard(monkeypatch)
    made = import_dataset(zipped(pets()), workspace)
    assert calls[-3:] == [("sync",), ("replace", made.folder), ("flush", workspace.datasets)]


def test_what_is_told_anew_of_a_set_is_flushed_too(
    workspace: Workspace, zipped: Make, pets: Pets, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = import_dataset(zipped(pets()), workspace)
    calls = heard(monkeypatch)
    import_dataset(zipped({**pets(), "cats/notes.txt": b"x"}, "more.zip"), workspace)
    assert calls[-2:] == [("replace", made.folder / "manifest.json"), ("flush", made.folder)]


def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What publishing asks of the disk from now on, in order."""
    calls: list[tuple[object, ...]] = []
    sync, replace, flush = os.sync, os.replace, publishing.flush_folder
    monkeypatch.setattr(os, "sync", lambda: (calls.append(("sync",)), sync()))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append(("replace", Path(b))), replace(a, b)))
    monkeypatch.setattr(publishing, "flush_folder", lambda path: (calls.append(("flush", path)), flush(path)))
    return calls


def test_two_imports_of_the_same_content_at_once_make_one_data_set(workspace: Workspace, zipped: Make, pets: Pets) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = zipped(pets(8))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: import_dataset(path, workspace), range(4)))
    assert len({dataset.id for dataset in made}) == 1
    assert [place.name for place in workspace.datasets.iterdir()] == [made[0].id]
    assert all(made[0].image(item) for item in made[0].items)


def test_sign_digits_come_in_whole(workspace: Workspace, real_data: Path) -> None:
    dataset = import_dataset(real_data / "sign-digits.zip", workspace)
    assert dataset.classes == tuple("0123456789")
    assert list(dataset.counts().values()) == [205, 206, 206, 206, 207, 207, 207, 206, 208, 204]
    assert dataset.skipped == ()
    assert ("data.rotated", {"n": 3}) in dataset.notices


def test_pictures_of_blood_without_classes_are_said_to_be_one_class(workspace: Workspace, real_data: Path) -> None:
    error = refusal(real_data / "bccd.zip", workspace)
    assert error.cause == "bccd.zip has images of one class only: JPEGImages (364)."
