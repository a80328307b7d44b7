"""Every image once an epoch, in an order that seed and epoch alone decide, and no batch of one by accident."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.training.batches import batches, count


@given(images=st.integers(1, 300), size=st.integers(1, 40), seed=st.integers(0, 2**32 - 1), epoch=st.integers(1, 99))
def test_every_image_is_seen_once_and_no_batch_is_of_one_unless_it_was_asked_for(
    images: int, size: int, seed: int, epoch: int
) -> None:
    parts = batches(seed, epoch, images, size)
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
    assert [len(part) for part in batches(0, 1, images, size)] == sizes


def test_the_order_follows_from_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(batches(seed, epoch, 50, 7)).tolist()

    assert order(1, 1) == order(1, 1)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert order(1, 1) != list(range(50))
