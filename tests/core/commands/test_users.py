"""`thaw users`: what it says, what it refuses, what it writes down."""

import io
import json
from pathlib import Path

import pytest

from core.cli import main
from core.gate import Accounts, passwords
from core.workspace import open_workspace


@pytest.fixture(autouse=True)
def _english_and_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_LANGUAGE", "en")
    monkeypatch.setattr(passwords, "N", 1024)
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "1")


@pytest.fixture
def thaw(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def run(*words: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        status = main(["users", *words, "--workspace", str(tmp_path)])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def gate(tmp_path: Path):
    gate = Accounts(open_workspace(tmp_path))
    yield gate
    gate.close()


def test_a_person_is_added_listed_given_a_new_password_and_removed(thaw, gate: Accounts) -> None:
    assert thaw("list") == (0, "Nobody has an account. Thaw can be used on this machine only.\n", "")
    assert thaw("add", "Ann", "--admin", typed="a long password\n") == (0, "Ann can sign in.\n", "")
    assert gate.sign_in("ann", "a long password")[1].admin
    assert [line.split()[:3] for line in thaw("list")[1].splitlines()] == [
        ["Name", "Role", "Password"],
        ["Ann", "admin", "own"],
    ]
    assert thaw("passwd", "ann", typed="another long one\n")[0] == 0
    assert gate.sign_in("ann", "another long one")[1].name == "Ann"
    assert thaw("remove", "ann")[0] == 0
    assert gate.people() == []


def test_a_password_that_is_made_up_is_shown_once_and_works(thaw, gate: Accounts) -> None:
    status, out, _ = thaw("class-password", "--generate")
    assert status == 0
    shared = out.splitlines()[0].removeprefix("Password: ")
    assert gate.sign_in("mei", shared)[1].name == "mei"
    assert shared not in thaw("list")[1]
    assert thaw("class-password", "--off")[0] == 0
    assert not gate.has_class_password


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("add", "bob"), "short\n", "at least 8 characters"),
        (("add",), "a long password\n", "Say: thaw users add NAME"),
        (("add", "Ann"), "a long password\n", "already somebody called “Ann”"),
        (("remove", "nobody"), "", "nobody called “nobody”"),
        (("passwd", "nobody"), "a long password\n", "nobody called “nobody”"),
        (("limits", "--queued", "0"), "", "cannot have that value"),
        (("share", "nothing"), "", "no data set with the id nothing"),
    ],
)
def test_what_cannot_be_done_is_two_sentences_and_status_1(thaw, words, typed: str, said: str) -> None:
    thaw("add", "Ann", typed="a long password\n")
    status, out, err = thaw(*words, typed=typed)
    assert (status, out) == (1, "")
    assert said in err
    assert len(err.splitlines()) == 2


def test_limits_are_shown_and_changed(thaw, gate: Accounts) -> None:
    assert thaw("limits")[1] == "Each person: 20 GB of disk space, 5 waiting runs, 16 files in flight.\n"
    thaw("limits", "--disk", "1.5", "--queued", "2")
    assert (gate.limits.disk_bytes, gate.limits.queued) == (int(1.5 * 2**30), 2)


def test_every_change_is_in_the_audit_log_without_any_password(thaw, tmp_path: Path) -> None:
    thaw("add", "Ann", typed="a long password\n")
    thaw("passwd", "Ann", typed="another long one\n")
    thaw("class-password", typed="our class password\n")
    thaw("limits", "--queued", "2")
    thaw("remove", "Ann")
    text = (tmp_path / "audit.jsonl").read_text("utf-8")
    acts = [json.loads(line)["act"] for line in text.splitlines()]
    assert acts == ["user_added", "password_changed", "class_password_changed", "limits_changed", "user_removed"]
    assert 'password"' not in text.replace("_password", "")
    assert "long" not in text
