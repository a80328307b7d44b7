"""The server: the ASGI app whose lifespan owns the engine, and `serve`, which `thaw ui` calls.

Nothing with state stands here: `streamlit run ui/server.py` imports this file a second time, as `server`. What the process
owns is made in the lifespan and handed to `ui/services`. Imports no torch: a thread does that when the first page is up.
"""

import http.client
import importlib
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
import webbrowser
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Never

import pandas as pd  # noqa: F401  stays for the life of the process: imported before gc.freeze
import streamlit as st
from anyio import to_thread
from plotly import graph_objects  # noqa: F401  the same
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager
from uvicorn.config import LOGGING_CONFIG

from core import process
from core.allocator import keep_freed
from core.errors import ThawError
from core.gate import Accounts
from core.log import record
from core.threads import set_threads
from core.words import say
from core.workspace import Workspace, open_workspace
from ui import components, hosts, late, services, text, warmup
from ui.gate import Gate
from ui.middleware import Guard
from ui.routes import ROUTES
from ui.uploads import sweep

if TYPE_CHECKING:
    from core.engine import Engine
    from core.store import RunStore

HERE = Path(__file__).resolve()
SWITCH_SECONDS = 0.0005
"""So long a page may hold the interpreter while training waits for it; Python's own 5 ms are as much as a small step."""
SHUTDOWN_SECONDS = 8.0
"""What a run gets to save itself; Docker kills after ten."""
REMEMBERED_RUNS = 200
"""So many runs of a page the browser keeps a large message that it may be told to show again. On a slow line Streamlit's own
2 are over before the answer to a press is there, and a message that is missed breaks the tab for good."""
AHEAD = ("ui.app", "core.dataset")
"""Imported before the door opens: the first visitor should not wait for the pages and what they ask first."""
BROWSER, WORKSPACE, DEVICE, OTHERS = "THAW_BROWSER", "THAW_WORKSPACE", "THAW_DEVICE", "THAW_OTHERS"
"""Environment variables by which `serve` tells the lifespan what the person asked for."""
FAILED = "failed"
"""Where the app's state keeps the error of a start that failed."""


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Open the workspace, start the engine, warm torch up; at the end let runs save themselves."""
    process.settle()
    sys.setswitchinterval(SWITCH_SECONDS)
    address, port = str(st.get_option("server.address") or ""), int(st.get_option("server.port"))
    named = all(hosts.is_local(name) for name in st.get_option("server.allowedHosts") or ())  # else: behind a proxy
    gate = not (hosts.is_local(address) and named) or os.environ.get(OTHERS) == "1"
    try:
        if gate:
            _check_accounts(address, open_workspace())
        store, engine = await to_thread.run_sync(_open)
    except ThawError as error:
        app.state[FAILED] = error  # `serve` raises it again: two sentences instead of a traceback
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        raise
    services.open(engine, store, engine.workspace, gate=gate)
    _save_at_the_first_signal(engine)
    services.resume_imports()
    services.prepare_demos()
    warmup.start()
    print(f"Thaw is ready: {_url(address, port)}  (workspace: {engine.workspace.root})", flush=True)
    if gate:
        _tell_others(address, port)
    if os.environ.get(BROWSER) == "1":
        threading.Thread(target=_open_browser, args=(address, port), name="browser", daemon=True).start()
    try:
        yield
    finally:
        await to_thread.run_sync(engine.shutdown, SHUTDOWN_SECONDS)
        services.close()
        store.close()
        warmup.thaw()


def _open() -> "tuple[RunStore, Engine]":
    from core.dataset import unfinished
    from core.engine import Engine
    from core.store import RunStore

    workspace = open_workspace()
    store = RunStore(workspace)
    engine = Engine(workspace, store, os.environ.get(DEVICE, "auto"))
    engine.start()  # first: it makes sure that no other server works here
    sweep(workspace, [job.source for job in unfinished(workspace)])
    return store, engine


def _save_at_the_first_signal(engine: "Engine") -> None:
    """Let runs save themselves at once, while uvicorn still waits for downloads and uploads to end."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def save(number: int, frame: FrameType | None, before: Any = before) -> None:
            threading.Thread(target=engine.shutdown, args=(SHUTDOWN_SECONDS,), name="save").start()
            if callable(before):
                before(number, frame)

        signal.signal(number, save)


def on_script_error(error: Exception) -> bool:
    """An error that no page caught: the workspace's log gets all of it, the person two sentences."""
    known = error if isinstance(error, ThawError) else process.out_of_files(error)
    if known is None:
        known = ThawError("server.page", log=record(services.workspace().root, error) if services.is_open() else "-")
    st.error(f"{text.cause(known)}  \n{text.remedy(known)}  \n{text.code(known)}", icon=":material/error:")
    return True


PagesManager.uses_pages_directory = False
"""`ui/pages` is no folder of scripts. `st.navigation` says so too, but a deep link may come before its first run."""
late.pass_over()
components.only_ours()

