"""The sign-in page and sign-out, served without Streamlit and without a script: a form, a cookie, two languages.

Knows HTTP and words; who may come in is `core/gate`'s to say. A cookie of a session is HttpOnly, SameSite=Strict, and ends
with the browser; the server forgets the session after half a day.
"""

import html
import re
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, urlencode

import anyio
import streamlit
from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from core.errors import AccessError, ThawError
from core.gate import Attempts
from core.gate.accounts import checked_name
from core.words import LANGUAGES, say
from ui import services
from ui.access import cookie_name

PATH, OUT = "/sign-in", "/sign-out"
ASSETS = Path(__file__).resolve().parent.parent / "assets"
HERE = ASSETS / "sign_in"
FONT = next((Path(streamlit.__file__).parent / "static" / "static" / "media").glob("SourceSansVF-Upright*.woff2"), None)
FILES: dict[str, tuple[Path, str]] = {
    f"{PATH}/style.css": (HERE / "style.css", "text/css; charset=utf-8"),
    f"{PATH}/layers.svg": (HERE / "layers.svg", "image/svg+xml"),
    f"{PATH}/logo.svg": (ASSETS / "logo.svg", "image/svg+xml"),
    f"{PATH}/icon.svg": (ASSETS / "icon.svg", "image/svg+xml"),
} | ({f"{PATH}/font.woff2": (FONT, "font/woff2")} if FONT else {})
OPEN = frozenset({PATH, *FILES})
"""All that is answered to somebody who is not signed in."""
POLICY = "; ".join(
    f"{what} {where}"
    for what, where in {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "font-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }.items()
)
NEXT = re.compile(r"/[a-z-]{0,20}(\?[\w=&%.:-]{0,300})?", re.ASCII)
MOST_BYTES = 8192
NAMES = {"en": "English", "zh": "中文"}
CHECKERS = anyio.CapacityLimiter(2)
"""Passwords checked at a time: each takes 32 MiB and a third of a second, and the cores belong to training."""
attempts = Attempts()


async def page(request: Request) -> Response:
    """The form; whoever is signed in already goes on, as does everybody where nobody needs to sign in."""
    access = services.access()
    if not access.on or access.accounts.who(request.cookies.get(cookie_name(), "")):
        return RedirectResponse(_next(request.query_params.get("next", "")), 303)
    return form(request)


async def enter(request: Request) -> Response:
    """Take name and password, give a cookie."""
    access, address = services.access(), request.client.host if request.client else ""
    try:
        given = await _given(request)
        name, password = checked_name(given.get("name", "")), given.get("password", "")
    except AccessError as error:
        return form(request, error=error, status=400)
    known = name.casefold()
    wait = attempts.begin(known, address)
    if wait:
        access.record("sign_in_refused", name=name, address=address)
        return form(request, given, AccessError("gate.wait", n=round(wait)), 429, {"retry-after": str(round(wait))})
    try:
        token, person = await to_thread.run_sync(access.accounts.sign_in, name, password, limiter=CHECKERS)
    except AccessError as error:
        access.record("sign_in_failed", name=name, address=address)
        return form(request, given, error, 401)
    except ThawError as error:
        return form(request, given, error, 503)
    attempts.passed(known, address)
    before = request.cookies.get(cookie_name(), "")
    if before:  # whoever was here on this computer is not any more, in no tab
        await to_thread.run_sync(access.accounts.sign_out, before)
    access.wrote(person, "signed_in", address=address)
    answer = RedirectResponse(
        _spoken(_next(given.get("next", "")), given.get("lang", "")), 303, {"cache-control": "no-store"}
    )
    _cookie(answer, request, token)
    return answer


async def leave(request: Request) -> Response:
    """End the session and forget the cookie. Only the gate lets anybody come here."""
    access, token = services.access(), request.cookies.get(cookie_name(), "")
    person = access.accounts.who(token) if token else None
    if person is not None:
        await to_thread.run_sync(access.accounts.sign_out, token)
        access.wrote(person, "signed_out")
    # on a shared computer the next person finds no pictures of the last one
    answer = RedirectResponse(PATH, 303, {"cache-control": "no-store", "clear-site-data": '"cache"'})
    answer.delete_cookie(cookie_name(), httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


def file(request: Request) -> Response:
    """What the page looks like."""
    path, kind = FILES[request.url.path]
    return FileResponse(path, media_type=kind, headers={"cache-control": "public, max-age=3600"})


def form(
    request: Request,
    given: dict[str, str] | None = None,
    error: ThawError | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> HTMLResponse:
    """The page, in the language of whoever asks, with what went wrong."""
    given, access = given or {}, services.access()
    chosen = next((one for one in (given.get("lang"), request.query_params.get("lang")) if one in LANGUAGES), "")
    lang = chosen or _asked(request.headers.get("accept-language", ""))
    shared = False
    try:
        if not access.accounts.on:
            error = AccessError("gate.required")
        else:
            shared = access.accounts.has_class_password
    except ThawError as broken:
        error = broken
    following = _next(given.get("next", "") or request.query_params.get("next", "") or _here(request))
    words = {
        "lang": {"zh": "zh-CN"}.get(lang, lang),
        "title": say("gate.title", lang),
        "lead": say("gate.lead", lang),
        "language": say("gate.language", lang),
        "next": following,
        "chosen": chosen,
        "name": say("gate.name", lang),
        "password": say("gate.password.class" if shared else "gate.password", lang),
        "go": say("gate.go", lang),
        "help": say("gate.help", lang),
        "given": given.get("name", "")[:40],
    }
    page = {key: html.escape(value, quote=True) for key, value in words.items()} | {
        "switch": "".join(_tongue(code, lang, following) for code in LANGUAGES),
        "failure": _failure(error, lang),
        "name_hint": f'<p class="hint">{html.escape(say("gate.name.class", lang))}</p>' if shared else "",
        "invalid": ' aria-invalid="true"' if error is not None and error.code == "gate.wrong" else "",
        "focus_name": "" if given.get("name") else "autofocus",
        "focus_password": "autofocus" if given.get("name") else "",
        "note": f'<p class="note">{html.escape(say("gate.plain", lang))}</p>' if request.url.scheme == "http" else "",
    }
    made = Template((HERE / "page.html").read_text("utf-8")).substitute(page)
    fixed = {"content-security-policy": POLICY, "cache-control": "no-store", "vary": "Cookie, Accept-Language"}
    return HTMLResponse(made, status, {**fixed, **(headers or {})})


def _failure(error: ThawError | None, lang: str) -> str:
    if error is None:
        return ""
    cause, remedy = (html.escape(_said(error, part, lang)) for part in ("cause", "remedy"))
    return f'<div class="bad" role="alert"><strong>{cause}</strong>{remedy}</div>'


def _said(error: ThawError, part: str, lang: str) -> str:
    return say(f"error.{error.code}.{part}", lang, **error.values)


def _tongue(code: str, now: str, following: str) -> str:
    mark = ' aria-current="true"' if code == now else ""
    address = html.escape(f"{PATH}?{urlencode({'lang': code, 'next': following})}", quote=True)
    return f'<a href="{address}" lang="{code}"{mark}>{NAMES[code]}</a>'


async def _given(request: Request) -> dict[str, str]:
    """The fields of the form. Raises AccessError (`gate.form`)."""
    body = b""
    try:
        with anyio.fail_after(10):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise AccessError("gate.form")
        fields = parse_qs(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=10)
    except (ValueError, TimeoutError, ClientDisconnect) as error:
        raise AccessError("gate.form") from error
    return {name: values[0] for name, values in fields.items()}


def _cookie(answer: Response, request: Request, token: str) -> None:
    secure = request.url.scheme == "https"
    answer.set_cookie(cookie_name(), token, httponly=True, samesite="strict", secure=secure, path="/")


def _next(wanted: str) -> str:
    """Where to go after signing in: one of our pages, nowhere else."""
    return wanted if NEXT.fullmatch(wanted) and wanted.partition("?")[0] not in (PATH, OUT) else "/"


def _here(request: Request) -> str:
    path = request.url.path
    return f"{path}?{request.url.query}" if request.url.query else path


def _spoken(address: str, lang: str) -> str:
    """The language that was chosen here goes along."""
    if lang not in LANGUAGES or "lang=" in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}lang={lang}"


def _asked(header: str) -> str:
    """The first of our languages that the browser names."""
    for part in header.lower().split(","):
        code = part.split(";")[0].strip()[:2]
        if code in LANGUAGES:
            return code
    return LANGUAGES[0]


ROUTES = [
    Route(PATH, page, methods=["GET"]),
    Route(PATH, enter, methods=["POST"]),
    Route(OUT, leave, methods=["POST"]),
    *(Route(path, file) for path in FILES),
]
