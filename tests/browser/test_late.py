"""On a slow line neither a tick of the page that was left nor what the browser has forgotten breaks a tab."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import HERE, free_port, running
from ui.server import REMEMBERED_RUNS

SLOW_LINE = """
const listen = WebSocket.prototype.addEventListener;
WebSocket.prototype.addEventListener = function (kind, told, options) {
  const later = (event) => setTimeout(() => told(event), 800);
  listen.call(this, kind, kind === "message" ? later : told, options);
};
"""
"""What the server says is heard later; a server that imports torch at that moment answers no faster."""


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    """Address of `pages/late.py`, as Streamlit itself serves it but for `pass_over` and what the browser keeps."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    server = {"address": "127.0.0.1", "port": port, "headless": "true", "fileWatcherType": "none"}
    flags = ["--browser.gatherUsageStats=false", f"--global.maxCachedMessageAge={REMEMBERED_RUNS}"]
    flags += [f"--server.{name}={value}" for name, value in server.items()]
    with running(["-m", "streamlit", "run", HERE / "pages" / "late.py", *flags], address + "_stcore/health"):
        yield address


def test_the_tick_of_a_page_that_was_left_leaves_the_next_one_whole(pages: str, page: Page) -> None:
    """Without `pass_over` the second page is emptied and its tab hears no more of the server."""
    page.add_init_script(SLOW_LINE)
    page.goto(pages)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text(re.compile(r"tick ([5-9]|\d\d)"))).to_be_visible(timeout=15_000)
    for line in range(4):
        expect(page.get_by_text(f"line {line}")).to_be_visible()


def test_what_the_browser_has_shown_before_can_be_shown_again_after_presses_whose_answers_are_late(
    pages: str, page: Page
) -> None:
    """With Streamlit's own setting it forgets the long text between a press and the answer that refers to it."""
    page.add_init_script(SLOW_LINE)
    page.goto(pages + "long")
    expect(page.get_by_text("long xx")).to_be_visible(timeout=15_000)
    page.get_by_role("link", name="short").click()
    expect(page.get_by_text("short", exact=True).last).to_be_visible(timeout=15_000)
    for _ in range(5):
        page.get_by_role("button", name="Again").click()
        page.wait_for_timeout(50)
    page.get_by_role("link", name="long").click()
    expect(page.get_by_text("long xx")).to_be_visible(timeout=15_000)
