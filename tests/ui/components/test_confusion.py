"""Which classes of many a matrix shows, which mistakes it names, and what it takes from a browser."""

import pytest

from ui.components.confusion import MOST, SHOWN, checked, most_confused, worst_pairs


def square(size: int, wrong: dict[tuple[int, int], int]) -> list[list[int]]:
    return [[wrong.get((i, j), 9 if i == j else 0) for j in range(size)] for i in range(size)]


def test_up_to_a_screenful_of_classes_all_are_shown() -> None:
    assert most_confused(square(MOST, {})) == list(range(MOST))


def test_of_many_classes_those_with_most_mistakes_are_shown_in_their_order() -> None:
    wrong = {(40, 3): 5, (60, 40): 1, (7, 50): 2}
    shown = most_confused(square(80, wrong))
    assert len(shown) == SHOWN
    assert shown == sorted(shown)
    assert {3, 7, 40, 50, 60} <= set(shown)
    assert set(shown) - {3, 7, 40, 50, 60} == set(range(17)) - {3, 7}


def test_the_worst_pairs_come_first_and_right_answers_are_none() -> None:
    wrong = {(0, 1): 2, (1, 0): 2, (2, 0): 7, **{(3, j): 1 for j in range(3)}, (4, 0): 1, (4, 1): 1}
    assert worst_pairs(square(5, wrong)) == [(2, 0, 7), (0, 1, 2), (1, 0, 2), (3, 0, 1), (3, 1, 1), (3, 2, 1)]
    assert worst_pairs(square(4, {})) == []


@pytest.mark.parametrize("wish", [None, [], [1], [1, 2, 3], "12", [True, False], [0, 5], [-1, 0], [0.0, 1.0], {"0": 1}])
def test_only_a_cell_that_exists_is_taken(wish: object) -> None:
    assert checked(wish, 5) is None


def test_a_cell_that_exists_is_taken() -> None:
    assert checked([4, 0], 5) == (4, 0)
