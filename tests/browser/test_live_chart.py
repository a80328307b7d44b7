"""The live curve in a real browser: it grows in place, keeps a zoom, survives lost connections, and ends with its run."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Response, Route, expect

import ui.components.live_chart
from tests.browser.conftest import visit

pytestmark = pytest.mark.browser

LIVE, DONE, EMPTY = "01JCQ8Y5T0000000000000VE01", "01JCQ8Y5T0000000000000D0NE", "01JCQ8Y5T0000000000000E000"
CURVE = "**/api/runs/*/curve*"
JS = (Path(ui.components.live_chart.__file__).parent / "live_chart.js").read_text("utf-8")


@pytest.fixture
def page(staying: Page) -> Page:
    return staying


def open_chart(page: Page, demo: str, query: str = "") -> None:
    visit(page, demo, f"page=chart{query}")
    expect(page.locator(".thaw-chart")).to_be_visible(timeout=60_000)


def wait_for_points(page: Page, more_than: int = 0) -> int:
    handle = page.wait_for_function(
        "n => { const p = +document.querySelector('.thaw-chart').dataset.points; return p > n && p }",
        arg=more_than,
        timeout=30_000,
    )
    return int(handle.json_value())


def x_range(page: Page) -> list[float]:
    return page.evaluate("document.querySelector('.thaw-chart-plot').layout.xaxis.range")


def test_the_curve_grows_in_one_chart_and_a_zoom_stays(page: Page, demo: str) -> None:
    open_chart(page, demo)
    before = wait_for_points(page)
    page.evaluate("window.first = document.querySelector('.thaw-chart-plot .main-svg')")
    page.evaluate("Plotly.relayout(document.querySelector('.thaw-chart-plot'), { 'xaxis.range': [0.5, 1.5] })")
    wait_for_points(page, before + 40)
    page.locator(".st-key-again label").click()
    expect(page.get_by_text("a run of the page")).to_be_visible()
    now = wait_for_points(page, before + 80)
    wait_for_points(page, now)
    assert x_range(page) == [0.5, 1.5]
    assert page.evaluate("window.first === document.querySelector('.thaw-chart-plot .main-svg')")


def test_the_height_is_the_same_before_and_after_the_first_point(page: Page, demo: str) -> None:
    open_chart(page, demo, f"&run={EMPTY}")
    expect(page.locator(".thaw-chart-waiting")).to_have_text("Waiting for the first step…")
    waiting = page.locator(".thaw-chart-stage").evaluate("e => e.offsetHeight")
    open_chart(page, demo, f"&run={DONE}")
    wait_for_points(page)
    assert page.locator(".thaw-chart-stage").evaluate("e => e.offsetHeight") == waiting


def test_nothing_moves_unseen_behind_the_curve(page: Page, demo: str) -> None:
    moving = "document.getAnimations().filter(one => one.playState === 'running' && !one.transitionProperty).length"
    open_chart(page, demo, f"&run={EMPTY}")
    expect(page.locator(".thaw-chart-waiting")).to_be_visible()
    assert page.evaluate(moving) == 1, "two dashed curves breathe while there is nothing to show"
    open_chart(page, demo, f"&run={DONE}")
    wait_for_points(page)
    assert page.evaluate(moving) == 0
    expect(page.locator(".thaw-chart-empty")).to_be_hidden()


def test_what_is_slow_to_draw_is_drawn_less_often(page: Page, demo: str) -> None:
    open_chart(page, demo)
    before = wait_for_points(page)
    page.evaluate("""() => {
      window.drawn = []
      const { react } = Plotly
      window.quick = () => { Plotly.react = react }
      Plotly.react = (...given) => {
        window.drawn.push(performance.now())
        for (const end = performance.now() + 150; performance.now() < end;) ;
        return react(...given)
      }
    }""")
    page.wait_for_function("() => window.drawn.length >= 3", timeout=60_000)
    pauses = page.evaluate("window.drawn.slice(1).map((at, number) => at - window.drawn[number])")
    page.evaluate("window.quick()")
    assert pauses[-1] > 150 / 0.06, "most of its time is for others"
    wait_for_points(page, before)


def test_an_answer_is_small_and_a_finished_run_is_asked_once(page: Page, demo: str) -> None:
    sizes: list[int] = []

    def heard(response: Response) -> None:
        if "/curve" in response.url:
            sizes.append(len(response.body()))

    page.on("response", heard)
    open_chart(page, demo, f"&run={DONE}")
    wait_for_points(page)
    page.wait_for_timeout(2500)
    page.remove_listener("response", heard)
    assert len(sizes) == 1
    assert sizes[0] <= 20 * 1024


def test_a_closer_look_at_a_long_run_brings_finer_points(page: Page, demo: str) -> None:
    open_chart(page, demo, f"&run={DONE}")
    wait_for_points(page)
    inside = "() => document.querySelector('.thaw-chart-plot').data[0].x.filter(x => x > 100 && x < 104).length"
    coarse = page.evaluate(inside)
    with page.expect_response(lambda r: "from=" in r.url):
        page.evaluate("Plotly.relayout(document.querySelector('.thaw-chart-plot'), { 'xaxis.range': [100, 104] })")
    page.wait_for_function(f"n => ({inside})() > n", arg=coarse)
    assert page.evaluate(inside) == 4 * 50 - 1
    page.evaluate("Plotly.relayout(document.querySelector('.thaw-chart-plot'), { 'xaxis.autorange': true })")
    page.wait_for_function(f"n => ({inside})() === n", arg=coarse)


def test_it_speaks_its_newest_values_and_shows_them_as_a_table(page: Page, demo: str) -> None:
    open_chart(page, demo, f"&run={DONE}")
    wait_for_points(page)
    label = page.locator(".thaw-chart-plot").get_attribute("aria-label") or ""
    assert label.startswith("Step 20000: Loss (training) 0.1")
    assert "Accuracy (validation) 95.9 %" in label
    page.locator(".thaw-chart-summary").click()
    expect(page.locator(".thaw-chart-table tbody tr").first.locator("td").first).to_have_text("400")
    assert page.get_by_text("Share chart").count() == 0
    assert page.locator("[data-title*=Share]").count() == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_width(page: Page, demo: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_chart(page, demo, f"&run={DONE}&groups=many")
    wait_for_points(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = page.locator(".thaw-chart-plot .main-svg").first.evaluate("e => e.getBoundingClientRect().width")
    assert shown == page.locator(".thaw-chart").evaluate("e => e.clientWidth")


# --- pure parts ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chart_js(bare: Page) -> Page:
    bare.evaluate(
        "async text => { window.chart = await import(URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))) }",
        JS,
    )
    return bare


def call(page: Page, function: str, *values: Any) -> Any:
    return page.evaluate(f"values => chart.{function}(...values)", list(values))


def test_smoothing_keeps_gaps_and_begins_anew_after_them(chart_js: Page) -> None:
    assert call(chart_js, "smooth", [0, 1, 2, 3, 4], [8, 0, None, 4, 4], 1) == [8, 4, None, 4, 4]


def test_smoothing_looks_at_distance_not_at_the_number_of_points(chart_js: Page) -> None:
    far = call(chart_js, "smooth", [0, 3], [8, 0], 1)
    near = call(chart_js, "smooth", [0, 1], [8, 0], 1)
    assert (far, near) == ([8, 1], [8, 4])


def test_a_reset_forgets_and_a_delta_adds(chart_js: Page) -> None:
    epochs = {"epoch": [1], "step": [2], "val_loss": [0.5]}
    first = {"reset": True, "rev": 3, "epoch": "a", "done": False, "x": [1, 2], "y": {"loss": [3, None]}, "epochs": epochs}
    none = {"epoch": [], "step": [], "val_loss": []}
    more = {"reset": False, "rev": 4, "epoch": "a", "done": True, "x": [3], "y": {"loss": [1]}, "epochs": none}
    held = chart_js.evaluate(
        """([first, more]) => {
             const held = { rev: 9, epoch: 'old', x: [7], y: { loss: [7] }, epochs: {}, done: false }
             chart.merge(held, first); chart.merge(held, more)
             return held
           }""",
        [first, more],
    )
    assert held == {
        "rev": 4, "epoch": "a", "x": [1, 2, 3], "y": {"loss": [3, None, 1]}, "epochs": epochs, "done": True,
        "thinned": False, "marks": [],
    }  # fmt: skip


def test_a_finer_stretch_takes_the_place_of_the_coarse_one(chart_js: Page) -> None:
    held = {"x": [1, 10, 20, 30], "y": {"loss": [1, 10, 20, 30]}, "epochs": {}}
    look = {"x": [10, 15, 20], "y": {"loss": [0, 1, 2]}}
    assert call(chart_js, "splice", held, look)["x"] == [1, 10, 15, 20, 30]
    assert call(chart_js, "splice", held, look)["y"] == {"loss": [1, 0, 1, 2, 30]}
    assert call(chart_js, "splice", held, {"x": [], "y": {"loss": []}}) == held


def test_a_lost_connection_is_said_and_the_curve_stays(browser: Any, demo: str) -> None:
    page = browser.new_page()  # a page of its own: failed requests are errors to the usual one
    try:
        open_chart(page, demo)
        wait_for_points(page)

        def cut(route: Route) -> None:
            route.abort()

        page.route(CURVE, cut)
        expect(page.locator(".thaw-chart-lost")).to_have_text("Connection lost, trying again", timeout=15_000)
        points = wait_for_points(page)
        assert page.locator(".thaw-chart.has-points").count() == 1
        page.unroute(CURVE, cut)
        expect(page.locator(".thaw-chart-lost")).to_be_hidden(timeout=15_000)
        wait_for_points(page, points)
    finally:
        page.close()
