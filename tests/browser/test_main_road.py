"""The main road in a real browser, from a zip to a model that answers elsewhere. Screenshots lie in artifacts/."""

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ROOT, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ARTIFACTS = Path(os.environ.get("THAW_ARTIFACTS", ROOT / "artifacts"))
CLASSES = ("stripes", "checks", "<img src=x onerror=alert(1)>", "斑点")
"""One of them tries to be HTML, one is Chinese: both are only names."""
POINTS = """() => Math.max(0, ...[...document.querySelectorAll(".thaw-chart-plot")]
                 .flatMap(plot => (plot.data ?? []).map(trace => trace.x.length)))"""
SETTLED = """() => document.querySelector("[data-testid=stApp]").dataset.testScriptState === "notRunning" """
SOON = 90_000
LATE = 240_000


def pattern(kind: int, rng: np.random.Generator) -> Image.Image:
    """48 x 48 px of one class: upright stripes, checks, rings or dots, in any colours, frequency and place."""
    y, x = np.mgrid[0:48, 0:48] + rng.uniform(0, 48, 2)[:, None, None]
    f = rng.uniform(0.5, 0.9)
    waves = (
        np.sin(f * x),
        np.sin(f * x) * np.sin(f * y),
        np.sin(f * np.hypot(x - 40, y - 40)),
        np.cos(f * x) + np.cos(f * y) - 1,
    )
    tone = (waves[kind] > 0)[..., None]
    colors = rng.uniform(0, 255, (2, 3))
    image = np.where(tone, colors[0], colors[1]) + rng.normal(0, 12, (48, 48, 3))
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def patterns() -> Iterator[list[bytes]]:
    """Of each class 41 pictures."""
    rng = np.random.default_rng(7)
    for kind in range(len(CLASSES)):
        yield [as_png(pattern(kind, rng)) for _ in range(41)]


def hands(archive: Path) -> Iterator[list[bytes]]:
    """Real photographs: of the first classes of `sign-digits.zip` all that there are, as they are."""
    with zipfile.ZipFile(archive) as zipped:
        photos = [Path(name) for name in zipped.namelist() if name.lower().endswith(".jpg") and "MACOSX" not in name]
        for digit in range(len(CLASSES)):
            yield [zipped.read(str(photo)) for photo in photos if photo.parent.name == str(digit)]


def as_png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@dataclass(frozen=True)
class Brought:
    """A zip; how many pictures are in it; one that is not."""

    file: Path
    images: int
    new: bytes


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    """Real photographs where they are at hand, under the names of `CLASSES`; a text that calls itself a picture, and what
    macOS adds, lie in the zip, too."""
    data = os.environ.get("THAW_TEST_DATA")
    classes = list(hands(Path(data) / "sign-digits.zip") if data else patterns())
    new = classes[0].pop()
    file = tmp_path_factory.mktemp("zip") / "brought.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, pictures in zip(CLASSES, classes, strict=True):
            for number, picture in enumerate(pictures):
                archive.writestr(f"brought/{name}/{number}.{'jpg' if data else 'png'}", picture)
        archive.writestr("brought/stripes/notes.jpg", "these are my stripes")
        archive.writestr("__MACOSX/brought/stripes/._0.png", b"\0")
    return Brought(file, sum(map(len, classes)), new)


