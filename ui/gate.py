"""The gate: who is not signed in gets no answer but the page to do so. Plain ASGI, so that it sees the websocket.

Closed by default: it knows no list of what is protected, only the few addresses that are not. Where there are no accounts it
stands open to this machine, and to nobody else.
"""

import ipaddress
import json
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnected

from core.errors import ThawError
from ui import services
from ui.access import Access, cookie_name, of_request
from ui.sign_in import FILES, OPEN, form

HELD = "/_stcore/upload_file/"
"""Streamlit's own uploader: what it takes lies in memory."""


class Gate:
    """Lets in who is signed in, and says to the rest of the app who that is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
        elif not services.is_open():
            await _answer(JSONResponse({"code": "server.not_open"}, 503), scope, receive, send)
        elif scope["type"] == "http":
            await self._http(services.access(), scope, receive, send)
        else:
            await self._websocket(services.access(), scope, receive, send)

    async def _http(self, access: Access, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            person = access.accounts.who(token(scope)) if access.on else None
        except ThawError as error:  # the list of accounts cannot be read: then nobody comes in
            answered = self.app if scope["path"] in FILES else refusal(Request(scope), error)
            await answered(scope, receive, send)
            return
        if scope["path"] in OPEN or person is not None or (not access.on and is_near(scope)):
            mark = of_request.set(person)
            try:
                if not _fits(access, scope):
                    await JSONResponse({"code": "upload.too_big"}, 413)(scope, receive, send)
                    return
                await self.app(scope, receive, send)
            finally:
                of_request.reset(mark)
            return
        await _answer(refusal(Request(scope)), scope, receive, send)

    async def _websocket(self, access: Access, scope: Scope, receive: Receive, send: Send) -> None:
        """A session that ends takes its open websockets along: the next message is the last."""
        key = token(scope)

        def may() -> bool:
            with suppress(ThawError):
                return access.accounts.who(key) is not None if access.on else is_near(scope)
            return False

        if not may():
            await _answer(refusal(Request({**scope, "type": "http", "method": "GET"})), scope, receive, send)
            return

        async def heard() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and not may():
                await send({"type": "websocket.close", "code": 1008})
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        with suppress(WebSocketDisconnected):  # somebody left while an answer was on its way to them
            await self.app(scope, heard, send)


def token(scope: Scope) -> str:
    """The token of the session that the request brings; '' if it brings none."""
    name = cookie_name()
    for key, value in scope["headers"]:
        if key == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(name)
            except CookieError:
                continue
            if found is not None:
                return found.value
    return ""


def is_near(scope: Scope) -> bool:
    """True if the request comes from this machine itself (behind a proxy that says so: from whom the proxy has it)."""
    client = scope.get("client")
    if not client:
        return True  # a socket of this machine
    try:
        return ipaddress.ip_address(client[0].partition("%")[0]).is_loopback
    except ValueError:
        return False


def refusal(request: Request, error: ThawError | None = None) -> Response:
    """The sign-in page to somebody who wants to see a page, a code to everything else: 401, or 503 after an `error`."""
    status = 503 if error else 401
    wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if wants_page and request.headers.get("sec-fetch-dest", "document") == "document":
        return form(request, error=error, status=status)
    return JSONResponse({"code": error.code if error else "gate.sign_in"}, status, {"cache-control": "no-store"})


def _fits(access: Access, scope: Scope) -> bool:
    """False for a file that would take more of the server's memory than one person may."""
    if scope["method"] != "PUT" or not scope["path"].startswith(HELD):
        return True
    said = dict(scope["headers"]).get(b"content-length", b"").decode("latin-1")
    return access.hold(int(said) if said.isdecimal() else access.limits.held_bytes + 1)


async def _answer(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an answer instead of what was asked for; a websocket is told before it opens."""
    if scope["type"] == "http":
        await answer(scope, receive, send)
        return
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"code": "gate.sign_in"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
