"""Fair: whose run is next where many people wait for one device. Pure: owners and turns in, an order out."""

from collections import deque
from collections.abc import Mapping, Sequence


def in_order(fixed: Sequence[tuple[str, str]], waiting: Sequence[tuple[str, str]], turns: Mapping[str, int]) -> list[str]:
    """Ids of (id, owner) pairs: first those that somebody put in this order, then the others by turns.

    The first ones are turns of their owners, too.
    """
    last = max(turns.values(), default=0)
    taken = {owner: last + number for number, (_, owner) in enumerate(fixed, 1)}
    return [run for run, _ in fixed] + by_turns(waiting, {**turns, **taken})


def by_turns(waiting: Sequence[tuple[str, str]], turns: Mapping[str, int]) -> list[str]:
    """Ids of (id, owner) pairs, one of each owner by turns; an owner's own stay in the order given.

    `turns[owner]` is the number of the last turn that owner had; whoever has waited longest for one is next, and who had
    none comes first. Of those the one that stands in front in `waiting`. With one owner nothing changes: first come, first
    served.
    """
    lines: dict[str, deque[str]] = {}
    for run, owner in waiting:
        lines.setdefault(owner, deque()).append(run)
    order: list[str] = []
    circle = deque(sorted(lines, key=lambda owner: turns.get(owner, 0)))  # stable: of equals the first in `waiting`
    while circle:
        owner = circle.popleft()
        order.append(lines[owner].popleft())
        if lines[owner]:
            circle.append(owner)
    return order
