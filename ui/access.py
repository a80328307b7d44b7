"""Who asks, what of the workspace is theirs, and how much of the machine they may take. `services` asks here before core.

Where there are no accounts everybody may do everything: that is one person on one machine. Knows no page and no route; other
people's things are as unknown as things that do not exist.
"""

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.container import memory_bytes
from core.errors import AccessError, DataError, StoreError
from core.gate import Accounts, Audit, Limits, Person
from core.gate.accounts import EVERYBODY
from core.gate.limits import weigh
from core.words import Value
from core.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Collection

    from core.run import Run, State
    from core.store import RunStore

of_request: ContextVar[Person | None] = ContextVar("of_request", default=None)
"""Who sent the request that is being answered. Set by the gate; a page's script runs in a thread that does not see it."""
DEMO = ("demo:", "demo-")
KINDS = ("pretrained", "bundled", "random")
"""What weights can be beside a file."""
WEIGHED_SECONDS = 15.0
"""So long a sum of file sizes stands; what is uploaded meanwhile is added to it."""
HELD_SECONDS = 600.0
"""So long a file counts that went through Streamlit's own uploader, which keeps it in memory."""
HELD_SHARE = 0.25
"""Of the machine's memory, for such files of everybody together."""


def cookie_name() -> str:
    """The name of the cookie that holds a session's token. Cookies know no ports, so the port stands in the name."""
    return f"thaw-{st.get_option('server.port')}"


def unknown(dataset_id: str) -> DataError:
    """What is said of a data set that is not there, and of one that is somebody else's."""
    return DataError("dataset.unknown", id=dataset_id, near="demo:digits")


