"""What the list of runs takes from a browser: ticks since the last clearing, and presses that were offered."""

import pytest

from ui.components.run_list import Row, pressed, ticked

ROWS = (
    Row("A", "a", "Finished", "good", "", (), (("open", "Open"), ("delete", "Delete"))),
    Row("B", "b", "Running", "warm", "", (), (("open", "Open"), ("pause", "Pause"))),
)


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ({"cleared": 2, "ids": ["A", "B"]}, ("A", "B")),
        ({"cleared": 1, "ids": ["A"]}, ()),
        ({"cleared": 2, "ids": ["A", 3, None]}, ("A",)),
        ({"cleared": 2, "ids": "AB"}, ()),
        ({"ids": ["A"]}, ()),
        (None, ()),
        ([], ()),
    ],
)
def test_ticks_count_from_the_last_clearing_on(value: object, ids: tuple[str, ...]) -> None:
    assert ticked(value, 2) == ids


@pytest.mark.parametrize("wish", [["delete", "B"], ["pause", "A"], ["open", "C"], ["open"], "open", None, [["open"], "A"]])
def test_what_was_not_offered_cannot_be_pressed(wish: object) -> None:
    assert pressed(wish, ROWS) is None


def test_what_was_offered_is_done() -> None:
    assert pressed(["pause", "B"], ROWS) == ("pause", "B")
