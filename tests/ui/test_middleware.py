"""What the guard says: the policy that a page is held to, and its refusals."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ui.middleware import HEADERS, policy


def test_a_page_loads_and_asks_nothing_but_this_server() -> None:
    said = dict(part.strip().split(" ", 1) for part in policy("127.0.0.1:8501").split(";"))
    script = said.pop("script-src").split()
    assert "'self'" in script
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "data:", "http:", "https:"} & set(script)
    assert said == {
        "default-src": "'self'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "worker-src": "'self' blob:",
        "connect-src": "'self' ws://127.0.0.1:8501 wss://127.0.0.1:8501",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }


def test_every_answer_carries_the_headers(knock: Callable[..., Any]) -> None:
    answer = knock("/healthz")
    assert answer.status == 200
    assert {name.lower(): value for name, value in HEADERS.items()}.items() <= answer.headers.items()
    assert answer.headers["content-security-policy"] == policy("127.0.0.1:8501")


@pytest.mark.parametrize(
    ("headers", "code"),
    [({"host": "rebound.example"}, "server.host"), ({"origin": "http://evil.example"}, "gate.origin")],
)
def test_a_refusal_is_a_code_and_is_read_as_nothing_else(
    knock: Callable[..., Any], headers: dict[str, str], code: str
) -> None:
    answer = knock("/sign-out", "POST", **headers)
    assert (answer.status, json.loads(answer.body)) == (403, {"code": code})
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == ("application/json", "nosniff")
