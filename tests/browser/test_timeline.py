"""The timeline and the film strip in a real browser: dragged by mouse, finger and keys, grown, thinned, and on a phone."""

import itertools
import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LABELS = ["Rust", "Leaf <img src=x onerror=alert(1)>", "猫", "Powdery mildew", "Healthy", "Rust", "Healthy", "Scorch"]


@pytest.fixture
def page(staying: Page) -> Page:
    return staying


class Line:
    """The timeline as a person meets it."""

    def __init__(self, page: Page, demo: str, query: str = "") -> None:
        self.page = page
        visit(page, demo, f"page=line{query}")
        expect(self.coin("head")).to_be_visible(timeout=60_000)

    def row(self, key: str) -> Locator:
        return self.page.locator(f'.st-key-line .row[data-key="{key}"]')

    def coin(self, key: str) -> Locator:
        return self.row(key).get_by_role("slider")

    def middle(self, epoch: int, key: str = "body", epochs: int = 10) -> tuple[float, float]:
        """The point of the screen in the middle of the column of an epoch; of `epochs` + 1: in the slot."""
        box = self.row(key).locator(".track").bounding_box()
        ice = self.row(key).locator(".ice").bounding_box()
        assert box
        assert ice
        x = ice["x"] + ice["width"] * (epoch - 0.5) / epochs if epoch <= epochs else box["x"] + box["width"] - 20
        return x, box["y"] + box["height"] / 2

    def drag(self, key: str, by: float) -> None:
        """Take the coin in its middle and let go `by` pixels to the right."""
        self.coin(key).hover()  # waits until it has come to rest
        box = self.coin(key).bounding_box()
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.down()
        for part in (0.3, 0.7, 1.0):
            self.page.mouse.move(x + by * part, y + 3)
        self.page.mouse.up()

    def column(self) -> float:
        box = self.row("body").locator(".ice").bounding_box()
        assert box
        return box["width"] / 10

    def expect_since(self, where: str = "got", **since: int | None) -> None:
        whole = {"stem": None, "body": 4, "head": 1} | since
        expect(self.page.locator(f".st-key-{where} code")).to_have_text(json.dumps(whole), timeout=15_000)


def test_a_bar_is_dragged_with_the_mouse_and_python_hears_where_to(page: Page, demo: str) -> None:
    line = Line(page, demo)
    line.expect_since()
    line.drag("body", 3 * line.column())
    expect(line.coin("body")).to_have_attribute("aria-valuetext", "Stage <b>body</b>: from epoch 7")
    line.expect_since(body=7)
    line.drag("body", 9 * line.column())  # out to the right
    expect(line.coin("body")).to_have_attribute("aria-valuetext", "Stage <b>body</b>: stays frozen")
    line.expect_since(body=None)
    line.drag("body", -20 * line.column())  # and back, beyond the left end
    line.expect_since(body=1)
    assert page.locator(".st-key-line .title b").count() == 0


def test_a_press_on_a_column_or_the_slot_puts_the_bar_there(page: Page, demo: str) -> None:
    line = Line(page, demo)
    page.mouse.click(*line.middle(8))
    line.expect_since(body=8)
    page.mouse.click(*line.middle(2, "stem"))
    line.expect_since(body=8, stem=2)
    page.mouse.click(*line.middle(11))
    line.expect_since(body=None, stem=2)


def test_the_whole_timeline_by_keyboard(page: Page, demo: str) -> None:
    line = Line(page, demo)
    line.coin("stem").focus()
    page.keyboard.press("ArrowLeft")
    expect(line.coin("stem")).to_have_attribute("aria-valuenow", "10")
    page.keyboard.press("ArrowRight")
    expect(line.coin("stem")).to_have_attribute("aria-valuetext", "Stage <b>stem</b>: stays frozen")
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowUp", "PageUp", "ArrowDown"):
        page.keyboard.press(key)
    expect(line.coin("body")).to_have_attribute("aria-valuenow", "7")
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    line.expect_since(body=7, head=None)
    page.keyboard.press("Home")
    line.expect_since(body=7, head=1)
    slider = page.get_by_role("slider", name="Stage <b>head</b>")
    assert [slider.get_attribute(f"aria-value{end}") for end in ("min", "now", "max")] == ["1", "1", "11"]


