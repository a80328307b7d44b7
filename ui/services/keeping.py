"""For those who keep the machine: who has accounts, who waits for what, what was done, and to start Thaw anew.

Everybody else is refused here (`gate.keepers_only`), whatever page asks; where there are no accounts everybody keeps it.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import AccessError, ThawError
from core.gate import Limits, Person
from core.gate.passwords import made_up
from core.run import ACTIVE
from core.words import Value
from ui.services.house import access, keeps, leave, opened

if TYPE_CHECKING:
    from core.run import Run

RESTARTS = "THAW_RESTARTS"
RESTART_STATUS = 75
"""EX_TEMPFAIL of sysexits.h: it was no failure, and should be tried again."""
RESTART_SECONDS = 30.0
"""What saving and closing may take."""


@dataclass(frozen=True, slots=True)
class Place:
    """A run at work or in the queue."""

    run: "Run"
    number: int
    """1 is next; 0 while it is at work."""
    who: str
    """The name of its owner; '' where there are no accounts, or if that person was removed."""
    seconds: float | None
    """That a run at work takes about, where it is known."""


@dataclass(frozen=True, slots=True)
class Member:
    """A person, and what of the machine is theirs."""

    person: Person
    used_bytes: int
    active: int
    """Runs of theirs that wait or are at work."""


def administers() -> bool:
    """True for an admin where people sign in: there is more to keep than a queue."""
    return access().on and keeps()


def queue() -> list[Place]:
    """What is at work, then what waits, in its order."""
    access().check_keeps()
    here, names = opened(), _names()
    waiting = {run_id: number for number, run_id in enumerate(here.engine.queue(), 1)}
    places = [
        Place(
            run,
            waiting.get(run.id, 0),
            names.get(run.owner, ""),
            here.engine.state(run.id).seconds_left if run.state == "running" else None,
        )
        for run in here.store.runs(states=ACTIVE)
        if run.state == "running" or run.id in waiting
    ]
    return sorted(places, key=lambda place: place.number)


def move(run_id: str, places: int) -> None:
    """Put a run so many places further back in the queue; negative: forward.

    Raises StoreError (`run.unknown`, `run.not_queued`).
    """
    access().run(run_id)
    access().check_keeps()
    opened().engine.move(run_id, places)
    access().audit("run_moved", run=run_id, places=places)


def members() -> list[Member]:
    """Everybody who has an account, by name."""
    access().check_keeps()
    people = access().accounts.people()
    used = access().used_by([person.id for person in people])
    active = [run.owner for run in opened().store.runs(states=ACTIVE)]
    return [Member(person, used[person.id], active.count(person.id)) for person in people]


def add_member(name: str, *, admin: bool = False) -> tuple[Person, str]:
    """A new account, and the password that was made up for it. Raises AccessError (`gate.name`, `gate.name_taken`)."""
    access().check_keeps()
    password = made_up()
    person = access().accounts.add(name, password, admin=admin)
    access().audit("user_added", name=person.name, id=person.id, admin=int(person.admin))
    return person, password


def new_password(name: str) -> str:
    """A made up password instead of the old one; who has that name is signed out everywhere. Raises AccessError."""
    access().check_keeps()
    password = made_up()
    person = access().accounts.set_password(name, password)
    access().audit("password_changed", name=person.name, id=person.id)
    return password


def set_admin(name: str, admin: bool) -> None:
    """Make somebody an admin, or a member again. Raises AccessError (`gate.yourself`: nobody locks themselves out)."""
    person = _another(name)
    access().accounts.set_admin(person.name, admin)
    access().audit("role_changed", name=person.name, id=person.id, admin=int(admin))


def remove_member(name: str) -> None:
    """Take an account away; what that person made stays. Raises AccessError (`gate.yourself`)."""
    person = _another(name)
    access().accounts.remove(person.name)
    access().audit("user_removed", name=person.name, id=person.id)


def class_password(on: bool) -> str:
    """A made up password for everybody, or none any more (''); the class is signed out."""
    access().check_keeps()
    password = made_up() if on else None
    access().accounts.set_class_password(password)
    access().audit("class_password_changed" if on else "class_password_removed")
    return password or ""


def set_limits(limits: Limits) -> None:
    """What each person may take from now on."""
    access().check_keeps()
    access().accounts.set_limits(limits)
    access().audit("limits_changed", disk_bytes=limits.disk_bytes, queued=limits.queued)


def log(skip: int, most: int) -> tuple[list[dict[str, Value]], int]:
    """What people did, newest first: `most` lines after `skip`, and how many there are."""
    access().check_keeps()
    return access().log(skip, most)


def may_restart() -> bool:
    """True if whoever asks may start Thaw anew, and something outside does so once it has ended."""
    return keeps() and starts_again()


def starts_again() -> bool:
    """Whoever started Thaw has said that it comes back (`THAW_RESTARTS=1`, as the unit of `thaw unit` does).

    That systemd stands behind it says nothing: its mark is handed down to every terminal of a desktop.
    """
    return os.environ.get(RESTARTS) == "1"


def restart() -> None:
    """Save what runs, and end so that Thaw is started again. Raises ThawError (`server.no_restart`)."""
    access().check_keeps()
    if not starts_again():
        raise ThawError("server.no_restart")
    access().audit("restarted")
    leave(RESTART_STATUS, RESTART_SECONDS)


def _another(name: str) -> Person:
    access().check_keeps()
    person, me = access().accounts.find(name), access().person()
    if me is not None and person.id == me.id:
        raise AccessError("gate.yourself")
    return person


def _names() -> dict[str, str]:
    return {person.id: person.name for person in access().accounts.people()}
