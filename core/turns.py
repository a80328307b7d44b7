"""Turns: the queue of one process in the table of runs: who is next, and what somebody has put in order by hand.

Each function works in a transaction of the caller's.
"""

import sqlite3

from core import fair


def queue(db: sqlite3.Connection, boot: str) -> list[str]:
    """Ids of the runs that wait for the process `boot`: what was put in order first, then everybody by turns (`fair`)."""
    rows = db.execute(
        "SELECT id, owner, fixed FROM run WHERE state = 'queued' AND boot = ? ORDER BY fixed, place", (boot,)
    ).fetchall()
    last = db.execute("SELECT owner, max(turn) AS turn FROM run GROUP BY owner").fetchall() if rows else []
    fixed, waiting = (
        [(row["id"], row["owner"]) for row in rows if (row["fixed"] is not None) is wanted] for wanted in (True, False)
    )
    return fair.in_order(fixed, waiting, {row["owner"]: row["turn"] for row in last})


def move(db: sqlite3.Connection, run_id: str, places: int, *, boot: str) -> bool:
    """Put a run so many places further back, or forward if negative; False if it does not wait there.

    All up to where it then is keep their order from now on, whoever comes.
    """
    order = queue(db, boot)
    if run_id not in order:
        return False
    before = order.index(run_id)
    after = min(max(before + places, 0), len(order) - 1)
    order.insert(after, order.pop(before))
    fixed = "SELECT count(*) FROM run WHERE state = 'queued' AND fixed IS NOT NULL AND boot = ?"
    already = db.execute(fixed, (boot,)).fetchone()[0]
    settled = max(after + 1, already + (before >= already))
    db.executemany("UPDATE run SET fixed = ? WHERE id = ?", list(enumerate(order[:settled])))
    return True


def to_the_front(db: sqlite3.Connection, run_id: str) -> None:
    """Before every run that waits."""
    db.execute(  # less than nothing is nothing: without a fixed order it has none
        "UPDATE run SET place = (SELECT min(place) FROM run) - 1, "
        "fixed = (SELECT min(fixed) FROM run WHERE state = 'queued') - 1 WHERE id = ?",
        (run_id,),
    )
