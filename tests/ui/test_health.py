"""What is wrong with the engine is said to machines and to people, and nothing is said while all is well."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import ThawError
from core.store import Rescued
from core.workspace import Workspace
from ui import health, services

ROOT = Path(__file__).resolve().parent.parent.parent
STALLED = {"code": "engine.stalled", "values": {"run": "secret", "seconds": 61, "step": 7}, "run": "0" * 26}
DEAD = {"code": "engine.dead", "values": {"device": "cuda:0"}}


def ask() -> tuple[int, dict[str, Any]]:
    answer = asyncio.run(health.report(None))  # type: ignore[arg-type]
    return answer.status_code, json.loads(bytes(answer.body))


def page() -> None:
    from ui import health

    health.cards()


def test_all_is_well(house: Workspace) -> None:
    assert ask() == (200, {"ok": True, "problems": []})
    test = AppTest.from_function(page).run()
    assert not test.exception
    assert (list(test.error), list(test.markdown)) == ([], [])


def test_a_hung_and_a_dead_thread_are_named_to_machines_without_names_of_runs(
    house: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.engine(), "health", lambda: {"ok": False, "problems": [STALLED, DEAD]}, raising=False)
    status, told = ask()
    assert (status, told["ok"]) == (503, False)
    assert told["problems"] == [
        {"code": "engine.stalled", "values": {"seconds": 61, "step": 7}},
        {"code": "engine.dead", "values": {"device": "cuda:0"}},
    ]


def test_a_person_reads_what_concerns_everybody_and_their_own_runs_only(
    house: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.engine(), "health", lambda: {"ok": False, "problems": [STALLED, DEAD]}, raising=False)
    test = AppTest.from_function(page).run()
    (card,) = test.error  # there is no such run: it is not this person's
    assert "engine's thread for cuda:0 has ended" in card.value.replace("\\", "")
    monkeypatch.setattr(health, "may_see", lambda run_id: True)
    assert "secret has not moved for 61 seconds (last step: 7)" in AppTest.from_function(page).run().error[0].value.replace(
        "\\", ""
    )


@pytest.mark.parametrize(
    ("copied", "words"), [("2026-05-01T09:00:00", "a copy of 2026-05-01 09:00"), (None, "there was no copy")]
)
def test_a_mended_list_of_runs_is_told(
    house: Workspace, monkeypatch: pytest.MonkeyPatch, copied: str | None, words: str
) -> None:
    monkeypatch.setattr(services.store(), "rescued", Rescued("/w/thaw.damaged.sqlite", copied, 3))
    test = AppTest.from_function(page).run()
    said = test.markdown[0].value.replace("\\", "")
    assert words in said
    assert "thaw.damaged.sqlite" in said


# --- starting anew ------------------------------------------------------------------------------------------------------


@pytest.fixture
def hung(house: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.engine(), "health", lambda: {"ok": False, "problems": [DEAD]}, raising=False)


@pytest.mark.usefixtures("hung")
def test_a_card_offers_to_start_anew_only_where_something_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THAW_RESTARTS", raising=False)
    monkeypatch.setenv("INVOCATION_ID", "of the desktop")
    at = AppTest.from_function(page).run()
    assert not at.button
    assert "press Ctrl-C where Thaw was started" in at.caption[0].value
    with pytest.raises(ThawError) as failure:
        services.restart()
    assert failure.value.code == "server.no_restart"
    monkeypatch.setenv("THAW_RESTARTS", "1")
    at = AppTest.from_function(page).run()
    assert [button.label for button in at.button] == ["Restart Thaw"]
    assert not at.caption


@pytest.mark.usefixtures("hung", "cheap")
def test_a_member_sees_the_card_and_no_button(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_RESTARTS", "1")
    ann = services.access().accounts.add("ann", "a long password")
    monkeypatch.setattr(type(services.access()), "person", lambda self: ann)
    at = AppTest.from_function(page).run()
    assert len(at.error) == 1
    assert (list(at.button), list(at.caption)) == ([], [])


SERVER = """
import sys, threading, time
from ui import services
from ui.server import serve

def later():
    while not services.is_open():
        time.sleep(0.1)
    time.sleep(1)
    services.restart()

threading.Thread(target=later, daemon=True).start()
sys.exit(serve(address="127.0.0.1", port=int(sys.argv[2]), workspace=sys.argv[1], device="cpu", browser=False))
"""


def test_a_server_that_is_to_start_anew_ends_with_75(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "THAW_RESTARTS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SERVER, str(tmp_path / "w"), str(port)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 75, done.stderr