def _token_of_tab() -> str:
    """The session's token that the browser tab brought whose script runs in this thread; '' in other threads."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return ""
    return st.context.cookies.get(cookie_name(), "")


class Access:
    """The door-keeper of one server. Safe to use from several threads."""

    def __init__(self, workspace: Workspace, store: "RunStore", *, required: bool = False) -> None:
        self.accounts = Accounts(workspace)
        self.required = required
        """Others can reach this server: without accounts nobody gets in."""
        self._workspace, self._store = workspace, store
        self._audit = Audit(workspace.root)
        self._lock = threading.Lock()
        self._weighed: dict[str, tuple[int, float]] = {}
        self._fresh: Counter[str] = Counter()
        self._flying: Counter[str] = Counter()
        self._held: defaultdict[str, deque[tuple[float, int]]] = defaultdict(deque)

    @property
    def on(self) -> bool:
        """True if people have to sign in."""
        return self.required or self.accounts.on

    # --- who

    def person(self) -> Person | None:
        """Who asks; None where nobody needs to sign in. Raises AccessError (`gate.sign_in`)."""
        if not self.on:
            return None
        person = of_request.get() or self.accounts.who(_token_of_tab())
        if person is None:
            raise AccessError("gate.sign_in")
        return person

    def owner(self) -> str:
        """What things that are made now are marked with."""
        person = self.person()
        return person.id if person else ""

    def check_keeps(self) -> None:
        """Raises AccessError (`gate.keepers_only`) unless whoever asks keeps the machine."""
        if not self.keeps():
            raise AccessError("gate.keepers_only")

    def log(self, skip: int, most: int) -> tuple[list[dict[str, Value]], int]:
        """As `Audit.read`."""
        return self._audit.read(skip, most)

    def keeps(self) -> bool:
        """True for those who keep the machine: admins, and everybody where there are no accounts."""
        person = self.person()
        return person is None or person.admin

    def audit(self, act: str, **what: Value) -> None:
        """Write down what somebody did, where there are accounts."""
        person = self.person()
        if person is not None:
            self.wrote(person, act, **what)

    def record(self, act: str, **what: Value) -> None:
        """Write down what somebody did who is not signed in."""
        self._audit.write(act, what)

    def wrote(self, person: Person, act: str, **what: Value) -> None:
        """Write down what `person` did: for threads that do not know who asked."""
        self._audit.write(act, what, who=person.name, person=person.id)

    # --- what is theirs

    def run(self, run_id: str) -> "Run":
        """The run, if this person may see it. Raises StoreError (`run.unknown`)."""
        run = self._store.run(run_id)
        if not self._mine(run.owner):
            raise StoreError("run.unknown", run=run_id)
        return run

    def runs(
        self,
        *,
        deleted: bool = False,
        states: "Collection[State] | None" = None,
        first: int = 0,
        many: int | None = None,
    ) -> list["Run"]:
        """Runs that this person may see, newest first; as `RunStore.runs`."""
        return self._store.runs(deleted, states=states, owner=self._only(), first=first, many=many)

    def count_runs(self, *, deleted: bool = False, states: "Collection[State] | None" = None) -> int:
        """How many of them there are."""
        return self._store.count(deleted, states=states, owner=self._only())

    def _only(self) -> str | None:
        """Whose things this person may see; None: everybody's."""
        person = self.person()
        return None if person is None or person.admin else person.id

    def check_dataset(self, dataset_id: str) -> None:
        """Raises DataError (`dataset.unknown`) if this person may not use that data set, whether it exists or not."""
        if dataset_id.startswith(DEMO) or self.keeps():
            return
        if self.accounts.owners().get(dataset_id.partition("@")[0]) not in (self.owner(), EVERYBODY):
            raise unknown(dataset_id)

    def datasets(self, ids: list[str]) -> list[str]:
        """Those of `ids` that this person may use."""
        if self.keeps():
            return ids
        owners, me = self.accounts.owners(), self.owner()
        return [one for one in ids if owners.get(one) in (me, EVERYBODY)]

    def may_delete(self, dataset_id: str) -> bool:
        """True if the data set is this person's own."""
        return self.keeps() or self.accounts.owners().get(dataset_id) == self.owner()

    def check_weights(self, weights: str) -> None:
        """Raises AccessError (`gate.weights_place`) if `weights` names a file that is neither uploaded nor of an own run."""
        if weights in KINDS or self.keeps():
            return
        file, home = Path(weights).expanduser().resolve(), self._workspace
        own = (home.weights / "own").resolve()
        if file.parent in (own, own / self.owner()):  # such as lay there before there were accounts
            return
        if file.is_relative_to(home.runs.resolve()):
            try:
                self.run(file.relative_to(home.runs.resolve()).parts[0])
                return
            except StoreError:
                pass  # the same answer as for any other place
        raise AccessError("gate.weights_place")

    def _mine(self, owner: str) -> bool:
        person = self.person()
        return person is None or person.admin or owner == person.id

    # --- how much

    @property
    def limits(self) -> Limits:
        """What each person may take."""
        return self.accounts.limits

    def check_queue(self) -> None:
        """Raises AccessError (`gate.queue_full`) if this person has enough runs waiting."""
        if self.keeps():
            return
        me, most = self.owner(), self.limits.queued
        if self._store.count(states={"queued"}, owner=me) >= most:
            raise AccessError("gate.queue_full", n=most)

    def check_disk(self, coming_bytes: int = 0) -> None:
        """Raises AccessError (`gate.disk`) if this person's things and `coming_bytes` more are too much."""
        if self.keeps():
            return
        used, most = self.used_bytes(), self.limits.disk_bytes
        if used + coming_bytes > most:
            raise AccessError("gate.disk", used=f"{used / 2**30:.2f} GB", most=f"{most / 2**30:.2f} GB")

    def used_bytes(self) -> int:
        """What this person's runs, data sets and uploads take on the disk, a quarter of a minute old at most."""
        return self.used_by([self.owner()])[self.owner()]

    def used_by(self, people: Sequence[str]) -> dict[str, int]:
        """The same of each of `people`, by their ids: for those who keep the machine."""
        runs: dict[str, str] | None = None
        used = {}
        for me in people:
            now = time.monotonic()
            with self._lock:
                total, until = self._weighed.get(me, (0, 0.0))
                if now < until:
                    used[me] = total + self._fresh[me]
                    continue
                self._fresh[me] = 0
            if runs is None:
                runs = self._store.owners()
            total = weigh(self._folders(me, runs))
            with self._lock:
                self._weighed[me] = total, time.monotonic() + WEIGHED_SECONDS
                used[me] = total + self._fresh[me]
        return used

    def _folders(self, me: str, runs: Mapping[str, str]) -> list[Path]:
        home = self._workspace
        folders = [home.runs / run_id for run_id, owner in runs.items() if owner == me]
        folders += [home.datasets / one for one, owner in self.accounts.owners().items() if owner == me]
        return [*folders, *((home.weights / "own" / me, *home.uploads.glob(f"{me}.*")) if me else ())]

    @contextmanager
    def upload(self, declared_bytes: int) -> Iterator["Arriving"]:
        """While a file comes in. Raises AccessError: `upload.gate_many` (in flight), `gate.disk`."""
        if self.keeps():
            yield Arriving(self, "")
            return
        me, most = self.owner(), self.limits.uploads
        self.check_disk(declared_bytes)
        with self._lock:
            if self._flying[me] >= most:
                raise AccessError("upload.gate_many")
            self._flying[me] += 1
        try:
            yield Arriving(self, me)
        finally:
            with self._lock:
                self._flying[me] -= 1

    def arrived(self, owner: str, many_bytes: int) -> None:
        """Count what came in. Raises AccessError (`gate.disk`)."""
        if owner:
            with self._lock:
                self._fresh[owner] += many_bytes
            self.check_disk()

    def hold(self, declared_bytes: int) -> bool:
        """Count a file that Streamlit will keep in memory; False if it is too much for one person or for the machine."""
        person = self.person()
        unlimited = person is None or person.admin
        with self._lock:
            now = time.monotonic()
            for held in self._held.values():
                while held and held[0][0] <= now - HELD_SECONDS:
                    held.popleft()
            all_of = {owner: sum(size for _, size in held) for owner, held in self._held.items()}
            me = person.id if person else ""
            if sum(all_of.values()) + declared_bytes > HELD_SHARE * memory_bytes():
                return False
            if not unlimited and all_of.get(me, 0) + declared_bytes > self.accounts.limits.held_bytes:
                return False
            self._held[me].append((now, declared_bytes))
            return True


class Arriving:
    """One file on its way in."""

    def __init__(self, access: Access, owner: str) -> None:
        self._access, self._owner = access, owner

    def more(self, many_bytes: int) -> None:
        """So many bytes more have come. Raises AccessError (`gate.disk`)."""
        self._access.arrived(self._owner, many_bytes)