app = st.App(
    HERE.with_name("app.py"),
    lifespan=lifespan,
    middleware=[Middleware(Guard), Middleware(Gate)],
    routes=ROUTES,
    on_script_error=on_script_error,
)
"""Written out: `streamlit run` finds it by reading the source."""


def serve(
    *,
    address: str,
    port: int,
    workspace: Workspace | Path | str | None,
    device: str,
    browser: bool,
    names: Sequence[str] = (),
    certificate: tuple[str, str] | None = None,
) -> int:
    """Serve until Ctrl-C or SIGTERM; gives the exit status of the process.

    `port` 0 takes any free one. `names` are further ones under which others reach the server, such as a proxy's;
    `certificate` is a PEM file and that of its key. Raises ThawError: `server.address` (others can reach it, there are
    no accounts), `server.certificate`, `server.port_busy`, and what opening the workspace raises.
    """
    home = workspace if isinstance(workspace, Workspace) else open_workspace(workspace)
    others = not all(hosts.is_local(name) for name in (address, *names))
    if others:
        _check_accounts(next(name for name in (address, *names) if not hosts.is_local(name)), home)
    _check_certificate(certificate)
    _check_port(address, port)
    set_threads(interactive=True)  # before anything imports torch
    keep_freed()
    os.environ |= {
        WORKSPACE: str(home.root),
        DEVICE: device,
        BROWSER: "1" if browser else "0",
        OTHERS: "1" if others else "0",
    }
    LOGGING_CONFIG["loggers"]["uvicorn"]["level"] = "WARNING"
    LOGGING_CONFIG["loggers"]["uvicorn.error"]["level"] = "WARNING"
    for module in AHEAD:
        importlib.import_module(module)
    warmup.freeze()
    sys.argv = [str(HERE)]  # config.toml is looked for beside this script
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # uvicorn raises the signal again when it has shut down
    try:
        app.run(config=settings(address, port, names, certificate))
    except SystemExit as end:
        failed = app.state.get(FAILED)
        if isinstance(failed, ThawError):
            raise failed from None
        return end.code if isinstance(end.code, int) else 1
    return services.exit_status()


def settings(
    address: str, port: int, names: Sequence[str] = (), certificate: tuple[str, str] | None = None
) -> dict[str, Any]:
    """What holds whatever a person's own files and environment say."""
    tls = {"server.sslCertFile": certificate[0], "server.sslKeyFile": certificate[1]} if certificate else {}
    return tls | {
        "server.address": address,
        "server.port": port,
        "server.allowedHosts": hosts.names(address, names),
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.enableStaticServing": False,
        "server.enableAgentApi": False,
        "browser.gatherUsageStats": False,
        "runner.postScriptGC": False,
        "server.xsrfCookieSameSite": "strict",
        "server.maxUploadSize": 100,
        "server.maxMessageSize": 50,
        "server.runOnSave": False,
        "server.showEmailPrompt": False,
        "server.trustedUserHeaders": {},
        "global.maxCachedMessageAge": REMEMBERED_RUNS,
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.toolbarMode": "viewer",
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,
    }


def _check_accounts(address: str, workspace: Workspace) -> None:
    """Raises ThawError (`server.address`): others can reach the server, and nobody needs to sign in."""
    accounts = Accounts(workspace)
    try:
        if not address or not accounts.on:
            raise ThawError("server.address", address=address or "''")
    finally:
        accounts.close()


def _check_certificate(certificate: tuple[str, str] | None) -> None:
    """Raises ThawError (`server.certificate`) if the pair cannot be used."""
    if certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*certificate)
    except OSError as error:
        raise ThawError("server.certificate", path=certificate[0], reason=error.strerror or str(error)) from error


def _check_port(address: str, port: int) -> None:
    """Raises ThawError (`server.port_busy`) if somebody listens there already."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ThawError("server.port_busy", port=port, address=address, reason=error.strerror or str(error)) from error


def _leave(number: int, frame: FrameType | None) -> Never:
    """Everything is saved by now; who says it once more does not disturb the interpreter going down."""
    for again in (signal.SIGTERM, signal.SIGINT):
        signal.signal(again, signal.SIG_IGN)
    raise SystemExit(services.exit_status())


def _url(address: str, port: int) -> str:
    scheme = "https" if st.get_option("server.sslCertFile") else "http"
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"


def _tell_others(address: str, port: int) -> None:
    """The addresses to hand out, and that nobody should listen in."""
    from core.cli import language

    told = hosts.own_addresses() if address in ("0.0.0.0", "::") else [address]  # noqa: S104
    urls = "  ".join(_url(one, port) for one in told if address == "::" or ":" not in one or one == address)
    print(say("gate.ready", language(), urls=urls or _url(address, port)), flush=True)
    if not st.get_option("server.sslCertFile"):
        print(say("gate.ready.plain", language()), flush=True)


def _open_browser(address: str, port: int) -> None:
    for _ in range(100):
        connection = http.client.HTTPConnection(address, port, timeout=1)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            break
        except http.client.HTTPException:
            break  # it speaks HTTPS
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    webbrowser.open(_url(address, port))
