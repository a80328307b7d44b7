"""A Chromium, and the demo page of our components to drive with it. Every test ends with: no request left this machine."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, expect, sync_playwright

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SCREEN: ViewportSize = {"width": 1280, "height": 900}
KNOWN = "sha256-THxz9J9"
"""One harmless inline line of Streamlit's own page, refused by our policy."""


def known(message: ConsoleMessage) -> bool:
    """That line; and after a reload of `/train` Streamlit asks for its server below `/train` before it asks at the root."""
    return KNOWN in message.text or "/_stcore/" in message.location["url"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str | Path], ready: str) -> Iterator[None]:
    """A server: `command` is what Python is told; it runs until the end of the block, and `ready` answers when it is up."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait_for(ready, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, f"the server ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


@contextmanager
def serving(home: Path, *, whole: str = "", ready: str = "/healthz") -> Iterator[str]:
    """Address of a Thaw over the workspace `home`, which answers at `ready` when it is up; `whole`: see pages/house.py."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    options = ["--port", str(port), "--no-browser", "--workspace", home]
    with running([HERE / "pages" / "house.py", whole, "ui", *options], address + ready):
        yield address


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser a file, closed at its end: Playwright keeps an event loop running in the thread of every test."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the demo page: `?page=tree` and so on, see pages/demo.py."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    with running([HERE / "pages" / "serve.py", str(port), tmp_path_factory.mktemp("demo")], address + "healthz"):
        yield address


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One memory of scripts a file: a page that is visited again need not be read and compiled again."""
    context = browser.new_context(viewport=SCREEN)
    yield context
    context.close()


def watch(page: Page) -> list[str]:
    """What it does wrong from now on: asks another machine, throws an error or writes one to the console."""
    wrong: list[str] = []
    local = ("http://127.0.0.1:", "ws://127.0.0.1:", "blob:", "data:", "about:")
    page.on("request", lambda r: None if r.url.startswith(local) else wrong.append(f"asked {r.url}"))
    page.on("websocket", lambda w: None if w.url.startswith(local) else wrong.append(f"asked {w.url}"))
    page.on("pageerror", lambda e: wrong.append(f"threw {e}"))
    page.on(
        "console", lambda m: wrong.append(f"{m.text} {m.location['url']}") if m.type == "error" and not known(m) else None
    )
    return wrong


@contextmanager
def watched(context: BrowserContext) -> Iterator[Page]:
    """A tab. Fails in the end if it did anything wrong."""
    page = context.new_page()
    wrong = watch(page)
    yield page
    if page.url.startswith("http"):
        page.evaluate("localStorage.clear()")
    page.close()
    assert wrong == []


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab of 1280 x 900, to which nobody has signed in and in which nothing has been chosen before; see `watched`."""
    with watched(context) as page:
        yield page
        context.clear_cookies()


@pytest.fixture(scope="module")
def bare(context: BrowserContext) -> Iterator[Page]:
    """An empty tab for functions of our scripts that need no page, one a file; see `watched`."""
    with watched(context) as page:
        yield page


@pytest.fixture(scope="module")
def stage(context: BrowserContext) -> Iterator[tuple[Page, list[str]]]:
    """A tab that stays open from test to test, and what it does wrong."""
    page = context.new_page()
    yield page, watch(page)
    page.close()


@pytest.fixture
def staying(stage: tuple[Page, list[str]]) -> Iterator[Page]:
    """As `page`, but a tab that stays open: to be used with `visit`, which loads no scripts again."""
    page, wrong = stage
    page.bring_to_front()  # a tab behind another one is not painted, and what is not painted is not in sight
    yield page
    page.unroute_all()
    page.set_viewport_size(SCREEN)
    said, wrong[:] = list(wrong), []
    assert said == []


def visit(page: Page, address: str, query: str) -> None:
    """Begin anew on a page of components (`pages/demo.py`): nothing that was chosen before is there any more."""
    if not page.url.startswith(address):
        page.goto(address + "?page=none")
    box = page.get_by_role("textbox", name="visit")
    box.fill("", timeout=60_000)
    box.press("Enter")
    expect(page.locator(".st-key-stage")).to_have_count(0, timeout=15_000)
    box.fill(query)
    box.press("Enter")
    expect(page.locator(".st-key-stage")).to_have_count(1, timeout=60_000)
