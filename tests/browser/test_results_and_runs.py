"""Results and Runs in a real browser: by keyboard, in both themes, on a phone, and with names that try to be HTML."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core.run import Run
from core.store import RunStore
from core.workspace import open_workspace
from tests.browser.conftest import serving
from tests.ui.pages.conftest import NAMES, make_run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LATE = 120_000
SOON = 20_000
FOCUSED = """() => { let at = document.activeElement; while (at.shadowRoot) at = at.shadowRoot.activeElement;
                     return at.getAttribute("aria-label") }"""
WORST_CONTRAST = """table => {
  const luminance = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number)
    .map(v => v / 255).map(v => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0)
  return Math.min(...[...table.querySelectorAll("button:not(.none)")].map(button => {
    const style = getComputedStyle(button)
    const [a, b] = [style.color, style.backgroundColor].map(luminance).sort((x, y) => y - x)
    return (a + 0.05) / (b + 0.05)
  }))
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def runs(home: Path) -> tuple[Run, Run]:
    """Two finished runs; the name of the second tries to be HTML."""
    store = RunStore(open_workspace(home))
    made = make_run(store, name="plain"), make_run(store, name="<img src=x onerror=alert(1)>", lr=0.01)
    store.close()
    return made


@pytest.fixture(scope="module")
def thaw(home: Path, runs: tuple[Run, Run]) -> Iterator[str]:
    with serving(home) as address:
        yield address


def results(page: Page, thaw: str, run: Run) -> None:
    page.goto(f"{thaw}/results?lang=en&run={run.id}")
    expect(page.locator("td button.right").first).to_be_visible(timeout=LATE)


def test_the_matrix_is_one_tab_stop_and_arrows_enter_and_escape_do_the_rest(
    page: Page, thaw: str, runs: tuple[Run, Run]
) -> None:
    results(page, thaw, runs[0])
    stop = page.locator("td button[tabindex='0']")
    expect(stop).to_have_count(1)
    stop.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(FOCUSED) == "2 of 6 images of nought *bold* were called <img onerror=alert(1)>"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2 images of nought *bold*, called <img onerror=alert(1)>")).to_be_visible(
        timeout=SOON
    )
    expect(page.locator("button.tile img")).to_have_count(2)
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUSED) == "0 of 3 images of <img onerror=alert(1)> were called 猫 :smile:"
    page.locator("button.tile").first.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible(timeout=SOON)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_names_of_classes_runs_and_files_are_only_text(page: Page, thaw: str, runs: tuple[Run, Run]) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    results(page, thaw, runs[1])
    assert page.locator("th.row").all_inner_texts() == list(NAMES)
    page.get_by_text("Class by class").click()
    expect(page.get_by_text("Of 3 images of <img onerror=alert(1)> the model found 3")).to_be_visible(timeout=SOON)
    page.locator("button.tile").first.click()
    expect(page.get_by_text("It is really nought *bold*.")).to_be_visible(timeout=SOON)
    expect(page.get_by_text("<b>5</b>.png")).to_be_visible()
    page.goto(f"{thaw}/runs?lang=en")
    expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible(timeout=LATE)
    assert page.locator("img[onerror], th b, .name b").count() == 0
    assert asked == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_number_in_the_matrix_can_be_read(browser: Browser, thaw: str, runs: tuple[Run, Run], theme: str) -> None:
    context = browser.new_context(color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    results(page, thaw, runs[0])
    assert page.locator("table").first.evaluate(WORST_CONTRAST) >= 4.5
    context.close()


def test_on_a_phone_nothing_is_wider_than_the_screen_and_a_press_brings_the_pictures_up(
    page: Page, thaw: str, runs: tuple[Run, Run]
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    results(page, thaw, runs[0])
    heading = page.get_by_role("heading", name=re.compile("^One image of 猫"))
    page.locator("td button.wrong:not(.none)").nth(1).click()
    expect(heading).to_be_in_viewport(timeout=SOON)
    for address in ("results", "runs", "try-it"):
        page.goto(f"{thaw}/{address}?lang=en&run={runs[0].id}")
        expect(page.locator("h1").first).to_be_visible(timeout=LATE)
        page.wait_for_timeout(1500)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390, address


def test_runs_are_compared_deleted_and_brought_back(page: Page, thaw: str, runs: tuple[Run, Run]) -> None:
    page.goto(f"{thaw}/runs?lang=en")
    boxes = page.get_by_role("checkbox")
    expect(boxes).to_have_count(2, timeout=LATE)
    boxes.nth(0).check()
    boxes.nth(1).check()
    expect(page.get_by_role("heading", name="2 runs compared")).to_be_visible(timeout=SOON)
    expect(page.locator(".js-plotly-plot .lines")).to_have_count(2, timeout=SOON)
    page.get_by_role("button", name="Untick all").click()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(0, timeout=SOON)
    page.get_by_role("button", name="Delete: plain").click()
    expect(page.get_by_text("plain is in the bin.")).to_be_visible(timeout=SOON)
    page.get_by_role("button", name="Undo").click()
    expect(boxes).to_have_count(2, timeout=SOON)
    page.get_by_role("button", name="Open: plain").click()
    expect(page.locator("td button.right").first).to_be_visible(timeout=LATE)
    assert runs[0].id in page.url
