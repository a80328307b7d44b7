"""Every image once an epoch, in an order that seed and epoch alone decide, and no batch of one by accident."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.training.batches import batches, count, even_order, shuffled


@given(images=st.integers(1, 300), size=st.integers(1, 40), seed=st.integers(0, 2**32 - 1), epoch=st.integers(1, 99))
def test_every_image_is_seen_once_and_no_batch_is_of_one_unless_it_was_asked_for(
    images: int, size: int, seed: int, epoch: int
) -> None:
    parts = batches(shuffled(seed, epoch, images), size)
    assert sorted(np.concatenate(parts).tolist()) == list(range(images))
    assert len(parts) == count(images, size)
    assert all(len(part) == size for part in parts[:-1])
    if images > 1 and size > 1:
        assert 1 < len(parts[-1]) <= size + 1


@pytest.mark.parametrize(
    ("images", "size", "sizes"),
    [(9, 4, [4, 5]), (8, 4, [4, 4]), (10, 4, [4, 4, 2]), (3, 8, [3]), (1, 8, [1]), (3, 1, [1, 1, 1]), (5, 4, [5])],
)
def test_a_last_batch_of_one_joins_the_one_before(images: int, size: int, sizes: list[int]) -> None:
    assert [len(part) for part in batches(shuffled(0, 1, images), size)] == sizes


def test_the_order_follows_from_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(batches(shuffled(seed, epoch, 50), 7)).tolist()

    assert order(1, 1) == order(1, 1)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert order(1, 1) != list(range(50))


@given(counts=st.lists(st.integers(1, 40), min_size=2, max_size=5), seed=st.integers(0, 99), epoch=st.integers(1, 9))
def test_a_balanced_epoch_is_as_long_and_has_every_class_equally_often(counts: list[int], seed: int, epoch: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    order = even_order(seed, epoch, labels)
    drawn = np.bincount(labels[order], minlength=len(counts))
    assert len(order) == len(labels)
    assert drawn.max() <= -(-len(labels) // len(counts))
    assert drawn.sum() == len(labels)
    assert order.tolist() == even_order(seed, epoch, labels).tolist()


def test_a_rare_class_comes_again_and_again_and_a_frequent_one_takes_turns() -> None:
    labels = np.repeat([0, 1], [90, 10])
    order = even_order(0, 1, labels)
    assert np.bincount(labels[order]).tolist() == [50, 50]
    assert sorted(np.bincount(order[labels[order] == 1], minlength=100)[90:]) == [5] * 10
    assert len(set(order[labels[order] == 0])) == 50
    seen = {int(place) for epoch in range(1, 40) for place in even_order(0, epoch, labels)}
    assert seen == set(range(100))
