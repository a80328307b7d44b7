"""The sign-in page: a form in two languages, a cookie that no script reads, and no way to try passwords at will."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from core.gate import Attempts
from core.words import say
from core.workspace import Workspace
from ui import services, sign_in

Knock = Callable[..., Any]


@pytest.fixture(autouse=True)
def _ann(house: Workspace, cheap: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace with one account, and nobody who has tried before."""
    monkeypatch.setattr(sign_in, "attempts", Attempts())
    services.access().accounts.add("Ann", "a long password")


@pytest.fixture
def enter(knock: Knock) -> Knock:
    def post(name: str = "Ann", password: str = "a long password", *, more: dict[str, str] | None = None, **how: str) -> Any:
        return knock(
            "/sign-in", "POST", body=urlencode({"name": name, "password": password, **(more or {})}).encode(), **how
        )

    return post


def acts(house: Workspace) -> list[str]:
    return [json.loads(line)["act"] for line in (house.root / "audit.jsonl").read_text("utf-8").splitlines()]


def test_name_and_password_give_a_cookie_that_no_script_and_no_other_site_can_use(enter: Knock, knock: Knock) -> None:
    answer = enter()
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie, *rules = (part.strip().lower() for part in answer.headers["set-cookie"].split(";"))
    assert sorted(rules) == ["httponly", "path=/", "samesite=strict"]
    assert len(cookie.partition("=")[2]) == 43
    cookie = answer.headers["set-cookie"].split(";")[0]
    assert knock("/healthz", cookie=cookie).body == b"ok"
    assert knock("/healthz", cookie=f"other=1; {cookie}; more=2").status == 200
    assert knock("/healthz", cookie=cookie[:-1]).status == 401


def test_over_https_the_cookie_travels_encrypted_only(enter: Knock) -> None:
    assert "; Secure" in enter(scheme="https").headers["set-cookie"]


@pytest.mark.parametrize(("name", "password"), [("Ann", "wrong password"), ("Bob", "a long password"), ("Ann", "")])
def test_what_is_wrong_is_said_in_the_same_words_and_no_cookie_comes(
    enter: Knock, house: Workspace, name: str, password: str
) -> None:
    answer = enter(name, password)
    assert answer.status == 401
    assert say("error.gate.wrong.cause", "en") in answer.body.decode()
    assert "set-cookie" not in answer.headers
    assert acts(house) == ["sign_in_failed"]


def test_the_sixth_try_waits_even_with_the_right_password(enter: Knock, house: Workspace) -> None:
    for _ in range(5):
        assert enter(password="wrong password").status == 401
    answer = enter()
    assert answer.status == 429
    assert 50 <= int(answer.headers["retry-after"]) <= 60
    assert "Wait" in answer.body.decode()
    assert acts(house) == ["sign_in_failed"] * 5 + ["sign_in_refused"]


@pytest.mark.parametrize("body", [b"", b"name=Ann", b"\xff\xfe", b"a" * 9000, b"&".join(b"a=b" for _ in range(50))])
def test_a_form_that_is_none_is_refused_in_words(knock: Knock, body: bytes) -> None:
    answer = knock("/sign-in", "POST", body=body)
    assert answer.status in {400, 401}
    assert b'role="alert"' in answer.body


@pytest.mark.parametrize(
    ("wanted", "goes"),
    [
        ("/train?run=01J&lang=zh", "/train?run=01J&lang=zh"),
        ("/runs", "/runs"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/sign-out", "/"),
        ("/a\r\nset-cookie: x=y", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_it_leads_on_to_our_own_pages_only(enter: Knock, wanted: str, goes: str) -> None:
    assert enter(more={"next": wanted}).headers["location"] == goes


def test_the_language_that_was_chosen_goes_along(enter: Knock) -> None:
    assert enter(more={"next": "/train?run=x", "lang": "zh"}).headers["location"] == "/train?run=x&lang=zh"


@pytest.mark.parametrize(
    ("address", "header", "lang"),
    [("", "de,zh-CN;q=0.8,en;q=0.5", "zh"), ("", "fr", "en"), ("?lang=en", "zh", "en"), ("?lang=xx", "zh", "zh")],
)
def test_it_speaks_the_language_of_whoever_comes(knock: Knock, address: str, header: str, lang: str) -> None:
    text = knock(f"/sign-in{address}", accept_language=header).body.decode()
    assert say("gate.title", lang) in text
    assert f'<html lang="{"zh-CN" if lang == "zh" else "en"}">' in text


def test_the_page_asks_for_nothing_from_elsewhere_and_runs_no_script(knock: Knock) -> None:
    answer = knock("/sign-in")
    text = answer.body.decode()
    policy = answer.headers["content-security-policy"]
    assert "script" not in text
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "frame-ancestors 'none'" in policy
    needed = set(re.findall(r'(?:src|href)="(/[^"?]+)"', text)) | set(
        re.findall(r'url\("([^"]+)"\)', (sign_in.HERE / "style.css").read_text("utf-8"))
    )
    assert needed == set(sign_in.FILES)
    for path in needed:
        assert knock(path).status == 200, path
    assert not re.search(r"https?://", text)


def test_a_name_is_shown_as_it_is(enter: Knock) -> None:
    text = enter('"><img src=x onerror=alert(1)>', "wrong password").body.decode()
    assert "<img src=x" not in text
    assert "&quot;&gt;&lt;img src=x onerror=alert(1)&gt;" in text


def test_a_person_without_a_cookie_gets_the_form_and_a_program_a_code(knock: Knock) -> None:
    page = knock("/train?run=01J", accept="text/html,*/*")
    assert (page.status, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert 'value="/train?run=01J"' in page.body.decode()
    assert json.loads(knock("/train", accept="application/json").body) == {"code": "gate.sign_in"}
    assert json.loads(knock("/api/image/a/b", accept="text/html", sec_fetch_dest="image").body) == {"code": "gate.sign_in"}


def test_signing_out_ends_the_session_and_takes_the_cookie_back(enter: Knock, knock: Knock, house: Workspace) -> None:
    cookie = enter().headers["set-cookie"].split(";")[0]
    answer = knock("/sign-out", "POST", cookie=cookie)
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in")
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert answer.headers["clear-site-data"] == '"cache"'
    assert knock("/healthz", cookie=cookie).status == 401
    assert acts(house) == ["signed_in", "signed_out"]


def test_signing_in_as_somebody_else_ends_the_session_before(enter: Knock, knock: Knock) -> None:
    cookie = enter().headers["set-cookie"].split(";")[0]
    assert enter(cookie=cookie).status == 303
    assert knock("/healthz", cookie=cookie).status == 401


def test_whoever_is_signed_in_needs_no_form(enter: Knock, knock: Knock) -> None:
    cookie = enter().headers["set-cookie"].split(";")[0]
    assert knock("/sign-in?next=/runs", cookie=cookie).headers["location"] == "/runs"


def test_the_class_is_told_which_password_and_which_name(knock: Knock, enter: Knock) -> None:
    assert say("gate.password.class", "en") not in knock("/sign-in").body.decode()
    services.access().accounts.set_class_password("our class password")
    text = knock("/sign-in").body.decode()
    assert say("gate.password.class", "en") in text
    assert say("gate.name.class", "en") in text
    assert enter("小明", "our class password").status == 303
