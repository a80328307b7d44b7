"""Chance that repeats: torch's generators and numpy's Philox, both as pure functions of a few numbers.

torch's default generator belongs to the whole process; a server has threads. So who needs it takes it for a moment, seeded
by what it is doing, and leaves it as it was: nothing has to be remembered from one step to the next.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch

_TURN: Final = threading.Lock()


def number(*key: int) -> int:
    """63 bits that look random and depend on every number of `key` (each at least 0; keys of one use have one length)."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1


@contextmanager
def seeded(*key: int, device: torch.device | None = None) -> Iterator[None]:
    """Inside, torch's generators of CPU and `device` start from `key`; no other thread that asks here has them meanwhile.

    The generators are seeded one by one: `torch.manual_seed` would note a stack trace for a GPU not in use, a millisecond
    each time.
    """
    generators = [torch.default_generator]
    if device is not None and device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    with _TURN:
        before = [generator.get_state() for generator in generators]
        try:
            for generator in generators:
                generator.manual_seed(number(*key))
            yield
        finally:
            for generator, state in zip(generators, before, strict=True):
                generator.set_state(state)


def stream(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    """Numbers for one `purpose` of one epoch: Philox is counter-based (Salmon et al. 2011), so these three decide alone."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, purpose]))
