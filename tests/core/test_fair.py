"""People wait by turns; the runs of one person keep their order."""

from hypothesis import given
from hypothesis import strategies as st

from core.fair import by_turns
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
