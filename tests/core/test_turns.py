"""The queue in the table: who is next, what is put in order by hand stays so, the front is the front."""

import sqlite3
from collections.abc import Iterator

import pytest

from core import turns
from core.recipe import Recipe
from core.store import RunStore

OWNERS = ("ann", "ann", "ben", "ben")


@pytest.fixture
def db(store: RunStore) -> Iterator[sqlite3.Connection]:
    with store._database.write() as db:
        yield db


@pytest.fixture
def ids(store: RunStore) -> list[str]:
    return [store.create(Recipe(name=name), owner=owner).id for name, owner in zip("abcd", OWNERS, strict=True)]


def test_people_wait_by_turns(ids: list[str], db: sqlite3.Connection, store: RunStore) -> None:
    assert turns.queue(db, store.boot) == [ids[0], ids[2], ids[1], ids[3]]
    assert turns.queue(db, "another") == []


def test_what_was_moved_keeps_its_place_whoever_comes(ids: list[str], db: sqlite3.Connection, store: RunStore) -> None:
    assert turns.move(db, ids[3], -2, boot=store.boot)
    assert turns.queue(db, store.boot) == [ids[0], ids[3], ids[1], ids[2]], "behind it all go by turns"
    assert turns.move(db, ids[0], 99, boot=store.boot)
    assert turns.queue(db, store.boot) == [ids[3], ids[1], ids[2], ids[0]]
    assert not turns.move(db, ids[0], 1, boot="another")


@pytest.mark.parametrize(
    ("moves", "order", "settled"),
    [
        ([(3, 0)], [0, 2, 1, 3], 4),  # it stays where it is, and so do all before it
        ([(2, -1)], [2, 0, 3, 1], 1),  # behind it they go by turns, and ben had his
        ([(2, -1), (2, 1)], [0, 2, 1, 3], 2),
        ([(2, -1), (1, -1)], [2, 0, 1, 3], 3),
        ([(2, -1), (1, -2)], [2, 1, 3, 0], 2),
        ([(0, -9)], [0, 2, 1, 3], 1),
    ],
)
def test_all_up_to_where_a_run_was_put_keep_their_order_and_no_more(
    ids: list[str], db: sqlite3.Connection, store: RunStore, moves: list[tuple[int, int]], order: list[int], settled: int
) -> None:
    for number, places in moves:
        assert turns.move(db, ids[number], places, boot=store.boot)
    assert turns.queue(db, store.boot) == [ids[number] for number in order]
    assert db.execute("SELECT count(*) FROM run WHERE fixed IS NOT NULL").fetchone()[0] == settled


def test_whoever_had_a_turn_comes_after_those_who_wait_for_their_first(
    ids: list[str], db: sqlite3.Connection, store: RunStore
) -> None:
    db.execute("UPDATE run SET turn = 5, state = 'finished' WHERE id = ?", (ids[0],))
    assert turns.queue(db, store.boot) == [ids[2], ids[1], ids[3]]


def test_the_front_is_before_what_was_put_in_order(ids: list[str], db: sqlite3.Connection, store: RunStore) -> None:
    turns.move(db, ids[1], -2, boot=store.boot)
    turns.to_the_front(db, ids[3])
    assert turns.queue(db, store.boot)[:2] == [ids[3], ids[1]]
