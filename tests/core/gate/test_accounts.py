"""Accounts: who comes in and who does not, sessions that end, secrets that are not written down."""

import sqlite3
import stat
import sys
import time
from pathlib import Path

import pytest

from core.errors import AccessError, StoreError
from core.gate import Accounts, Limits, accounts, passwords
from core.workspace import Workspace, open_workspace


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a check is tested in test_passwords."""
    monkeypatch.setattr(passwords, "N", 1024)
    monkeypatch.setattr(passwords, "P", 1)
    monkeypatch.setattr(accounts, "REMEMBERED_SECONDS", 0.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "w")


@pytest.fixture
def gate(workspace: Workspace):
    gate = Accounts(workspace)
    yield gate
    gate.close()


def refused(gate: Accounts, name: str, password: str) -> str:
    with pytest.raises(AccessError) as failure:
        gate.sign_in(name, password)
    return failure.value.code


def test_asking_makes_nothing_on_the_disk(gate: Accounts, workspace: Workspace) -> None:
    assert (gate.on, gate.people(), gate.owners(), gate.who("x"), gate.limits) == (False, [], {}, None, Limits())
    assert not gate.has_class_password
    assert not (workspace.root / accounts.NAME).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_only_the_servers_own_user_can_read_it(gate: Accounts, workspace: Workspace) -> None:
    gate.add("ann", "a long password")
    for file in workspace.root.glob("accounts.sqlite*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_the_right_password_opens_a_session_and_no_other_does(gate: Accounts) -> None:
    ann = gate.add("Ann", "a long password")
    token, who = gate.sign_in(" ann ", "a long password")
    assert who == ann == gate.who(token)
    assert refused(gate, "Ann", "another password") == "gate.wrong"
    assert refused(gate, "Bob", "a long password") == "gate.wrong"
    assert gate.who(token + "x") is None
    assert gate.who("") is None


def test_neither_a_password_nor_a_token_is_written_down(gate: Accounts, workspace: Workspace) -> None:
    gate.add("Ann", "a long password")
    gate.set_class_password("our class password")
    token, _ = gate.sign_in("Ann", "a long password")
    gate.close()
    written = b"".join(file.read_bytes() for file in workspace.root.glob("accounts.sqlite*"))
    assert b"Ann" in written
    for secret in (token, "a long password", "our class password"):
        assert secret.encode() not in written


def test_a_session_ends_by_itself_by_signing_out_and_with_a_new_password(
    gate: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.add("ann", "a long password")
    by_time, by_leaving, by_change = (gate.sign_in("ann", "a long password")[0] for _ in range(3))
    gate.sign_out(by_leaving)
    assert gate.who(by_leaving) is None
    assert gate.who(by_time) is not None
    later = time.time() + accounts.SESSION_SECONDS + 1
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        assert gate.who(by_time) is None
    assert gate.who(by_change) is not None
    gate.set_password("ann", "another long one")
    assert gate.who(by_change) is None
    assert refused(gate, "ann", "a long password") == "gate.wrong"


def test_whose_a_session_is_is_looked_up_once_in_a_while_not_with_every_message(
    gate: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "REMEMBERED_SECONDS", 60.0)
    gate.add("ann", "a long password")
    token, ann = gate.sign_in("ann", "a long password")
    assert gate.who(token) == ann
    with monkeypatch.context() as shut:
        shut.setattr(gate._database, "read", None)
        assert gate.who(token) == ann
    gate.sign_out(token)
    assert gate.who(token) is None, "signing out ends it at once"


def test_whoever_is_not_known_is_named(gate: Accounts) -> None:
    gate.add("ann", "a long password")
    with pytest.raises(AccessError) as failure:
        gate.find("zoe")
    assert (failure.value.code, failure.value.values) == ("gate.nobody_named", {"name": "zoe"})


def test_another_process_takes_an_account_away_and_its_sessions_with_it(gate: Accounts, workspace: Workspace) -> None:
    gate.add("ann", "a long password")
    token, _ = gate.sign_in("ann", "a long password")
    other = Accounts(workspace)
    other.remove("ANN")
    other.close()
    assert gate.who(token) is None
    assert refused(gate, "ann", "a long password") == "gate.wrong"


def test_a_gate_that_was_on_does_not_open_when_the_last_account_goes(gate: Accounts) -> None:
    gate.add("ann", "a long password")
    assert gate.on
    gate.remove("ann")
    assert gate.on


def test_the_class_comes_in_by_one_password_each_under_an_own_name(gate: Accounts) -> None:
    gate.set_class_password("our class password")
    ming, again, mei = (gate.sign_in(name, "our class password")[1] for name in ("小明", "小明", "Mei"))
    assert ming == again
    assert ming.id != mei.id
    assert not ming.own_password
    assert not ming.admin
    assert refused(gate, "小明", "another password") == "gate.wrong"


def test_the_class_password_is_none_for_somebody_with_an_own_one(gate: Accounts) -> None:
    gate.set_class_password("our class password")
    gate.add("teacher", "a long password", admin=True)
    assert refused(gate, "teacher", "our class password") == "gate.wrong"
    assert gate.sign_in("teacher", "a long password")[1].admin
    gate.sign_in("mei", "our class password")
    gate.set_password("mei", "mei alone knows")
    assert refused(gate, "mei", "our class password") == "gate.wrong"


def test_a_new_class_password_signs_the_class_out_and_nobody_else(gate: Accounts) -> None:
    gate.set_class_password("our class password")
    gate.add("teacher", "a long password", admin=True)
    of_class, of_teacher = gate.sign_in("mei", "our class password")[0], gate.sign_in("teacher", "a long password")[0]
    gate.set_class_password(None)
    assert gate.who(of_class) is None
    assert gate.who(of_teacher) is not None
    assert refused(gate, "mei", "our class password") == "gate.wrong"


def test_whoever_takes_a_name_again_is_somebody_else(gate: Accounts) -> None:
    before = gate.add("ann", "a long password")
    gate.remove("ann")
    assert gate.add("ann", "a long password").id != before.id


@pytest.mark.parametrize("twin", ["ann", "ANN", " Ann ", "Ａnn"])
def test_names_that_look_the_same_are_the_same(gate: Accounts, twin: str) -> None:
    gate.add("Ann", "a long password")
    with pytest.raises(AccessError, match="already somebody") as failure:
        gate.add(twin, "a long password")
    assert failure.value.code == "gate.name_taken"


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "a\u202eb", "x" * 41, "a\u200bb"])
def test_a_name_that_cannot_be_seen_is_refused(gate: Accounts, name: str) -> None:
    with pytest.raises(AccessError) as failure:
        gate.add(name, "a long password")
    assert failure.value.code == "gate.name"
    gate.set_class_password("our class password")
    assert refused(gate, name, "our class password") == "gate.name"


def test_a_class_has_an_end(gate: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "MOST_PEOPLE", 2)
    gate.set_class_password("our class password")
    for name in ("a", "b"):
        gate.sign_in(name, "our class password")
    assert refused(gate, "c", "our class password") == "gate.class_full"


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_a_wrong_name_costs_the_same_check_as_a_wrong_password(
    gate: Accounts, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.add("ann", "a long password")
    checks: list[str] = []
    real = passwords.fits
    monkeypatch.setattr(passwords, "fits", lambda password, kept: checks.append(kept) or real(password, kept))
    refused(gate, name, "wrong password")
    assert len(checks) == 1


def test_data_sets_belong_to_who_brought_them(gate: Accounts) -> None:
    gate.give("flowers-1", "ab12")
    gate.give("leaves-2", accounts.EVERYBODY)
    assert gate.owners() == {"flowers-1": "ab12", "leaves-2": accounts.EVERYBODY}
    gate.give("flowers-1", "")
    assert gate.owners() == {"leaves-2": accounts.EVERYBODY}


def test_limits_last(gate: Accounts, workspace: Workspace) -> None:
    gate.set_limits(Limits(queued=2))
    gate.close()
    again = Accounts(workspace)
    assert again.limits == Limits(queued=2)
    again.close()


def test_a_file_of_another_program_is_not_taken_for_accounts(gate: Accounts, workspace: Workspace) -> None:
    with sqlite3.connect(workspace.root / accounts.NAME) as db:
        db.execute("CREATE TABLE person (id)")
    db.close()
    with pytest.raises(StoreError) as failure:
        gate.add("ann", "a long password")
    assert failure.value.code == "store.foreign"


@pytest.mark.parametrize("left", [None, b"", b"no list of anything" * 300])
def test_a_list_that_is_damaged_or_gone_comes_back_and_the_gate_stays_shut(
    gate: Accounts, workspace: Workspace, left: bytes | None
) -> None:
    gate.add("ann", "a long password", admin=True)
    gate.add("bob", "another password")
    gate.remove("bob")
    gate.give("some-set", "*")
    gate.close()
    file = workspace.root / accounts.NAME
    file.unlink()
    if left is not None:
        file.write_bytes(left)
    for again in (Accounts(workspace), Accounts(workspace)):
        assert again.on
        assert [person.name for person in again.people()] == ["ann"]
        assert again.owners() == {"some-set": "*"}
        assert again.sign_in("ann", "a long password")
        assert refused(again, "bob", "another password") == "gate.wrong"
        again.close()


def test_without_a_whole_copy_a_damaged_list_is_an_error_and_no_open_door(gate: Accounts, workspace: Workspace) -> None:
    gate.add("ann", "a long password")
    gate.close()
    (workspace.root / accounts.NAME).unlink()
    (copy,) = (workspace.backups / "accounts").glob("*.sqlite")
    copy.write_bytes(b"x")
    for _ in range(2):
        with pytest.raises(AccessError, match="no copy of it is whole"):
            _ = Accounts(workspace).on


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_nobody_else_can_read_the_copies(gate: Accounts, workspace: Workspace) -> None:
    gate.add("ann", "a long password")
    assert stat.S_IMODE((workspace.backups / "accounts").stat().st_mode) == 0o700


def test_a_role_is_given_and_taken_and_holds_for_the_session(gate: Accounts) -> None:
    gate.add("ann", "a long password")
    token, _ = gate.sign_in("ann", "a long password")
    for admin in (True, False):
        assert gate.set_admin("Ann", admin).admin is admin
        who = gate.who(token)
        assert who is not None
        assert who.admin is admin
    with pytest.raises(AccessError):
        gate.set_admin("nobody", True)
