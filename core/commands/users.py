"""`thaw users`: who may come in when others reach Thaw, what each may take, and whose the data sets are."""

import argparse
import sys
from datetime import UTC, datetime
from getpass import getpass

from core.console import table
from core.errors import AccessError
from core.gate import Accounts, Audit
from core.gate.accounts import EVERYBODY
from core.gate.passwords import checked, made_up
from core.words import say
from core.workspace import Workspace, open_workspace


def users(args: argparse.Namespace, language: str) -> int:
    """`thaw users ACTION [NAME]`. Raises AccessError, and StoreError as `Accounts` does."""
    workspace = open_workspace(args.workspace)
    accounts = Accounts(workspace)
    try:
        ACTIONS[args.action](_Ask(args, language, accounts, workspace))
    finally:
        accounts.close()
    return 0


class _Ask:
    """What one call is about."""

    def __init__(self, args: argparse.Namespace, language: str, accounts: Accounts, workspace: Workspace) -> None:
        self.args, self.language, self.accounts, self.workspace = args, language, accounts, workspace

    def say(self, key: str, **values: str | int) -> None:
        print(say(f"cli.users.{key}", self.language, **values))

    def word(self, key: str) -> str:
        return say(f"cli.users.{key}", self.language)

    def audit(self, act: str, **what: str | int) -> None:
        Audit(self.workspace.root).write(act, what, who="thaw users")

    @property
    def who(self) -> str:
        """The name that was given. Raises AccessError (`gate.name_missing`)."""
        if not self.args.who:
            raise AccessError("gate.name_missing", action=self.args.action)
        return str(self.args.who)

    def password(self, prompt: str) -> str:
        """Made up, asked for twice without showing it, or the first line of what is piped in. Raises AccessError."""
        if self.args.generate:
            password = made_up()
            self.say("made", password=password)
            return password
        if not sys.stdin.isatty():
            return checked(sys.stdin.readline().rstrip("\r\n"))
        password = checked(getpass(prompt))
        if getpass(self.word("again")) != password:
            raise AccessError("gate.password_twice")
        return password


def _add(ask: _Ask) -> None:
    if any(person.name == ask.who for person in ask.accounts.people()):
        raise AccessError("gate.name_taken", name=ask.who)
    password = ask.password(say("cli.users.ask", ask.language, name=ask.who))
    person = ask.accounts.add(ask.who, password, admin=ask.args.admin)
    ask.audit("user_added", name=person.name, id=person.id, admin=int(person.admin))
    ask.say("added", name=person.name)


def _remove(ask: _Ask) -> None:
    person = ask.accounts.remove(ask.who)
    ask.audit("user_removed", name=person.name, id=person.id)
    ask.say("removed", name=person.name)


def _passwd(ask: _Ask) -> None:
    person = ask.accounts.find(ask.who)
    ask.accounts.set_password(person.name, ask.password(say("cli.users.ask", ask.language, name=person.name)))
    ask.audit("password_changed", name=person.name, id=person.id)
    ask.say("changed", name=person.name)


def _class_password(ask: _Ask) -> None:
    if ask.args.off:
        ask.accounts.set_class_password(None)
        ask.audit("class_password_removed")
        ask.say("class_off")
        return
    ask.accounts.set_class_password(ask.password(ask.word("ask_class")))
    ask.audit("class_password_changed")
    ask.say("class_on")


def _list(ask: _Ask) -> None:
    people = ask.accounts.people()
    if people:
        head = [ask.word(f"table.{key}") for key in ("name", "role", "password", "since")]
        rows = [
            [
                person.name,
                ask.word("role.admin" if person.admin else "role.member"),
                ask.word("password.own" if person.own_password else "password.class"),
                datetime.fromtimestamp(person.created, UTC).strftime("%Y-%m-%d"),
            ]
            for person in people
        ]
        print(*table([head, *rows]), sep="\n")
    if ask.accounts.has_class_password:
        ask.say("class_is_on")
    elif not people:
        ask.say("none")


def _limits(ask: _Ask) -> None:
    limits = ask.accounts.limits
    changes = {}
    if ask.args.disk is not None:
        changes["disk_bytes"] = int(ask.args.disk * 2**30)
    if ask.args.queued is not None:
        changes["queued"] = ask.args.queued
    if changes:
        limits = limits.changed(**changes)
        ask.accounts.set_limits(limits)
        ask.audit("limits_changed", **changes)
    ask.say("limits", disk=f"{limits.disk_bytes / 2**30:g}", queued=limits.queued, uploads=limits.uploads)


def _data(ask: _Ask) -> None:
    from core.dataset import list_datasets

    found = [dataset for dataset in list_datasets(ask.workspace) if dataset.demo is None]
    if not found:
        ask.say("no_data")
        return
    names = {person.id: person.name for person in ask.accounts.people()} | {EVERYBODY: ask.word("everybody")}
    owners = ask.accounts.owners()
    head = [ask.word(f"table.{key}") for key in ("dataset", "id", "whose")]
    rows = [[one.name, one.id, names.get(owners.get(one.id, ""), ask.word("nobody"))] for one in found]
    print(*table([head, *rows]), sep="\n")


def _share(ask: _Ask) -> None:
    from core.dataset import list_datasets

    if all(dataset.id != ask.who for dataset in list_datasets(ask.workspace)):
        raise AccessError("gate.not_everybodys", id=ask.who[:80])
    ask.accounts.give(ask.who, "" if ask.args.off else EVERYBODY)
    ask.audit("dataset_unshared" if ask.args.off else "dataset_shared", dataset=ask.who)
    ask.say("unshared" if ask.args.off else "shared", id=ask.who)


ACTIONS = {
    "add": _add,
    "list": _list,
    "remove": _remove,
    "passwd": _passwd,
    "class-password": _class_password,
    "limits": _limits,
    "data": _data,
    "share": _share,
}
