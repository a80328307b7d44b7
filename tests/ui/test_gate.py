"""The gate: every route of the running app, Streamlit's own too, answers 401 without a session; found by enumeration."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import anyio
import psutil
import pytest
from starlette.websockets import WebSocketDisconnected
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from core.gate import Accounts
from core.workspace import Workspace, open_workspace
from tests.ui.conftest import HOST
from ui import services, sign_in
from ui.access import cookie_name
from ui.gate import Gate, is_near, token
from ui.middleware import Guard

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
START = """
import json, sys
from pathlib import Path
from streamlit.web.server.starlette.starlette_app import App
build, port, home, told = App._build_starlette_app, int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
def enumerated(self):
    app = build(self)
    told.write_text(json.dumps([[type(one).__name__, one.path] for one in app.routes]))
    return app
App._build_starlette_app = enumerated
from ui.server import serve
sys.exit(serve(address="127.0.0.1", port=port, workspace=home, device="cpu", browser=False))
"""


@dataclass
class Server:
    port: int
    home: Path
    routes: list[tuple[str, str]]
    """(kind, path) of every route of the running app."""

    def ask(
        self, path: str, method: str = "GET", *, cookie: str = "", body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        given = {"Origin": f"http://127.0.0.1:{self.port}"} | ({"Cookie": cookie} if cookie else {}) | headers
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def enter(self, name: str, password: str) -> str:
        """Sign in; the cookie."""
        body = urlencode({"name": name, "password": password}).encode()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, headers, _ = self.ask("/sign-in", "POST", body=body, **form)
        assert status == 303
        return headers["set-cookie"].split(";")[0]

    def socket(self, cookie: str = "", **more: str) -> Any:
        headers = ({"Cookie": cookie} if cookie else {}) | more
        origin = headers.pop("Origin", f"http://127.0.0.1:{self.port}")
        return connect(
            f"ws://127.0.0.1:{self.port}/_stcore/stream",
            origin=origin,  # type: ignore[arg-type]
            additional_headers=headers,
            subprotocols=["streamlit"],  # type: ignore[list-item]
            open_timeout=20,
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import socket

    folder = tmp_path_factory.mktemp("gate")
    home, told = folder / "home", folder / "routes.json"
    accounts = Accounts(open_workspace(home))
    accounts.add("ann", "a long password")
    accounts.close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(port), str(home), str(told)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    made = Server(port, home, [])
    try:
        for _ in range(600):
            assert process.poll() is None, process.communicate()
            try:
                made.ask("/healthz")
                break
            except OSError:
                time.sleep(0.1)
        made.routes = [(kind, path) for kind, path in json.loads(told.read_text())]
        yield made
    finally:
        process.terminate()
        process.communicate(timeout=30)


def filled(path: str) -> str:
    """A path in which every `{name}` and `{name:path}` stands for something."""
    return re.sub(r"\{[^}]*\}", "x", path) or "/"


# --- the running app ----------------------------------------------------------------------------------------------------


def test_the_enumeration_knows_streamlits_routes_and_ours(server: Server) -> None:
    paths = {path for _, path in server.routes}
    assert ("WebSocketRoute", "/_stcore/stream") in server.routes
    for expected in (
        "/_stcore/health",
        "/_stcore/metrics",
        "/_stcore/host-config",
        "/_stcore/upload_file/{session_id}/{file_id}",
        "/media/{file_id:path}",
        "/component/{path:path}",
        "/_stcore/bidi-components/{path:path}",
        "/api/upload",
        "/api/download/{run}/{file}",
        "/healthz",
    ):
        assert expected in paths, expected
    assert len(server.routes) > 25


def test_without_a_cookie_every_route_and_every_method_is_401(server: Server) -> None:
    asked = 0
    paths = {filled(path) for _, path in server.routes} | {"/", "/train", "/static/js/index.js", "/favicon.png", "/no/such"}
    for path in sorted(paths - sign_in.OPEN):
        for method in METHODS:
            status, _, body = server.ask(path, method)
            assert status == 401, (method, path, status)
            assert b"root" not in body
            asked += 1
    assert asked > 25 * len(METHODS)


@pytest.mark.parametrize(
    "path",
    [
        "//sign-in", "/sign-in/", "/sign-in/../_stcore/health", "/sign-in/style.css/..%2f..%2f_stcore/health", "/SIGN-IN/x",
        "/%2e%2e/sign-in", "/sign-in;/healthz",
        "/_stcore/health?/sign-in", "/_stcore/health#/sign-in", "/sign-in%00", "/sign-in%2f",
    ],
)  # fmt: skip
def test_an_address_that_only_looks_like_the_open_one_is_closed(server: Server, path: str) -> None:
    assert server.ask(path)[0] in {400, 401, 404}
    assert b"ok" not in server.ask(path)[2][:2]


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "thaw=x"},
        {"Cookie": "thaw-{port}="},
        {"Cookie": "thaw-{port}=" + "A" * 43},
        {"Cookie": "thaw-{port}=' OR 1=1 --"},
        {"Cookie": "\xff\xfe; thaw-{port}"},
        {"X-Forwarded-User": "ann"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Remote-User": "ann"},
        {"Authorization": "Basic YW5uOmEgbG9uZyBwYXNzd29yZA=="},
    ],
)
def test_a_forged_identity_is_none(server: Server, headers: dict[str, str]) -> None:
    given = {name: value.replace("{port}", str(server.port)) for name, value in headers.items()}
    assert server.ask("/_stcore/health", **given)[0] == 401


def test_the_websocket_is_401_without_a_session_and_opens_with_one(server: Server) -> None:
    with pytest.raises(InvalidStatus) as failure:
        server.socket()
    assert failure.value.response.status_code == 401
    with server.socket(server.enter("ann", "a long password")) as socket:
        assert socket.subprotocol == "streamlit"


def test_a_websocket_from_another_page_is_refused_even_with_the_cookie(server: Server) -> None:
    cookie = server.enter("ann", "a long password")
    for origin in ("http://evil.example", f"http://127.0.0.1:{server.port}.evil.example", "null", "http://127.0.0.1:1"):
        with pytest.raises(InvalidStatus) as failure:
            server.socket(cookie, Origin=origin)
        assert failure.value.response.status_code == 403, origin


def test_with_a_session_the_app_answers_and_after_signing_out_it_does_not(server: Server) -> None:
    cookie = server.enter("ann", "a long password")
    assert server.ask("/", cookie=cookie)[0] == 200
    assert server.ask("/_stcore/health", cookie=cookie)[0] == 200
    with server.socket(cookie) as socket:
        assert server.ask("/sign-out", "POST", cookie=cookie)[0] == 303
        assert server.ask("/_stcore/health", cookie=cookie)[0] == 401
        socket.send(b"")
        with pytest.raises(ConnectionClosed) as ended:
            _read_on(socket)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1008


def _read_on(socket: Any) -> None:
    while True:
        socket.recv(timeout=20)


def test_what_another_page_posts_is_refused_even_with_the_cookie(server: Server) -> None:
    cookie = server.enter("ann", "a long password")
    for path, method in (
        ("/sign-out", "POST"),
        ("/sign-in", "POST"),
        ("/api/upload", "PUT"),
        ("/_stcore/upload_file/a/b", "PUT"),
    ):
        for origin in ("http://evil.example", "null", ""):
            status, _, body = server.ask(path, method, cookie=cookie, Origin=origin)
            assert (status, json.loads(body)) == (403, {"code": "gate.origin"}), (path, origin)
    assert server.ask("/_stcore/health", cookie=cookie)[0] == 200


def test_a_name_that_is_not_ours_is_refused_before_the_gate_is_asked(server: Server) -> None:
    status, _, body = server.ask("/sign-in", Host="evil.example")
    assert (status, json.loads(body)) == (403, {"code": "server.host"})


def test_the_log_names_who_came_and_holds_no_secret(server: Server) -> None:
    cookie = server.enter("ann", "a long password")
    text = (server.home / "audit.jsonl").read_text("utf-8")
    last = json.loads(text.splitlines()[-1])
    assert (last["act"], last["who"], last["address"]) == ("signed_in", "ann", "127.0.0.1")
    assert "a long password" not in text
    assert cookie.partition("=")[2] not in text


# --- where there are no accounts ----------------------------------------------------------------------------------------

Knock = Callable[..., Any]


def test_without_accounts_this_machine_needs_nothing(knock: Knock) -> None:
    assert knock("/healthz").status == 200
    assert knock("/sign-in").headers["location"] == "/"


@pytest.mark.parametrize("client", ["10.0.0.5", "192.168.1.9", "2001:db8::1", "fe80::1%eth0", "what", "localhost"])
def test_without_accounts_another_machine_gets_nothing_however_the_server_was_started(knock: Knock, client: str) -> None:
    assert knock("/healthz", client=client).status == 401


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.1", "::1"])
def test_this_machine_has_several_addresses(client: str) -> None:
    assert is_near({"client": (client, 1)})


def test_a_server_that_others_reach_is_closed_even_without_any_account(knock: Knock, house: Workspace) -> None:
    services.access().required = True
    answer = knock("/healthz")
    assert (answer.status, json.loads(answer.body)) == (401, {"code": "gate.sign_in"})
    assert b"there are no accounts" in knock("/", accept="text/html").body


def test_an_account_closes_a_server_that_is_already_running(knock: Knock, house: Workspace, cheap: None) -> None:
    assert knock("/healthz").status == 200
    other = Accounts(house)
    other.add("ann", "a long password")
    other.close()
    assert knock("/healthz").status == 401


def test_a_list_of_accounts_that_cannot_be_read_lets_nobody_in_and_says_so(
    knock: Knock, house: Workspace, cheap: None
) -> None:
    first = Accounts(house)
    first.add("ann", "a long password")
    token, _ = first.sign_in("ann", "a long password")
    first.close()
    for file in (house.root / "accounts.sqlite", *(house.backups / "accounts").iterdir()):
        file.write_bytes(b"no list of anything" * 300)
    cookie = {"cookie": f"thaw-8501={token}"}
    answer = knock("/healthz", **cookie)
    assert (answer.status, json.loads(answer.body)) == (503, {"code": "gate.damaged"})
    page = knock("/", accept="text/html", **cookie)
    assert page.status == 503
    assert b"no copy of it is whole" in page.body
    assert knock("/sign-in/style.css").status == 200, "the page must not look broken, too"
    line = Line().call([*MESSAGES, GONE], nothing, headers=[(b"cookie", cookie["cookie"].encode())])
    assert (line.reached, line.told) == (False, [CLOSED])


def test_a_closed_server_answers_nothing(knock: Knock) -> None:
    services.close()
    answer = knock("/healthz")
    assert (answer.status, json.loads(answer.body)) == (503, {"code": "server.not_open"})
    line = Line().call([*MESSAGES, GONE], nothing)
    assert (line.reached, line.told) == (False, [CLOSED])


def test_a_refusal_is_kept_by_no_cache(knock: Knock) -> None:
    assert knock("/healthz", client="10.0.0.5").headers["cache-control"] == "no-store"


def test_what_is_no_request_is_passed_on_whole() -> None:
    passed: list[object] = []

    async def app(*given: object) -> None:
        passed.extend(given)

    async def receive() -> Any: ...

    async def send(_: object) -> None: ...

    scope = {"type": "lifespan"}
    anyio.run(Gate(app), scope, receive, send)
    assert passed == [scope, receive, send]


@pytest.mark.usefixtures("house")
def test_a_cookie_that_cannot_be_read_does_not_hide_the_next() -> None:
    good = f"{cookie_name()}=abc".encode()
    assert token({"headers": [(b"cookie", b"a,b=1"), (b"accept", b"x"), (b"cookie", b"c=d"), (b"cookie", good)]}) == "abc"
    assert token({"headers": [(b"cookie", b"a,b=1"), (b"x-cookie", good)]}) == ""


def test_files_that_lie_in_memory_are_counted_for_each_person(knock: Knock, house: Workspace, cheap: None) -> None:
    access = services.access()
    access.accounts.add("ann", "a long password")
    access.accounts.set_limits(access.limits.changed(held_bytes=2**20))
    token, _ = access.accounts.sign_in("ann", "a long password")
    given = {"cookie": f"thaw-8501={token}"}
    put = "/_stcore/upload_file/a/b"
    assert knock(put, "PUT", content_length=str(2**19), **given).status == 404  # passed on; the test's app has no such route
    assert knock(put, "PUT", content_length=str(2**19), **given).status == 404
    assert knock(put, "PUT", content_length="1", **given).status == 413
    assert knock(put, "PUT", **given).status == 413


def test_what_lies_in_memory_is_counted_for_the_machine_where_nobody_signs_in(
    knock: Knock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=2**22))
    put = "/_stcore/upload_file/a/b"
    assert knock(put, "PUT", content_length=str(2**20)).status == 404  # passed on
    assert knock(put, "PUT", content_length="1").status == 413


def test_whoever_leaves_while_an_answer_is_on_its_way_leaves_no_trace_in_the_log(house: Workspace) -> None:
    async def gone(*_: object) -> None:
        raise WebSocketDisconnected("closed")

    async def broken(*_: object) -> None:
        raise TypeError("something else")

    async def nothing(*_: object) -> Any: ...

    scope = {"type": "websocket", "path": "/_stcore/stream", "headers": [], "client": ("127.0.0.1", 5)}
    anyio.run(Gate(gone), scope, nothing, nothing)
    with pytest.raises(TypeError, match="something else"):
        anyio.run(Gate(broken), scope, nothing, nothing)


# --- websockets, message by message ---------------------------------------------------------------------------------------


@dataclass
class Line:
    """One websocket as the app's outermost layer sees it: what a browser sends, what it is sent, and who got to the app."""

    told: list[dict[str, Any]] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    reached: bool = False

    def call(self, messages: list[dict[str, Any]], between: Callable[[int], None], **scope: Any) -> "Line":
        """Send `messages`; `between` is called before each with its number."""
        waiting = list(enumerate(messages))

        async def receive() -> dict[str, Any]:
            number, message = waiting.pop(0)
            between(number)
            return message

        async def send(message: dict[str, Any]) -> None:
            self.told.append(message)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.reached = scope["path"] == "/_stcore/stream"
            while (message := await receive())["type"] != "websocket.disconnect":
                self.heard.append(message)
            self.heard.append(message)

        headers = [(b"host", scope.pop("host", HOST.encode())), *scope.pop("headers", [])]
        whole = {"type": "websocket", "path": "/_stcore/stream", "headers": headers, "client": ("127.0.0.1", 1), **scope}
        anyio.run(Guard(Gate(app)), whole, receive, send)
        return self


