"""People wait by turns; the runs of one person keep their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import StoreError
from core.fair import by_turns, in_order
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import open_workspace

WAITING = st.lists(st.sampled_from("abcd"), max_size=30).map(lambda owners: [(str(n), o) for n, o in enumerate(owners)])


def test_one_person_is_served_in_the_order_of_coming() -> None:
    assert by_turns([("1", ""), ("2", ""), ("3", "")], {"": 9}) == ["1", "2", "3"]


def test_whoever_comes_late_does_not_wait_for_all_of_anothers_runs() -> None:
    waiting = [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("c1", "c"), ("b2", "b")]
    assert by_turns(waiting, {}) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert by_turns(waiting, {"a": 4, "b": 7}) == ["c1", "a1", "b1", "a2", "b2", "a3"]


@given(WAITING, st.dictionaries(st.sampled_from("abcd"), st.integers(0, 99)))
def test_everybody_is_in_it_once_and_nobody_is_served_twice_while_another_waits(
    waiting: list[tuple[str, str]], turns: dict[str, int]
) -> None:
    order = by_turns(waiting, turns)
    owner = dict(waiting)
    assert sorted(order) == sorted(owner)
    for who in set(owner.values()):
        assert [run for run in order if owner[run] == who] == [run for run, o in waiting if o == who]
    rounds: dict[str, int] = {}
    for place, run in enumerate(order):
        rounds[owner[run]] = rounds.get(owner[run], 0) + 1
        later = {owner[other] for other in order[place:]}
        assert all(rounds[owner[run]] <= rounds.get(other, 0) + 1 for other in later)


def test_the_store_serves_two_people_by_turns_also_after_a_restart(tmp_path) -> None:
    store = RunStore(open_workspace(tmp_path))
    runs = {name: store.create(Recipe(name=name), owner=name[0]).id for name in ("a1", "a2", "a3", "b1", "b2")}
    named = {run_id: name for name, run_id in runs.items()}
    served = []
    for turn in range(5):
        if turn == 2:
            store.close()
            store = RunStore(open_workspace(tmp_path))
        (first, *_) = store.adopt()
        assert store.transition(first, "running")
        served.append(named[first])
    assert served == ["a1", "b1", "a2", "b2", "a3"]
    store.close()


def test_what_was_put_in_order_goes_first_and_counts_as_turns_of_its_owners() -> None:
    assert in_order([("a2", "a"), ("b2", "b")], [("a1", "a"), ("b1", "b"), ("c1", "c")], {"a": 3, "c": 4}) == [
        "a2", "b2", "c1", "a1", "b1",
    ]  # fmt: skip


@pytest.fixture
def queue(tmp_path):
    """Opens a queue of five runs of two people; gives their names in order, after a restart if wanted."""
    stores = [RunStore(open_workspace(tmp_path))]
    named = {stores[0].create(Recipe(name=name), owner=name[0]).id: name for name in ("a1", "a2", "a3", "b1", "b2")}

    class Queue:
        def __init__(self) -> None:
            self.ids = {name: run_id for run_id, name in named.items()}

        @property
        def store(self) -> RunStore:
            return stores[-1]

        def names(self) -> list[str]:
            return [named[run_id] for run_id in self.store.adopt()]

        def add(self, name: str) -> None:
            run_id = self.store.create(Recipe(name=name), owner=name[0]).id
            named[run_id], self.ids[name] = name, run_id

        def restart(self) -> None:
            self.store.close()
            stores.append(RunStore(open_workspace(tmp_path)))

    yield Queue()
    stores[-1].close()


def test_an_order_made_by_hand_survives_a_restart_and_newcomers_wait_behind_it(queue) -> None:
    assert queue.names() == ["a1", "b1", "a2", "b2", "a3"]
    queue.store.move(queue.ids["b2"], -2)
    assert queue.names() == ["a1", "b2", "a2", "b1", "a3"]
    queue.restart()
    queue.add("c1")
    assert queue.names() == ["a1", "b2", "c1", "a2", "b1", "a3"]
    queue.store.move(queue.ids["a1"], 1)
    queue.store.move(queue.ids["a3"], -99)
    assert queue.names() == ["a3", "b2", "a1", "c1", "b1", "a2"]
    queue.store.move(queue.ids["a3"], 99)
    queue.add("d1")
    assert queue.names() == ["b2", "a1", "c1", "b1", "a2", "a3", "d1"]


def test_once_the_order_is_served_people_have_their_turns_again(queue) -> None:
    queue.store.move(queue.ids["a3"], -4)
    served = []
    while queue.names():
        first = queue.names()[0]
        served.append(first)
        assert queue.store.transition(queue.ids[first], "running")
    assert served == ["a3", "b1", "a1", "b2", "a2"]


def test_a_run_that_comes_back_has_no_place_of_before_but_one_that_a_restart_broke_off_is_next(queue) -> None:
    queue.store.move(queue.ids["b2"], -3)
    for state in ("paused", "queued"):
        assert queue.store.transition(queue.ids["b2"], state)
    assert queue.names() == ["a1", "b1", "a2", "b2", "a3"]
    queue.store.serve()
    queue.store.move(queue.ids["a2"], -1)
    assert queue.store.transition(queue.ids["a1"], "running")
    queue.restart()
    queue.store.serve()
    queue.store.recover()
    assert queue.store.take_over() == ([queue.ids["a1"]], [])
    assert queue.names()[0] == "a1"


def test_only_what_waits_here_can_be_moved(queue) -> None:
    assert queue.store.transition(queue.ids["a1"], "running")
    with pytest.raises(StoreError, match="a1 is not in the queue") as failure:
        queue.store.move(queue.ids["a1"], 1)
    assert failure.value.code == "run.not_queued"
