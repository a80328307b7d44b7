"""From names to classes and splits, as a person would read the folders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dataset.layout import Layout, arrange, suffix


def places(*files: str, folders: tuple[str, ...] = ()) -> dict[str, tuple[str, str | None]]:
    return {name: (place.label, place.split) for name, place in arrange(files, folders, []).places.items()}


def skips(layout: Layout) -> list[tuple[str, str]]:
    return [(left.name, left.code) for left in layout.skipped]


PETS = ("cats/1.jpg", "cats/2.jpg", "dogs/1.jpg")


def test_a_folder_is_a_class() -> None:
    assert places(*PETS) == {"cats/1.jpg": ("cats", None), "cats/2.jpg": ("cats", None), "dogs/1.jpg": ("dogs", None)}


@pytest.mark.parametrize("above", ["data/", "my set/images/", "a/b/c/d/"])
def test_lone_folders_around_the_classes_are_opened(above: str) -> None:
    assert set(places(*(above + file for file in PETS)).values()) == {("cats", None), ("dogs", None)}


def test_a_lone_class_is_a_class_and_not_a_folder_to_open() -> None:
    assert places("set/cats/1.jpg", "set/cats/2.jpg") == {"set/cats/1.jpg": ("cats", None), "set/cats/2.jpg": ("cats", None)}


def test_folders_below_a_class_belong_to_it() -> None:
    assert places("cats/black/1.jpg", "cats/2.jpg", "dogs/1.jpg")["cats/black/1.jpg"] == ("cats", None)


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Training", "Validation", "Testing"), ("TRAIN", "valid", "test"), ("train", "dev", "test"),
     ("训练集", "验证集", "测试集")],
)  # fmt: skip
def test_split_folders_are_respected(train: str, val: str, test: str) -> None:
    files = [f"set/{split}/{label}/1.jpg" for split in (train, val, test) for label in ("cats", "dogs")]
    assert list(places(*files).values()) == [
        (label, split) for split in ("train", "val", "test") for label in ("cats", "dogs")
    ]  # fmt: skip


def test_split_folders_inside_the_classes_are_respected() -> None:
    found = places("cats/train/1.jpg", "cats/test/2.jpg", "dogs/train/1.jpg", "dogs/test/2.jpg")
    assert list(found.values()) == [("cats", "train"), ("cats", "test"), ("dogs", "train"), ("dogs", "test")]


def test_a_lone_train_folder_gives_no_split() -> None:
    assert places("train/cats/1.jpg", "train/dogs/1.jpg") == {
        "train/cats/1.jpg": ("cats", None),
        "train/dogs/1.jpg": ("dogs", None),
    }


def test_a_class_may_be_called_train() -> None:
    assert set(places("train/1.jpg", "bus/1.jpg", "car/1.jpg").values()) == {("train", None), ("bus", None), ("car", None)}


def test_a_class_called_train_may_have_folders_of_its_own() -> None:
    found = places("train/steam/1.jpg", "train/2.jpg", "bus/1.jpg", "car/red/1.jpg")
    assert list(found.values()) == [("train", None), ("train", None), ("bus", None), ("car", None)]


def test_a_folder_with_one_picture_in_it_is_opened_or_is_a_class() -> None:
    assert set(places("all/cats/1.jpg", "all/dogs/1.jpg").values()) == {("cats", None), ("dogs", None)}
    assert places("cats/1.jpg") == {"cats/1.jpg": ("cats", None)}
    layout = arrange(["train/cats/1.jpg", "train/dogs/1.jpg", "test/cats/2.jpg", "others/3.jpg"], [], [])
    assert skips(layout) == [("others/3.jpg", "data.outside_split")]


def test_a_test_folder_without_classes_is_outside() -> None:
    layout = arrange(["train/cats/1.jpg", "train/dogs/1.jpg", "test/1.jpg", "test/2.jpg"], [], [])
    assert list(layout.places) == ["train/cats/1.jpg", "train/dogs/1.jpg"]
    assert skips(layout) == [("test/1.jpg", "data.outside_class"), ("test/2.jpg", "data.outside_class")]


def test_a_folder_beside_the_splits_is_outside() -> None:
    layout = arrange(["train/cats/1.jpg", "test/cats/1.jpg", "train/dogs/1.jpg", "more/cats/1.jpg"], [], [])
    assert skips(layout) == [("more/cats/1.jpg", "data.outside_split")]


def test_pictures_beside_the_classes_are_outside() -> None:
    layout = arrange([*PETS, "preview.png"], [], [])
    assert skips(layout) == [("preview.png", "data.outside_class")]
    deeper = arrange(["preview.png", *(f"data/{file}" for file in PETS)], [], [])
    assert skips(deeper) == [("preview.png", "data.outside_class")]
    assert {place.label for place in deeper.places.values()} == {"cats", "dogs"}


def test_pictures_without_any_folder_are_all_outside() -> None:
    layout = arrange(["1.jpg", "2.jpg"], [], [])
    assert layout.places == {}
    assert {code for _, code in skips(layout)} == {"data.outside_class"}


def test_other_files_are_listed_for_what_they_are() -> None:
    layout = arrange([*PETS, "README.md", "cats/1.xml", "cats/more.zip"], [], [])
    assert skips(layout) == [
        ("README.md", "data.not_an_image"), ("cats/1.xml", "data.not_an_image"), ("cats/more.zip", "data.nested_archive"),
    ]  # fmt: skip


def test_a_file_without_a_suffix_in_a_class_is_tried_as_an_image() -> None:
    assert places(*PETS, "cats/IMG0001")["cats/IMG0001"] == ("cats", None)
    assert places(*(f"set/{file}" for file in PETS), "LICENSE").keys() == {f"set/{file}" for file in PETS}


def test_an_empty_class_folder_is_told() -> None:
    assert arrange(list(PETS), ["cats/", "dogs/", "owl/", "cats/black/"], []).notices == (
        ("data.empty_class", {"name": "owl"}),
    )
    nested = arrange([f"set/train/{file}" for file in PETS] + ["set/val/cats/9.jpg"], ["set/val/owl/", "set/val/"], [])
    assert nested.notices == (("data.empty_class", {"name": "owl"}),)


def test_a_table_over_flat_pictures_gives_the_classes() -> None:
    table = ("set/labels.csv", b"file,label,split\n1.jpg,cat,train\n2.jpg,dog,val\n8.jpg,dog,\n")
    layout = arrange(["set/img/1.jpg", "set/img/2.jpg", "set/img/3.jpg", "set/notes.txt"], [], [table])
    assert {name: (place.label, place.split) for name, place in layout.places.items()} == {
        "set/img/1.jpg": ("cat", "train"), "set/img/2.jpg": ("dog", "val"),
    }  # fmt: skip
    assert skips(layout) == [
        ("8.jpg", "data.missing_file"), ("set/img/3.jpg", "data.not_in_table"), ("set/notes.txt", "data.not_an_image"),
    ]  # fmt: skip


def test_a_table_that_speaks_of_few_images_does_not_rule_folders() -> None:
    files = [f"{label}/{number}.jpg" for label in ("cats", "dogs") for number in range(5)]
    layout = arrange(files, [], [("checked.csv", b"file,label\ncats/1.jpg,fine\ndogs/1.jpg,blurred\n")])
    assert {place.label for place in layout.places.values()} == {"cats", "dogs"}
    assert skips(layout) == [("checked.csv", "data.table_unused")]


def test_a_table_that_cannot_be_used_is_listed() -> None:
    assert skips(arrange(list(PETS), [], [("sizes.csv", b"w,h\n1,2\n")])) == [("sizes.csv", "data.table_unused")]


@pytest.mark.parametrize(
    ("name", "expected"), [("a/b.JPG", "jpg"), ("a.b/c", ""), ("c.tar.gz", "gz"), ("a/.jpg", ""), ("x.", ""), ("", "")]
)
def test_the_suffix_is_of_the_last_part(name: str, expected: str) -> None:
    assert suffix(name) == expected


PART = st.sampled_from(["train", "val", "test", "cats", "dogs", "x", "deep", "1", "2"])


@given(
    st.lists(st.lists(PART, min_size=0, max_size=4).map(lambda above: "/".join([*above, "p.jpg"])), unique=True, max_size=12)
)
def test_every_file_has_a_place_or_a_reason(files: list[str]) -> None:
    layout = arrange(files, [], [])
    assert sorted([*layout.places, *(left.name for left in layout.skipped)]) == sorted(files)
