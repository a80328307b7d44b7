"""A class in a real browser: signing in, the pages, a second person, signing out; nothing is asked of another server."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from core.gate import Accounts
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import open_workspace
from tests.browser.conftest import ROOT, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ARTIFACTS = Path(os.environ.get("THAW_ARTIFACTS", ROOT / "artifacts"))
PAGES = ("/", "/data", "/model", "/train", "/results", "/runs", "/try-it")
SHARED = "our class password"
SOON = 90_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a class password, an account, and a run of that account's owner."""
    workspace = open_workspace(tmp_path_factory.mktemp("class"))
    accounts = Accounts(workspace)
    accounts.set_class_password(SHARED)
    ann = accounts.add("Ann", "a long password")
    accounts.close()
    store = RunStore(workspace)
    run = store.create(Recipe(name="the secret of Ann"), owner=ann.id)
    store.transition(run.id, "paused")
    (workspace.root / "run.txt").write_text(run.id)
    store.close()
    return workspace.root


@pytest.fixture(scope="module")
def school(home: Path) -> Iterator[str]:
    """Address of a Thaw that asks who comes."""
    with serving(home, ready="/sign-in") as address:
        yield address


def sign_in(page: Page, address: str, name: str, password: str, to: str = "/") -> None:
    page.goto(f"{address}/sign-in?next={to}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_test_id("stAppViewContainer")).to_be_visible(timeout=SOON)


def test_a_pupil_signs_in_sees_every_page_and_no_request_goes_anywhere_else(page: Page, school: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    sign_in(page, school, "小明", SHARED)
    for path in PAGES:
        page.goto(f"{school}{path}?lang=en")
        expect(page.get_by_text("小明")).to_be_visible(timeout=SOON)
        expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=SOON)
        expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=SOON)
    expect(page.get_by_text("the secret of Ann")).to_have_count(0)
    away = {
        url for url in asked if not url.startswith(("data:", "blob:")) and urlsplit(url).netloc != urlsplit(school).netloc
    }
    assert away == set()
    assert any(url.startswith("ws://") for url in asked)
    assert len(asked) > 50


def test_scripts_cannot_read_the_cookie_and_signing_out_takes_it_away(page: Page, school: str) -> None:
    sign_in(page, school, "小明", SHARED, to="/runs")
    assert page.url == f"{school}/runs"
    assert "thaw-" not in page.evaluate("document.cookie")
    (cookie,) = [one for one in page.context.cookies() if one["name"].startswith("thaw-")]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.get_by_role("button", name="Sign out").click(timeout=SOON)
    expect(page.get_by_role("heading", name="Sign in to Thaw")).to_be_visible(timeout=SOON)
    assert not [one for one in page.context.cookies() if one["name"].startswith("thaw-")]


def test_a_run_is_shown_to_whom_it_belongs_and_to_nobody_else(browser: Browser, school: str, home: Path) -> None:
    address = f"{school}/train?lang=en&run={(home / 'run.txt').read_text()}"
    for name, password, seen in (("Ann", "a long password", True), ("小明", SHARED, False)):
        context = browser.new_context()
        page = context.new_page()
        sign_in(page, school, name, password)
        page.goto(address)
        expect(page.get_by_text(name, exact=True)).to_be_visible(timeout=SOON)
        if seen:
            expect(page.get_by_text("the secret of Ann").first).to_be_visible(timeout=SOON)
        else:
            expect(page.get_by_role("heading").first).to_be_visible(timeout=SOON)
            expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=SOON)
            expect(page.get_by_text("the secret of Ann")).to_have_count(0)
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_sign_in_page_fits_and_can_be_read(browser: Browser, school: str, width: int, height: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale="zh-CN")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{school}/sign-in")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.activeElement.id") == "name"
    expect(page.get_by_role("button", name="登录")).to_be_in_viewport()
    page.get_by_label("姓名").fill("小明")
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("姓名与密码不匹配")
    assert page.evaluate("document.activeElement.id") == "password"
    ratios = page.evaluate(CONTRAST)
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
    folder = ARTIFACTS / "sign-in"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{width}-{scheme}.png")
    context.close()


CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor
    if (!/, 0\\)$/.test(c) && c !== "transparent") return c } return "rgb(255, 255, 255)" }
  const found = {}
  for (const e of document.querySelectorAll("h1, p, label, button, nav a, .bad, .bad strong, input:not([type=hidden])")) {
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x)
    found[e.tagName + "." + e.className + e.textContent.slice(0, 12)] = (a + 0.05) / (b + 0.05)
  }
  return found
}"""


def test_a_page_elsewhere_cannot_sign_somebody_out_or_read_anything(browser: Browser, school: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, school, "Ann", "a long password")
    other = context.new_page()
    other.route(
        "http://elsewhere.test/",
        lambda route: route.fulfill(
            content_type="text/html", body=f'<form method="post" action="{school}/sign-out"><button>go</button></form>'
        ),
    )
    other.goto("http://elsewhere.test/")
    reading = f"fetch('{school}/_stcore/health', {{credentials: 'include'}}).then(a => a.text()).catch(() => 'refused')"
    assert other.evaluate(reading) == "refused"
    other.get_by_role("button").click()
    expect(other.locator("body")).to_contain_text("gate.origin")
    page.reload()
    expect(page.get_by_role("button", name=re.compile("Sign out|退出登录"))).to_be_visible(timeout=SOON)
    context.close()