def test_escape_puts_a_bar_back_while_it_is_dragged(page: Page, demo: str) -> None:
    line = Line(page, demo)
    page.mouse.move(*line.middle(8))
    page.mouse.down()
    expect(line.coin("body")).to_have_attribute("aria-valuenow", "8")
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(line.coin("body")).to_have_attribute("aria-valuenow", "4")
    page.wait_for_timeout(500)
    line.expect_since()


def test_a_key_just_before_a_drag_that_moves_nothing_is_not_lost(page: Page, demo: str) -> None:
    line = Line(page, demo)
    line.coin("body").hover()
    line.coin("stem").press("ArrowLeft")
    page.mouse.down()
    page.wait_for_timeout(400)
    page.mouse.up()
    line.expect_since(stem=10)


def test_a_press_elsewhere_never_overtakes_the_last_drag_and_a_preset_wins(page: Page, demo: str) -> None:
    line = Line(page, demo)
    line.drag("body", 2 * line.column())
    page.locator(".st-key-start button").click()
    line.expect_since("started", body=6)
    line.drag("body", line.column())
    page.locator(".st-key-preset button").click()
    line.expect_since(body=1)
    expect(line.coin("body")).to_have_attribute("aria-valuenow", "1")
    line.drag("body", line.column())
    line.expect_since(body=2)


def test_while_a_run_stands_at_an_epoch_only_the_future_moves(page: Page, demo: str) -> None:
    line = Line(page, demo)
    page.locator(".st-key-live label").click()
    expect(page.locator(".st-key-line .flag")).to_have_text("5")
    expect(line.coin("body")).to_have_attribute("aria-disabled", "true")
    line.drag("body", 3 * line.column())
    line.coin("stem").focus()
    page.keyboard.press("Home")
    expect(line.coin("stem")).to_have_attribute("aria-valuemin", "6")
    line.expect_since(stem=6)


def test_nothing_moves_while_it_is_disabled(page: Page, demo: str) -> None:
    line = Line(page, demo)
    page.locator(".st-key-busy label").click()
    expect(line.coin("stem")).to_have_attribute("aria-disabled", "true")
    line.drag("body", 3 * line.column())
    line.coin("head").press("End")
    page.wait_for_timeout(500)
    line.expect_since()


