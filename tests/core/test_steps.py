"""Steps come out of their columns as they went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events import StepDone
from core.steps import Steps

numbers = st.floats(allow_nan=False, allow_infinity=False)
steps = st.builds(
    StepDone,
    step=st.integers(1, 2**60),
    epoch=st.integers(1, 2**30),
    loss=st.none() | numbers,
    correct=st.integers(0, 2**30),
    images=st.integers(0, 2**30),
    lr=numbers,
    clock=numbers,
)


@given(st.lists(steps, max_size=20))
def test_packing_and_unpacking_gives_equal_events(events: list[StepDone]) -> None:
    packed = Steps.of(events)
    again = list(Steps.from_bytes(packed.to_bytes()).unpack())
    assert again == events
    assert [event.model_dump_json() for event in again] == [event.model_dump_json() for event in events]
    assert len(packed.to_bytes()) == 44 * len(events) == 44 * len(packed)


def test_half_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of element size"):
        Steps.from_bytes(b"\0" * 45)
