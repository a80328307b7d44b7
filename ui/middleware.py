"""What every request passes first: whom the server answers, and what a browser may do with the answer. Plain ASGI.

Not Starlette's BaseHTTPMiddleware: that one never sees the websocket, so it could guard nothing.
"""

import json
import re

import streamlit as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui import warmup

HOST = re.compile(r"(\[(?P<six>[0-9A-Fa-f:]+)\]|(?P<name>[\w.-]+))(:\d{1,5})?", re.ASCII)
LOCAL = ("localhost", "127.0.0.1")
POLICY = b"content-security-policy"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}


def policy(host: str) -> str:
    """The Content-Security-Policy of pages served as `host`: nothing from elsewhere, nothing to elsewhere.

    `blob:` is how Streamlit loads the components' modules; without it every component of ours is dead.
    """
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self' blob:",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            f"connect-src 'self' ws://{host} wss://{host}",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def host_name(host: str) -> str:
    """The name in a Host header, without its port: `[::1]:8501` gives `::1`; '' if it is no such header."""
    found = HOST.fullmatch(host)
    return (found["six"] or found["name"]).lower() if found else ""


def is_same_origin(origin: str | None, host: str) -> bool:
    """True if a page of ours sends this: its Origin names the host that it asks."""
    scheme, _, place = (origin or "").partition("://")  # no parser: it may be anything
    return scheme in {"http", "https"} and place.lower() == host.lower()


class Guard:
    """Refuses names that are not ours (a page elsewhere may point its own name at us), and what pages elsewhere send.

    A browser says with every websocket and everything that may change something from which page it comes. Adds the headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        said = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
        host, origin = said.get(b"host", ""), said.get(b"origin")
        if host_name(host) not in {name.lower() for name in st.get_option("server.allowedHosts") or LOCAL}:
            await refuse(scope, receive, send, "server.host")
            return
        changes = scope["type"] == "http" and scope["method"] not in SAFE
        comes_in = scope["type"] == "websocket" and origin is not None  # programs that are no browsers name none
        if (changes or comes_in) and not is_same_origin(origin, host):
            await refuse(scope, receive, send, "gate.origin")
            return
        if scope["type"] == "websocket":
            warmup.visited.set()
        added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        added.append((b"content-security-policy", policy(host).encode("latin-1")))
        ours = {name for name, _ in added}

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [pair for pair in message.get("headers", []) if pair[0].lower() not in ours - {POLICY}]
                stricter = any(name.lower() == POLICY for name, _ in own)
                more = [pair for pair in added if pair[0] != POLICY] if stricter else added
                message = {**message, "headers": [*own, *more]}
            await send(message)

        await self.app(scope, receive, dressed if scope["type"] == "http" else send)


async def refuse(scope: Scope, receive: Receive, send: Send, code: str) -> None:
    """403 to a request, a close to a websocket that wants to open."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"code": code}).encode()})
