"""What is wrong with the engine is said to machines and to people, and nothing is said while all is well."""

import asyncio
import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.store import Rescued
from core.workspace import Workspace
from ui import health, services

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
