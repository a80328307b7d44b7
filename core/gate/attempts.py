"""Attempts to sign in, counted so that nobody can try passwords at will. In memory: there is one server a workspace.

Knows names, addresses and a clock; no password. An attempt counts as failed from its beginning until it is known to be
right, so that many at a time are counted, too.
"""

import ipaddress
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

PER_NAME_AND_ADDRESS: Final = (5, 60.0)
"""(failures, seconds). The sixth try in a minute waits, as in Jupyter's and most others' limits."""
PER_NAME: Final = (30, 900.0)
"""From everywhere together: high enough that a classmate cannot easily keep somebody out."""
PER_ADDRESS: Final = (60, 300.0)
"""A class behind one router mistypes a lot."""
ALTOGETHER: Final = (300, 300.0)
REMEMBERED: Final = 20_000
"""Names and addresses; the oldest are forgotten first."""


class Attempts:
    """Failures of the last minutes by name and by address. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()

    def begin(self, name: str, address: str) -> float:
        """0 and one more attempt counted, or the seconds to wait, at least 1, and nothing counted."""
        with self._lock:
            now = self._clock()
            wait = max(self._wait(key, most, seconds, now) for key, most, seconds in _keys(name, address))
            if wait > 0:
                return max(wait, 1.0)
            for key, *_ in _keys(name, address):
                self._failed.setdefault(key, deque()).append(now)
                self._failed.move_to_end(key)
            while len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)
            return 0.0

    def passed(self, name: str, address: str) -> None:
        """The attempt that began last was right: it is no failure, and this person's earlier ones from here are forgiven."""
        with self._lock:
            for number, (key, *_) in enumerate(_keys(name, address)):
                if number == 0:
                    self._failed.pop(key, None)
                elif self._failed.get(key):
                    self._failed[key].pop()

    def _wait(self, key: tuple[str, ...], most: int, seconds: float, now: float) -> float:
        failed = self._failed.get(key)
        while failed and failed[0] <= now - seconds:
            failed.popleft()
        return failed[0] + seconds - now if failed and len(failed) >= most else 0.0


def _keys(name: str, address: str) -> tuple[tuple[tuple[str, ...], int, float], ...]:
    place = _place(address)
    return (
        (("both", name, place), *PER_NAME_AND_ADDRESS),
        (("name", name), *PER_NAME),
        (("address", place), *PER_ADDRESS),
        (("all",), *ALTOGETHER),
    )


def _place(address: str) -> str:
    """One house has one IPv4 address, but 2^64 of IPv6."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((known, 64), strict=False)) if known.version == 6 else str(known)
