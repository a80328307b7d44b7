"""Chance repeats, and nobody else's chance is touched."""

import threading

import numpy as np
import torch

from core.seeding import number, seeded, stream


def test_equal_keys_give_equal_numbers_and_every_part_counts() -> None:
    with seeded(1, 2):
        first = torch.rand(4)
    with seeded(1, 2):
        assert torch.equal(torch.rand(4), first)
    with seeded(2, 1):
        assert not torch.equal(torch.rand(4), first)
    assert len({number(*key) for key in [(0, 0, 1), (0, 1, 1), (1, 0, 1), (0, 0, 2), (2**32 - 1, 10**9, 3)]}) == 5


def test_the_generator_of_everybody_is_left_as_it_was() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with seeded(3):
        torch.rand(100)
    assert torch.equal(torch.get_rng_state(), before)


def test_two_threads_do_not_mix_their_numbers() -> None:
    with seeded(5):
        expected = torch.rand(2000)
    wrong = []

    def draw() -> None:
        for _ in range(20):
            with seeded(5):
                if not torch.equal(torch.cat([torch.rand(1000), torch.rand(1000)]), expected):
                    wrong.append(True)

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_purposes_of_one_epoch_do_not_share_numbers() -> None:
    first, second = (stream(1, 1, purpose).random(1000) for purpose in (0, 1))
    assert not np.isin(first, second).any()
    assert np.array_equal(stream(1, 1, 0).random(1000), first)