def test_on_a_phone_a_finger_drags_taps_and_still_scrolls_the_page(browser: Browser, demo: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    line = Line(page, demo)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.touchscreen.tap(*line.middle(8))
    line.expect_since(body=8)
    finger = context.new_cdp_session(page)
    (x, y), (to, _) = line.middle(8), line.middle(3)
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for part in (0.25, 0.5, 0.75, 1):
        point = {"x": x + (to - x) * part, "y": y + 2}
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    line.expect_since(body=3)
    assert line.row("body").locator(".track").evaluate("e => getComputedStyle(e).touchAction") == "pan-y"
    context.close()


@pytest.mark.parametrize(("epochs", "width"), [(1, 900), (10, 900), (10, 170), (30, 700), (365, 700), (10_000, 170)])
def test_numbers_of_the_scale_never_touch(bare: Page, epochs: int, width: int) -> None:
    import ui.components.timeline

    text = (Path(ui.components.timeline.__file__).parent / "timeline.js").read_text("utf-8")
    found = bare.evaluate(
        """async ([text, epochs, width]) => {
             const { ticks } = await import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })))
             return ticks(epochs, width)
           }""",
        [text, epochs, width],
    )
    assert (found[0], found[-1]) == (1, epochs)
    assert all((b - a) / epochs * width >= 34 for a, b in itertools.pairwise(found))


# --- the film strip -----------------------------------------------------------------------------------------------------


def open_film(page: Page, demo: str, epochs: int) -> Locator:
    visit(page, demo, f"page=film&epochs={epochs}&labels={json.dumps(LABELS)}")
    film = page.locator(".st-key-film .thaw-film")
    expect(film.locator("tbody tr").first).to_be_visible(timeout=60_000)
    return film


def test_the_strip_grows_by_a_column_without_a_jump_or_a_new_picture(page: Page, demo: str) -> None:
    film = open_film(page, demo, 3)
    expect(film.locator("thead .newest")).to_contain_text("Epoch 3")
    expect(film.locator("thead .newest")).to_contain_text("0 of 8 right")
    before = film.bounding_box()
    film.locator("img").first.evaluate("e => { window.first = e }")
    page.locator(".st-key-grow button").click()
    expect(film.locator("thead .newest")).to_contain_text("8 of 8 right", timeout=15_000)
    assert film.locator("tbody tr").first.locator("td[role=gridcell]").count() == 4
    assert film.bounding_box() == before
    assert film.locator("img").first.evaluate("e => e === window.first")


def test_before_the_first_epoch_it_stands_there_as_tall_as_after_it(page: Page, demo: str) -> None:
    film = open_film(page, demo, 0)
    expect(film.locator("thead .newest")).to_have_text("after the first epoch")
    before = film.bounding_box()
    page.locator(".st-key-grow button").click()
    expect(film.locator("thead .newest")).to_contain_text("Epoch 1", timeout=15_000)
    assert film.bounding_box() == before


def test_every_cell_says_what_the_model_said_by_keyboard_and_by_mouse(page: Page, demo: str) -> None:
    film = open_film(page, demo, 3)
    stop = film.locator("td[tabindex='0']")
    expect(stop).to_have_count(1)
    stop.focus()
    page.keyboard.press("ArrowLeft")
    expect(film.locator(".tip")).to_have_text("Epoch 2: said Rust, 40 %")
    assert film.locator("td[tabindex='0']").get_attribute("aria-label") == "epoch 2: said Rust, 40 %, right"
    page.keyboard.press("Home")
    expect(film.locator(".tip")).to_have_text(f"Epoch 1: said {LABELS[1]}, 30 %")
    page.keyboard.press("Escape")
    expect(film.locator(".tip")).to_be_hidden()
    film.locator("tbody tr").nth(3).locator("td").nth(1).hover()
    expect(film.locator(".tip")).to_have_text("Epoch 2: said Powdery mildew, 40 %")


def test_names_are_only_text_and_right_and_wrong_differ_in_shape(page: Page, demo: str) -> None:
    film = open_film(page, demo, 2)
    assert film.locator(".name").all_inner_texts() == LABELS
    assert film.locator("img[onerror], .name img, .said img").count() == 0
    look = "e => [getComputedStyle(e).clipPath, getComputedStyle(e, '::after').maskImage]"
    wrong, right = (film.locator(f"tbody .tile.{kind}").first.evaluate(look) for kind in ("wrong", "right"))
    assert wrong[0] != right[0]
    assert wrong[1] != right[1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_sign_can_be_seen_on_its_tile(browser: Browser, demo: str, theme: str) -> None:
    context = browser.new_context(color_scheme=theme)  # type: ignore[arg-type]
    film = open_film(context.new_page(), demo, 9)
    worst = film.evaluate(
        """film => {
             const luminance = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number)
               .map(v => v / 255).map(v => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
               .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0)
             return Math.min(...[...film.querySelectorAll("tbody .tile")].map(tile => {
               const looks = [getComputedStyle(tile), getComputedStyle(tile, "::after")]
               const [a, b] = looks.map(look => luminance(look.backgroundColor)).sort((x, y) => y - x)
               return (a + 0.05) / (b + 0.05)
             }))
           }"""
    )
    assert worst >= 3
    context.close()


def test_a_long_strip_is_thinned_and_says_so(page: Page, demo: str) -> None:
    film = open_film(page, demo, 120)
    expect(film.locator(".thinned")).to_have_text("25 of 120 epochs shown")
    assert film.locator("thead .number").all_text_contents() == [str(n) for n in (1, *range(5, 120, 5))]


def test_on_a_phone_it_scrolls_inside_itself_and_the_pictures_stand_still(page: Page, demo: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    film = open_film(page, demo, 30)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    scroll = film.locator(".scroll")
    at, width, whole = scroll.evaluate("e => [e.scrollLeft, e.clientWidth, e.scrollWidth]")
    assert whole > width
    assert at >= whole - width - 1  # the newest is in sight
    picture = film.locator("img").first
    before = picture.bounding_box()
    film.locator("td[tabindex='0']").focus()
    page.keyboard.press("Home")
    expect(film.locator("tbody td").first).to_be_in_viewport()
    assert scroll.evaluate("e => e.scrollLeft") == 0
    assert picture.bounding_box() == before