CONNECT = {"type": "websocket.connect"}
MESSAGES = [CONNECT, {"type": "websocket.receive", "bytes": b"1"}, {"type": "websocket.receive", "bytes": b"2"}]
GONE = {"type": "websocket.disconnect", "code": 1001}
CLOSED = {"type": "websocket.close", "code": 1008}


def nothing(_: int) -> None:
    """Between two messages nothing happens."""


def test_on_this_machine_alone_a_websocket_opens_from_here_and_from_nowhere_else(house: Workspace) -> None:
    near = Line().call([*MESSAGES, GONE], nothing)
    assert (near.heard, near.told) == ([*MESSAGES, GONE], [])
    far = Line().call([*MESSAGES, GONE], nothing, client=("10.0.0.9", 1))
    assert (far.reached, far.told) == (False, [CLOSED])


@pytest.mark.parametrize(
    ("origin", "host", "reached"),
    [
        (None, HOST, True),
        (f"http://{HOST}", HOST, True),
        (f"https://{HOST}", HOST, True),
        ("http://LocalHost:8501", "localhost:8501", True),
        ("http://localhost:8501", "LOCALHOST:8501", True),
        ("http://evil.example", HOST, False),
        ("null", HOST, False),
        (f"http://{HOST}.evil", HOST, False),
        (f"http://x://{HOST}", HOST, False),
        (f"file://{HOST}", HOST, False),
        (f"//{HOST}", HOST, False),
    ],
)
def test_a_page_elsewhere_cannot_open_a_websocket(house: Workspace, origin: str | None, host: str, reached: bool) -> None:
    headers = [(b"origin", origin.encode())] if origin else []
    line = Line().call([*MESSAGES, GONE], nothing, host=host.encode(), headers=headers)
    assert line.reached is reached
    assert line.told == ([] if reached else [CLOSED])


