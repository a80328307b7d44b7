"""Which classes of many a matrix shows, which mistakes it names, and what it takes from a browser."""

import json

import pytest

from ui.components.confusion import MOST, SHOWN, Count, checked, most_confused, shown, worst_pairs


def square(size: int, wrong: dict[tuple[int, int], int]) -> list[Count]:
    return sorted([(i, i, 9) for i in range(size)] + [(i, j, n) for (i, j), n in wrong.items() if i != j])


def test_up_to_a_screenful_of_classes_all_are_shown() -> None:
    assert most_confused(square(MOST, {}), MOST) == list(range(MOST))


def test_of_many_classes_those_with_most_mistakes_are_shown_in_their_order() -> None:
    wrong = {(40, 3): 5, (60, 40): 1, (7, 50): 2}
    chosen = most_confused(square(80, wrong), 80)
    assert len(chosen) == SHOWN
    assert chosen == sorted(chosen)
    assert {3, 7, 40, 50, 60} <= set(chosen)
    assert set(chosen) - {3, 7, 40, 50, 60} == set(range(17)) - {3, 7}


def test_the_table_holds_its_own_counts_and_the_pictures_of_whole_classes() -> None:
    given = shown([(0, 0, 4), (0, 1, 2), (1, 1, 3), (2, 0, 1)], ["a", "b", "c"])
    assert given == {
        "shown": [0, 1, 2],
        "counts": [[4, 2, 0], [0, 3, 0], [1, 0, 0]],
        "pairs": [(0, 1, 2), (2, 0, 1)],
        "all": 3,
        "names": {"0": "a", "1": "b", "2": "c"},
        "totals": {"0": 6, "1": 3, "2": 1},
    }
    many = shown(square(80, {(40, 3): 5, (40, 79): 1}), [f"class {at}" for at in range(80)])
    at = many["shown"].index(40)
    assert many["totals"]["40"] == 15
    assert sum(many["counts"][at]) == 9 + 5 + (79 in many["shown"])


def test_of_ten_thousand_classes_a_browser_gets_a_table_s_worth() -> None:
    wrong = {(at, (at * 7919 + 1) % 10_000): 1 for at in range(10_000)}
    given = shown(square(10_000, wrong), [f"a class with a rather long name {at}" for at in range(10_000)])
    assert given["all"] == 10_000
    assert len(json.dumps(given)) < 8_000


def test_the_worst_pairs_come_first_and_right_answers_are_none() -> None:
    wrong = {(0, 1): 2, (1, 0): 2, (2, 0): 7, **{(3, j): 1 for j in range(3)}, (4, 0): 1, (4, 1): 1}
    assert worst_pairs(square(5, wrong)) == [(2, 0, 7), (0, 1, 2), (1, 0, 2), (3, 0, 1), (3, 1, 1), (3, 2, 1)]
    assert worst_pairs(square(4, {})) == []


@pytest.mark.parametrize("wish", [None, [], [1], [1, 2, 3], "12", [True, False], [0, 5], [-1, 0], [0.0, 1.0], {"0": 1}])
def test_only_a_cell_that_exists_is_taken(wish: object) -> None:
    assert checked(wish, 5) is None


def test_a_cell_that_exists_is_taken() -> None:
    assert checked([4, 0], 5) == (4, 0)
