"""The demos are there without a network, in both languages, and are what they say they are."""

import io
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from PIL import Image

from core.dataset import DEMOS, leaves, open_dataset
from core.dataset import demos as module
from core.words import LANGUAGES, say
from core.workspace import Workspace


@pytest.mark.parametrize("key", DEMOS)
def test_every_demo_has_a_title_a_story_and_a_lesson(key: str) -> None:
    for language in LANGUAGES:
        assert say(f"demo.{key}.title", language)
        assert len(say(f"demo.{key}.story", language)) > 40
        assert len(say(f"demo.{key}.lesson", language)) > 20


@pytest.mark.parametrize("key", DEMOS)
def test_a_demo_announces_what_its_files_hold(key: str) -> None:
    files = list(DEMOS[key].files())
    assert len(files) == DEMOS[key].images
    assert sorted({file.label for file in files}) == sorted(DEMOS[key].classes)
    assert len({file.name for file in files}) == len(files)


def test_the_digits_are_scikit_learns_scans(workspace: Workspace) -> None:
    dataset = open_dataset(workspace, "demo:digits")
    assert (dataset.id, dataset.demo, dataset.classes) == ("demo-digits", "digits", tuple("0123456789"))
    assert list(dataset.counts().values()) == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (dataset.skipped, dataset.notices) == ((), ())
    image = Image.open(io.BytesIO(dataset.image(dataset.items[0])))
    assert (image.format, image.size) == ("PNG", (64, 64))


def test_the_scans_read_past_scikit_learn_are_those_it_loads() -> None:
    from sklearn.datasets import load_digits

    scans = load_digits()
    assert np.array_equal(module._scans(), np.column_stack([scans.data, scans.target]))


def test_where_scikit_learn_keeps_its_files_elsewhere_it_loads_them_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = module._scans()
    monkeypatch.setattr(module, "find_spec", lambda name: ModuleSpec(name, None, is_package=True))
    assert np.array_equal(module._scans(), expected)


def test_a_digit_is_dark_ink_on_paper_with_a_margin() -> None:
    scan = np.zeros((8, 8), np.uint8)
    scan[:, 3:5] = 16
    pixels = np.asarray(Image.open(io.BytesIO(module._digit(scan))))
    assert pixels[0, 0] == 255
    assert pixels[32, 32] < 10
    assert pixels[0].min() > 200


def test_the_leaves_come_in_whole(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for label in leaves.COUNTS:
        monkeypatch.setitem(leaves.COUNTS, label, 3)
    dataset = open_dataset(workspace, "demo:leaves")
    assert dataset.counts() == {"blight": 3, "healthy": 3, "leaf spot": 3, "powdery mildew": 3, "rust": 3}
    assert dataset.skipped == ()
    assert {(item.width, item.height, item.suffix) for item in dataset.items} == {(128, 128, "jpg")}


@pytest.mark.parametrize("key", DEMOS)
def test_the_sheet_shows_the_classes_by_turns(key: str) -> None:
    shown = module.sheet(key, 12)
    firsts: dict[str, bytes] = {}
    for file in DEMOS[key].files():
        if file.label not in firsts:
            firsts[file.label] = file.read()
    assert len(shown) == 12
    assert shown[: len(firsts)] == list(firsts.values())


def test_at_night_nothing_is_learned_from_what_is_tested() -> None:
    files = list(DEMOS["night"].files())
    by_split = {split: [file.name for file in files if file.split == split] for split in ("train", "val", "test")}
    assert {split: len(names) for split, names in by_split.items()} == {"train": 702, "val": 78, "test": 193}
    tested = {file.read() for file in files if file.split == "test" and file.label == "rust"}
    learned = {file.read() for file in files if file.split != "test" and file.label == "rust"}
    assert (len(tested), len(learned), tested & learned) == (42, 170, set())


def test_street_signs_that_lie_there_twice_are_kept_once_and_listed(workspace: Workspace) -> None:
    dataset = open_dataset(workspace, "demo:street")
    assert len(dataset.items) == 624
    assert [one.code for one in dataset.skipped] == ["data.duplicate"] * 12
    small = [item for item in dataset.items if item.width == 96]
    assert len(small) == 24
    assert all(item.name.endswith("-small.jpg") for item in small)


@pytest.mark.parametrize(
    ("key", "low", "high"), [("leaves", 0.25, 0.5), ("cells", 0.4, 0.8), ("boards", 0.25, 0.6), ("street", 0.2, 0.5)]
)
def test_pixels_alone_tell_the_classes_a_little_but_never_well(key: str, low: float, high: float) -> None:
    """Ridge regression on 16 x 16 pixels, 28 images a class to learn from and 14 to test: above chance, far from solved."""
    counts: dict[str, int] = {}
    rows, labels, learn = [], [], []
    for file in DEMOS[key].files():
        at = counts[file.label] = counts.get(file.label, -1) + 1
        if at < 42:
            image = Image.open(io.BytesIO(file.read())).resize((16, 16), Image.Resampling.BOX)
            rows.append(np.asarray(image, np.float64).ravel() / 255)
            labels.append(DEMOS[key].classes.index(file.label))
            learn.append(at % 3 > 0)
    pixels, label, taught = np.array(rows), np.array(labels), np.array(learn)
    mean = pixels[taught].mean(0)
    known = pixels[taught] - mean
    kernel = known @ known.T + 3 * np.eye(len(known))
    weights = known.T @ np.linalg.solve(kernel, np.eye(len(counts))[label[taught]] - 1 / len(counts))
    right = ((pixels[~taught] - mean) @ weights).argmax(1) == label[~taught]
    assert low < right.mean() < high
