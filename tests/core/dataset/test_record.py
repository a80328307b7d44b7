"""A data set is what its manifest says, and its images are what was imported."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.dataset import Dataset, Item, Skipped, import_dataset
from core.dataset.record import MANIFEST, read_manifest, write_manifest
from core.errors import DataError
from core.workspace import Workspace


@pytest.fixture
def dataset(workspace: Workspace, zipped: Callable[..., Path], pets: Callable[..., dict[str, bytes]]) -> Dataset:
    return import_dataset(zipped(pets(3)), workspace)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SHA = st.text("0123456789abcdef", min_size=64, max_size=64)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    names=st.tuples(TEXT, TEXT, TEXT, TEXT),
    items=st.lists(
        st.builds(
            Item, SHA, TEXT, st.integers(0, 1), st.sampled_from(["train", None]), st.just(9), st.just(8), st.just("png")
        )
    ),
)
def test_a_manifest_is_read_as_it_was_written(tmp_path: Path, names: tuple[str, str, str, str], items: list[Item]) -> None:
    skipped = (Skipped(names[2], "data.link", {"name": names[2], "n": 3, "x": 0.5}),)
    notices = (("data.tiny", {"n": 1, "limit": 32}), ("data.empty_class", {"name": names[3]}))
    made = Dataset(
        "id", names[0], names[1], ("a", "b"), tuple(items), skipped, notices, tmp_path, "2026-01-01T00:00:00+00:00"
    )
    write_manifest(made, tmp_path, recipe="leaves-1")
    assert read_manifest(tmp_path) == (made, "leaves-1")


def test_the_fingerprint_follows_content_labels_and_given_splits_alone(dataset: Dataset) -> None:
    first = dataset.items[0]
    others = dataset.items[1:]

    def with_first(**changes: object) -> str:
        return replace(dataset, items=(*others, replace(first, **changes))).fingerprint  # type: ignore[arg-type]

    assert with_first() == with_first(name="renamed") == dataset.fingerprint
    assert len({dataset.fingerprint, with_first(label=1), with_first(split="test"), with_first(sha256="0" * 64)}) == 4
    assert replace(dataset, classes=("cats", "wolves")).fingerprint != dataset.fingerprint


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"version": 1}', "\0"])
def test_a_manifest_that_is_none_is_said(dataset: Dataset, text: str) -> None:
    (dataset.folder / MANIFEST).write_text(text)
    with pytest.raises(DataError, match=f"The list of images of the data set {dataset.id} cannot be read"):
        read_manifest(dataset.folder)


@pytest.mark.parametrize(
    "changes", [{"version": 99}, {"classes": ["cats"]}, {"groups": [[0, 6]]}, {"groups": [[-1]]}, {"classes": 3}], ids=str
)
def test_a_manifest_that_contradicts_itself_is_damaged(dataset: Dataset, changes: dict[str, object]) -> None:
    file = dataset.folder / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")
    with pytest.raises(DataError) as caught:
        read_manifest(dataset.folder)
    assert caught.value.code == "dataset.damaged"


def test_a_manifest_cut_anywhere_is_said(dataset: Dataset) -> None:
    data = (dataset.folder / MANIFEST).read_bytes()
    for cut in range(0, len(data), 37):
        (dataset.folder / MANIFEST).write_bytes(data[:cut])
        with pytest.raises(DataError):
            read_manifest(dataset.folder)


def test_an_image_whose_bytes_changed_on_the_disk_is_named(dataset: Dataset) -> None:
    item = dataset.items[2]
    data = bytearray(dataset.path(item).read_bytes())
    data[len(data) // 2] ^= 1
    dataset.path(item).write_bytes(data)
    with pytest.raises(DataError, match=r"The image cats/2\.png of the data set set is no longer what was imported"):
        dataset.image(item)


def test_an_image_that_is_gone_is_named(dataset: Dataset) -> None:
    dataset.path(dataset.items[0]).unlink()
    with pytest.raises(DataError, match=r"The image cats/0\.png of the data set set cannot be read"):
        dataset.image(dataset.items[0])


def test_counts_keep_the_order_of_the_classes_and_know_zero(dataset: Dataset) -> None:
    assert list(replace(dataset, classes=("cats", "dogs", "ants")).counts().items()) == [
        ("cats", 3),
        ("dogs", 3),
        ("ants", 0),
    ]
