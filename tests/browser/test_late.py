"""A tick of the page that was left does no harm to the page that is shown."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import HERE, free_port, running

SLOW_LINE = """
const listen = WebSocket.prototype.addEventListener;
WebSocket.prototype.addEventListener = function (kind, told, options) {
  const later = (event) => setTimeout(() => told(event), 400);
  listen.call(this, kind, kind === "message" ? later : told, options);
};
"""
"""What the server says is heard later; a server that imports torch at that moment answers no faster."""


@pytest.fixture(scope="module")
def two_pages() -> Iterator[str]:
    """Address of `pages/late.py`, as Streamlit itself serves it but for `pass_over`."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    server = {"address": "127.0.0.1", "port": port, "headless": "true", "fileWatcherType": "none"}
    flags = ["--browser.gatherUsageStats=false", *(f"--server.{name}={value}" for name, value in server.items())]
    with running(["-m", "streamlit", "run", HERE / "pages" / "late.py", *flags], address + "_stcore/health"):
        yield address


def test_the_tick_of_a_page_that_was_left_leaves_the_next_one_whole(two_pages: str, page: Page) -> None:
    """Without `pass_over` the second page is emptied and its tab hears no more of the server."""
    page.add_init_script(SLOW_LINE)
    page.goto(two_pages)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text(re.compile(r"tick ([5-9]|\d\d)"))).to_be_visible(timeout=15_000)
    for line in range(4):
        expect(page.get_by_text(f"line {line}")).to_be_visible()
