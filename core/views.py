"""Views: what runs have said so far, in memory, for the pages that look at them several times a second."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from core.events import Event
from core.history import History, RunState
from core.run import State
from core.store import RunStore

KEPT = 8
"""Histories of runs that are not at work, kept for those who look at them again."""


@dataclass(eq=False)
class View:
    """A run's history. While it is live whoever drives the run feeds it, else it is brought up to date from the store."""

    history: History = field(default_factory=History)
    seq: int = 0
    live: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def feed(self, event: Event) -> None:
        """Take in what the run says."""
        with self.lock:
            self.history.feed(event)

    def rest(self, seq: int) -> None:
        """No longer live; all up to `seq` is known."""
        with self.lock:
            self.live, self.seq = False, seq

    def state(self, state: State) -> RunState:
        """How the run stands, given its state in the store."""
        with self.lock:
            return self.history.state(state)


class Views:
    """The views of the runs of one store."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._views: OrderedDict[str, View] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run_id: str, *, live: bool = False) -> View:
        """The view of a run up to its newest event; `live` from now on, if asked. Raises StoreError (`run.unknown`)."""
        with self._lock:
            view = self._views.get(run_id)
            if view is None:
                self._store.run(run_id)
                view = self._views[run_id] = View()
            self._views.move_to_end(run_id)
            idle = [key for key, kept in self._views.items() if not kept.live and key != run_id]
            for key in idle[: max(len(self._views) - KEPT, 0)]:
                del self._views[key]
        with view.lock:
            if not view.live:
                for seq, entry in self._store.history(run_id, view.seq):
                    view.history.feed(entry)
                    view.seq = seq
                view.live = live
        return view
