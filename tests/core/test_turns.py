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


def test_the_front_is_before_what_was_put_in_order(ids: list[str], db: sqlite3.Connection, store: RunStore) -> None:
    turns.move(db, ids[1], -2, boot=store.boot)
    turns.to_the_front(db, ids[3])
    assert turns.queue(db, store.boot)[:2] == [ids[3], ids[1]]
