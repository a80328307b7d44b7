"""Splits are fair, repeatable, true to what the source gave, and never share a picture."""

import hashlib
import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dataset import Dataset, Item, Split, import_dataset, split
from core.dataset.record import SPLITS
from core.workspace import Workspace


def dataset(counts: dict[str, int], given_split: dict[tuple[str, int], Split] | None = None) -> Dataset:
    """`counts` images of each class; `given_split` by class and number."""
    said = given_split or {}
    items = tuple(
        Item(hashlib.sha256(f"{label}{n}".encode()).hexdigest(), f"{label}/{n}", place, said.get((label, n)), 9, 9, "png")
        for place, (label, count) in enumerate(counts.items())
        for n in range(count)
    )
    return Dataset("id", "name", "x.zip", tuple(counts), items, (), (), Path("nowhere"), "2026-01-01")


def per_class(data: Dataset, indices: tuple[int, ...]) -> dict[str, int]:
    counts = Counter(data.classes[data.items[index].label] for index in indices)
    return {label: counts[label] for label in data.classes}


def test_eight_to_one_to_one_in_every_class() -> None:
    data = dataset({"a": 100, "b": 50, "c": 20})
    splits = split(data, val_fraction=0.1, test_fraction=0.1, seed=0)
    assert per_class(data, splits.train) == {"a": 80, "b": 40, "c": 16}
    assert per_class(data, splits.val) == per_class(data, splits.test) == {"a": 10, "b": 5, "c": 2}


@pytest.mark.parametrize(
    ("count", "expected"),
    [(2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1)), (10, (8, 1, 1)), (14, (12, 1, 1)), (15, (11, 2, 2))],
)
def test_small_classes_are_learned_and_tested_first(count: int, expected: tuple[int, int, int]) -> None:
    data = dataset({"a": count, "b": 100})
    splits = split(data, val_fraction=0.1, test_fraction=0.1, seed=3)
    assert tuple(per_class(data, part)["a"] for part in (splits.train, splits.val, splits.test)) == expected


def test_a_fraction_of_nothing_takes_nothing() -> None:
    splits = split(dataset({"a": 10, "b": 10}), val_fraction=0.0, test_fraction=0.0, seed=0)
    assert (len(splits.train), splits.val, splits.test) == (20, (), ())


def test_one_seed_gives_one_split_and_another_seed_another() -> None:
    data = dataset({"a": 50, "b": 50})
    first, same, other = (split(data, val_fraction=0.2, test_fraction=0.2, seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert first.test != other.test


def test_names_and_order_of_the_files_do_not_move_a_picture() -> None:
    data = dataset({"a": 30, "b": 30})
    turned = Dataset("id", "n", "x", data.classes, data.items[::-1], (), (), Path("nowhere"), "")
    first, second = (split(some, val_fraction=0.2, test_fraction=0.2, seed=5) for some in (data, turned))
    assert {data.items[index].sha256 for index in first.test} == {turned.items[index].sha256 for index in second.test}


def test_given_splits_are_respected() -> None:
    said: dict[tuple[str, int], Split] = {(label, n): ("train", "val", "test")[n % 3] for label in "ab" for n in range(9)}  # type: ignore[misc]
    data = dataset({"a": 9, "b": 9}, said)
    splits = split(data, val_fraction=0.3, test_fraction=0.3, seed=0)
    assert {data.items[index].split for index in splits.train} == {"train"}
    assert {data.items[index].split for index in splits.val} == {"val"}
    assert {data.items[index].split for index in splits.test} == {"test"}


def test_what_is_not_given_is_drawn_from_training() -> None:
    said: dict[tuple[str, int], Split] = {(label, n): "test" if n < 10 else "train" for label in "ab" for n in range(50)}
    data = dataset({"a": 50, "b": 50}, said)
    splits = split(data, val_fraction=0.1, test_fraction=0.1, seed=0)
    assert {data.items[index].split for index in splits.test} == {"test"}
    assert (len(splits.test), len(splits.val), len(splits.train)) == (20, 8, 72)


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=5),
    val=st.floats(0, 0.45),
    test=st.floats(0, 0.45),
    seed=st.integers(0, 2**32 - 1),
    said=st.lists(st.sampled_from(["train", "val", "test", None]), max_size=60),
)
def test_every_image_is_in_exactly_one_split_and_every_class_can_be_learned(
    counts: list[int], val: float, test: float, seed: int, said: list[Split | None]
) -> None:
    plain = dataset({f"class {place}": count for place, count in enumerate(counts)})
    items = tuple(
        Item(item.sha256, item.name, item.label, said[index] if index < len(said) else None, 9, 9, "png")
        for index, item in enumerate(plain.items)
    )
    data = Dataset("id", "n", "x", plain.classes, items, (), (), Path("nowhere"), "")
    splits = split(data, val_fraction=val, test_fraction=test, seed=seed)
    assert sorted([*splits.train, *splits.val, *splits.test]) == list(range(len(items)))
    learned = per_class(data, splits.train)
    for place, label in enumerate(data.classes):
        free = [item for item in items if item.label == place and item.split not in {"val", "test"}]
        assert (learned[label] > 0) == bool(free)


def test_sign_digits_split_8_to_1_to_1(workspace: Workspace, real_data: Path) -> None:
    data = import_dataset(real_data / "sign-digits.zip", workspace)
    splits = split(data, val_fraction=0.1, test_fraction=0.1, seed=0)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (1646, 208, 208)
    assert set(per_class(data, splits.test).values()) == {20, 21}


def grouped(data: Dataset, groups: list[set[int]]) -> Dataset:
    names = {index: f"group-{number}" for number, group in enumerate(groups) for index in group}
    items = tuple(replace(item, group=names.get(index, "")) for index, item in enumerate(data.items))
    return replace(data, items=items)


def test_no_group_is_ever_in_two_splits_of_a_thousand_random_sets() -> None:
    for seed in range(1000):
        dice = random.Random(seed)
        counts = {label: dice.randint(1, 12) for label in "abcd"[: dice.randint(1, 4)]}
        order = [(label, n) for label, count in counts.items() for n in range(count)]
        said = {one: dice.choice(SPLITS) for one in dice.sample(order, min(len(order), dice.randint(0, 4)))}
        indices = dice.sample(range(len(order)), len(order))
        cuts = sorted(dice.sample(range(len(order) + 1), min(len(order), 6)))
        groups = [set(indices[begin:end]) for begin, end in pairwise(cuts)]
        splits = split(grouped(dataset(counts, said), groups), val_fraction=0.2, test_fraction=0.2, seed=seed)
        parts = [set(splits.train), set(splits.val), set(splits.test)]
        assert sorted(index for part in parts for index in part) == list(range(len(order)))
        assert all(sum(bool(part & group) for part in parts) == 1 for group in groups)


def test_copies_follow_the_one_that_is_sealed() -> None:
    data = grouped(dataset({"a": 10, "b": 10}, {("a", 0): "train", ("a", 1): "test", ("a", 2): "val"}), [{0, 1, 2, 15}])
    assert {0, 1, 2, 15} <= set(split(data, val_fraction=0.1, test_fraction=0.1, seed=0).test)


def test_one_of_each_drawn_split_remains_though_all_are_in_groups() -> None:
    data = grouped(dataset({"a": 9, "b": 9}), [{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9, 10, 11}, {12, 13, 14}, {15, 16, 17}])
    splits = split(data, val_fraction=0.1, test_fraction=0.1, seed=0)
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [6, 6, 6]
