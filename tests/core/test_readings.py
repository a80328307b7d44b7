"""Parts add up as lengths do, frozen blocks read 0 and are never flagged, and trouble is named where it is."""

import math

import pytest

from core.events import Reading
from core.readings import flags, moved, ratio, summed

HEALTHY = {f"layer{at}": Reading(0.1 * at, 0.001, 1.0, 0.01, 0.0) for at in range(1, 6)}
FROZEN = Reading(0.0, 0.0, 3.0, 0.0, 0.0)


def test_a_block_reads_what_its_parts_read_together() -> None:
    blocks = {"a.x": Reading(3.0, 0.3, 3.0, 0.0, 1.0), "a.y": Reading(4.0, 0.4, 4.0, 0.0, 0.0), "ab": Reading(9, 9, 9, 9, 9)}
    assert summed(blocks, "a") == pytest.approx((5.0, 0.5, 5.0, 0.0, 1.0))
    assert summed(blocks, "a.x") == blocks["a.x"]
    assert summed(blocks, "none") == (0, 0, 0, 0, 0)
    assert summed({**blocks, "a.z": Reading(None, 1, 1, 1, 1)}, "a").gradient is None


def test_what_never_moved_reads_exactly_zero() -> None:
    assert moved(FROZEN) == 0.0
    assert moved(Reading(0.0, 0.0, 2.0, 0.0, 0.1)) == 0.0
    assert moved(Reading(0.1, 0.1, 2.0, 0.5, 0.0)) == 0.25
    assert moved(Reading(0.1, 0.1, 0.0, 0.1, 0.2)) is None
    assert ratio(Reading(0.1, 0.02, 2.0, 0.5, 0.0)) == 0.01
    assert ratio(Reading(0.1, 0.02, 0.0, 0.5, 0.0)) is None


def test_a_healthy_network_and_frozen_blocks_raise_no_flag() -> None:
    assert flags({**HEALTHY, "stem": FROZEN}) == {}
    assert flags({"stem": FROZEN}) == flags({}) == {}


@pytest.mark.parametrize(
    ("reading", "flag"),
    [
        (Reading(1e-6, 1e-9, 1.0, 0.01, 0.0), "vanishing"),
        (Reading(1e3, 0.01, 1.0, 0.01, 0.0), "exploding"),
        (Reading(0.1, 0.5, 1.0, 0.5, 0.0), "exploding"),
        (Reading(None, None, 1.0, 0.01, 0.0), "exploding"),
        (Reading(0.1, None, 1.0, 0.01, 0.0), "exploding"),
    ],
)
def test_trouble_is_named_where_it_is(reading: Reading, flag: str) -> None:
    assert flags({**HEALTHY, "odd": reading, "stem": FROZEN}) == {"odd": flag}


def test_lengths_of_many_parts_do_not_overflow() -> None:
    assert math.isfinite(summed({f"a.{n}": Reading(1e200, 0, 1, 0, 0) for n in range(50)}, "a").gradient or 0)
