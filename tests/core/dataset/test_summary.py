"""What a page says about a data set: counts, sizes, and what may go wrong."""

from pathlib import Path

from core.dataset import Dataset, Item, Spread, problems, summarise
from core.words import LANGUAGES, say


def dataset(counts: dict[str, int], sizes: list[tuple[int, int]] | None = None, split: str | None = None) -> Dataset:
    shapes = sizes or [(100, 100)]
    items = []
    for label, count in enumerate(counts.values()):
        for _ in range(count):
            width, height = shapes[len(items) % len(shapes)]
            items.append(Item(f"{len(items):064x}", f"{len(items)}", label, split, width, height, "png"))  # type: ignore[arg-type]
    return Dataset("id", "n", "x", tuple(counts), tuple(items), (), (), Path("nowhere"), "")


def codes(data: Dataset) -> list[str]:
    return [code for code, _ in problems(data)]


def test_a_summary_counts_and_measures() -> None:
    summary = summarise(dataset({"a": 2, "b": 3}, [(10, 40), (20, 30), (60, 20)]))
    assert (summary.images, summary.counts) == (5, {"a": 2, "b": 3})
    assert (summary.width, summary.height) == (Spread(10, 20, 60), Spread(20, 30, 40))
    assert summary.given["b"] == {"train": 0, "val": 0, "test": 0, "": 3}


def test_a_good_set_has_no_problems() -> None:
    assert problems(dataset({"a": 100, "b": 20})) == ()


def test_uneven_classes_are_told_from_five_to_one_on() -> None:
    assert codes(dataset({"a": 100, "b": 20})) == []
    assert problems(dataset({"a": 101, "b": 20})) == (
        ("data.imbalanced", {"most": "a", "n_most": 101, "least": "b", "n_least": 20, "ratio": 5.0}),
    )  # fmt: skip


def test_classes_that_look_like_one_are_told() -> None:
    assert problems(dataset({"Cat": 20, "cat ": 20, "dog": 20, "c at s": 20})) == (
        ("data.alike_classes", {"classes": "“Cat”, “cat ”"}),
    )
    twice = dataset({"rust leaf": 20, "rust_leaf": 20, "Rust-Leaf": 20, "１": 20, "1": 20})
    assert codes(twice) == ["data.alike_classes"] * 2
    assert codes(dataset({"-": 20, "_": 20, "1-1": 20, "11": 20})) == []


def test_few_images_are_told_below_twenty() -> None:
    assert problems(dataset({"a": 19, "b": 20})) == (
        ("data.few_images", {"n": 1, "limit": 20, "least": "a", "n_least": 19}),
    )


def test_tiny_and_mixed_sizes_are_told() -> None:
    assert problems(dataset({"a": 20, "b": 20}, [(31, 100), (100, 100)])) == (("data.tiny", {"n": 20, "limit": 32}),)
    assert problems(dataset({"a": 20, "b": 20}, [(100, 100), (400, 401)])) == (
        ("data.mixed_sizes", {"small": "100×100", "large": "400×401"}),
    )  # fmt: skip


def test_a_class_that_a_given_split_does_not_train_is_told() -> None:
    data = dataset({"a": 20, "b": 20}, split="train")
    items = tuple(
        item if item.label == 0 else Item(item.sha256, item.name, 1, "test", 100, 100, "png") for item in data.items
    )
    unseen = Dataset("id", "n", "x", data.classes, items, (), (), Path("nowhere"), "")
    assert problems(unseen) == (("data.class_not_in_train", {"label": "b"}),)


def test_every_problem_has_its_words() -> None:
    for data in (dataset({"a": 19, "b": 2}, [(20, 20), (400, 400)]), dataset({"a": 19, "b": 100}, [(20, 20)])):
        for code, values in problems(data):
            for language in LANGUAGES:
                assert say(f"notice.{code}", language, **values)