@pytest.fixture(scope="module")
def thaw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Thaw of its own, where the first demo is whole."""
    with serving(tmp_path_factory.mktemp("workspace"), whole="leaves") as address:
        yield address


class Road:
    """One person on the way, with a camera."""

    def __init__(self, page: Page, address: str, name: str) -> None:
        self.page = page
        self.address = address
        self.folder = ARTIFACTS / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.taken = 0

    def shot(self, what: str) -> None:
        self.taken += 1
        self.page.screenshot(path=self.folder / f"{self.taken:02d}-{what}.png")

    def key(self, key: str) -> Locator:
        return self.page.locator(f".st-key-{key.replace('.', '-')}")

    def next(self, key: str) -> None:
        button = self.key(key).get_by_role("button")
        expect(button).to_be_enabled(timeout=SOON)
        button.click()

    # --- the stations ---------------------------------------------------------------------------------------------------

    def bring(self, archive: Path, *, images: str) -> None:
        self.page.goto(f"{self.address}/?lang=en")
        self.key("start.own.go").get_by_role("button").click(timeout=LATE)
        expect(self.page.get_by_role("heading", name="Images to learn from")).to_be_visible(timeout=LATE)
        self.page.locator("input[data-way=archive]").set_input_files(archive)
        expect(self.page.get_by_role("heading", name=archive.stem, exact=True)).to_be_visible(timeout=LATE)
        expect(self.page.get_by_text(images).first).to_be_visible(timeout=SOON)
        # The chart of the set before stands there, faded, until its place is drawn anew.
        expect(self.key("data.counts").locator(".js-plotly-plot")).to_have_count(1, timeout=SOON)
        expect(self.key("data.counts").locator(".js-plotly-plot")).to_be_visible(timeout=SOON)
        expect(self.key("data.samples").locator("img").first).to_be_visible(timeout=SOON)
        self.shot("data")
        self.next("data.next")

    def choose(self, title: str) -> None:
        expect(self.key("model.backbones").get_by_role("radio").first).to_be_visible(timeout=LATE)
        self.key("model.backbones").get_by_role("searchbox").fill(title)
        self.key("model.backbones").get_by_role("radio", name=title, exact=False).first.click()
        expect(self.row("")).to_contain_text("4.91 M", timeout=LATE)
        self.settle()

    def settle(self) -> None:
        """Wait until the page has been drawn after a press: what is chosen may bring rules of its own onto the tree."""
        self.page.wait_for_timeout(500)
        self.page.wait_for_function(SETTLED, timeout=LATE)

    def row(self, path: str) -> Locator:
        return self.key("model.tree").locator(f'[role=treeitem][data-path="{path}"]')

    def steer(self) -> None:
        """Freeze the first stage, let the last learn at a tenth of the rate."""
        if self.row("layer1").get_attribute("aria-checked") == "false":  # the draft of the road before is still there
            self.row("layer1").locator(".toggle").click()
            expect(self.row("layer1")).to_have_attribute("aria-checked", "true")
        self.row("layer1").locator(".toggle").click()
        expect(self.row("layer1")).to_have_attribute("aria-checked", "false")
        self.row("layer4").locator(".scale").click()
        self.page.keyboard.type("0.1")
        self.page.keyboard.press("Enter")
        expect(self.row("layer4").locator(".scale")).to_have_text("×0.1")
        self.row("layer1").scroll_into_view_if_needed()
        self.shot("tree")
        self.next("model.next")

    def set(self, field: str, value: str) -> None:
        box = self.key(f"recipe.{field}").get_by_role("spinbutton")
        expect(box).to_be_visible(timeout=SOON)
        box.fill(value)
        box.press("Enter")

    def start(self) -> str:
        """Press start; the run's id, from the address."""
        self.shot("settings")
        self.next("train.start")
        self.page.wait_for_url("**run=*", timeout=LATE)
        return self.page.url.split("run=")[1].split("&")[0]

    def points(self) -> int:
        """How many the longest curve on the screen has."""
        return int(self.page.evaluate(POINTS))

    def watch_it_grow(self) -> None:
        grown = f"least => ({POINTS})() >= least"
        self.page.wait_for_function(grown, arg=2, timeout=LATE)
        self.page.wait_for_function(grown, arg=self.points() + 2, timeout=LATE)

    def wait_until_it_validates(self, run: str, least: float) -> None:
        """Until one epoch named that share of the validation images right."""
        for _ in range(LATE // 500):
            answer = self.page.request.get(f"{self.address}/api/runs/{run}/curve?since=-1&epoch=").json()
            if any(value >= least for value in answer["epochs"]["val_accuracy"]):
                return
            assert not answer["done"], "it ended before it learned"
            self.page.wait_for_timeout(500)
        raise AssertionError(f"no epoch reached {least:.0%}")


def predicted(page: Page) -> str:
    return page.locator(".st-key-try_it-answers .first").first.inner_text()


def walk(page: Page, address: str, brought: Brought) -> tuple[Road, str, str]:
    """From the zip to what the model says of a picture that it never met; gives the road, the run and that word."""
    road = Road(page, address, "main-road")
    road.bring(brought.file, images=str(brought.images))
    road.choose("Thaw Small")
    road.steer()
    road.set("epochs", "60")
    run = road.start()
    road.watch_it_grow()
    road.shot("live")

    page.reload()
    road.watch_it_grow()
    assert run in page.url, "a reload in the middle shows the same run"
    expect(road.key("train.stop").get_by_role("button")).to_be_visible(timeout=SOON)
    road.wait_until_it_validates(run, 0.5)
    road.next("train.stop")
    expect(road.key("train.results").get_by_role("button")).to_be_visible(timeout=LATE)
    road.shot("stopped")

    road.next("train.results")
    expect(road.key("results.verdict")).to_contain_text("test images the model names", timeout=SOON)
    cell = road.key(f"results.matrix.{run}").locator("table button.right:not(.none)").first
    count = int(cell.inner_text())
    cell.click()
    tiles = road.key(f"results.pictures.{run}").locator(".tile img")
    expect(tiles).to_have_count(min(count, 24), timeout=SOON)
    assert tiles.first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    road.shot("results")

    road.next("results.next")
    page.locator(".st-key-try_it-files input[type=file]").set_input_files(
        [{"name": "new.jpg", "mimeType": "image/jpeg", "buffer": brought.new}]
    )
    expect(road.key("try_it.answers").locator("li").first).to_be_visible(timeout=LATE)
    answer = predicted(page)
    road.shot("try-it")
    return road, run, answer


def take_home(road: Road, run: str, picture: bytes, answer: str) -> None:
    """The file that is taken home says of the picture what the page said."""
    page = road.page
    road.key("take.onnx.prepare").get_by_role("button").click()
    link = road.key(f"take.onnx.get.{run}").get_by_role("link")
    expect(link).to_be_visible(timeout=LATE)
    road.shot("onnx")
    with page.expect_download(timeout=SOON) as waiting:
        link.click()
    session = onnxruntime.InferenceSession(waiting.value.path().read_bytes(), providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    side = int(session.get_inputs()[0].shape[2])
    image = Image.open(io.BytesIO(picture)).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255
    probabilities = session.run(["probabilities"], {session.get_inputs()[0].name: pixels})[0]
    assert json.loads(facts["classes"])[int(probabilities[0].argmax())] == answer


def freeze_while_it_runs(page: Page, thaw: str) -> None:
    """A press on a block of the running network freezes it at once, is marked in the curves and read off the instruments."""
    row = page.locator(".thaw-tree.live .row[data-path='layer1']")
    expect(row.locator(".type")).not_to_be_empty(timeout=LATE)
    row.locator(".toggle").click()
    expect(row).to_have_class(re.compile(r"\bfrozen\b"), timeout=SOON)
    run = re.search(r"run=(\w+)", page.url)
    assert run is not None
    for _ in range(100):
        marks = page.request.get(f"{thaw}/api/runs/{run[1]}/curve").json()["marks"]
        if marks:
            break
        page.wait_for_timeout(200)
    assert [cause for _, cause in marks] == ["person"]
    expect(row).to_have_class(re.compile(r"\bfrozen\b"))


def test_the_first_minute_from_a_press_on_a_demo_to_a_growing_curve(page: Page, thaw: str) -> None:
    road = Road(page, thaw, "first-minute")
    page.goto(f"{thaw}/?lang=en")
    demo = road.key("start.demos").get_by_role("radio", name="Leaf health")
    expect(demo).to_be_enabled(timeout=LATE)
    expect(demo.locator("img").first).to_be_visible(timeout=SOON)
    road.shot("start")
    demo.click()
    page.wait_for_url("**/train?**run=*", timeout=LATE)
    road.watch_it_grow()
    road.shot("running")
    freeze_while_it_runs(page, thaw)
    road.shot("steered")
    road.next("train.stop")
    expect(road.key("train.results").get_by_role("button")).to_be_visible(timeout=LATE)
    page.goto(f"{thaw}/?lang=en")
    expect(road.key("start.again").get_by_text("Stopped")).to_be_visible(timeout=SOON)
    road.shot("again")


def test_from_a_zip_to_a_model_that_answers_elsewhere(page: Page, thaw: str, brought: Brought) -> None:
    road, run, answer = walk(page, thaw, brought)
    assert answer in CLASSES
    take_home(road, run, brought.new, answer)