def test_a_name_that_is_not_ours_opens_no_websocket(house: Workspace) -> None:
    line = Line().call([*MESSAGES, GONE], nothing, host=b"rebound.example")
    assert (line.reached, line.told) == (False, [CLOSED])


@pytest.mark.usefixtures("cheap")
def test_a_websocket_needs_a_session_and_goes_with_it(house: Workspace) -> None:
    accounts = services.access().accounts
    accounts.add("ann", "a long password")
    token, _ = accounts.sign_in("ann", "a long password")
    cookie = [(b"cookie", f"{cookie_name()}={token}".encode())]
    opened = Line().call([*MESSAGES, GONE], nothing, headers=cookie)
    assert (opened.heard, opened.told) == ([*MESSAGES, GONE], [])

    def leave(number: int) -> None:
        if number == 2:
            accounts.sign_out(token)

    ended = Line().call([*MESSAGES, GONE], leave, headers=cookie)
    assert ended.heard == [*MESSAGES[:2], {"type": "websocket.disconnect", "code": 1008}], "the second word is not heard"
    assert ended.told == [CLOSED]
    for headers in ([], cookie, [(b"cookie", b"x=y")]):
        refused = Line().call([*MESSAGES, GONE], nothing, headers=headers)
        assert (refused.reached, refused.told) == (False, [CLOSED])


@pytest.mark.usefixtures("cheap")
def test_where_a_server_can_answer_before_it_opens_a_websocket_is_told_401(house: Workspace) -> None:
    services.access().accounts.add("ann", "a long password")
    line = Line().call([CONNECT], nothing, extensions={"websocket.http.response": {}})
    body = b'{"code": "gate.sign_in"}'
    length = str(len(body)).encode()
    assert not line.reached
    assert line.told == [
        {
            "type": "websocket.http.response.start",
            "status": 401,
            "headers": [(b"content-type", b"application/json"), (b"content-length", length)],
        },
        {"type": "websocket.http.response.body", "body": body},
    ]
