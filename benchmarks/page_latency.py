"""How quickly Thaw answers while it trains on the same cores; each kind of answer is timed, idle and while a run trains.

Run: python -m benchmarks.page_latency [--seconds 300] [--viewers 3] [--rounds 5]. Needs Chromium. Prints milliseconds:
`health` and `curve` over HTTP; `click`, from a press on the layer tree to the changed row on the screen; `answer`, from a
press in the navigation to the server's last word on the new page; `page`, from that press to its heading on the screen. The
browser draws on the same cores, and with `--viewers` it draws live curves all the time: that is in the figures. At the end
`watched`: steps a second while so many tabs draw the curves, as a share of those while none does, in turns, and nobody
presses anything. With `--elsewhere` people on other machines watch instead, and another one goes from page to page
(`benchmarks/viewers.py`: all that their browsers ask, nothing that they draw): what is lost is the server's work for them,
and an answer is over with the server's last word. `--seconds 0`: only what is lost. Every row is also a line of JSON in
`--json FILE`.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import viewers
from core.drive import drive
from core.events import StepDone
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import open_workspace

ROOT = Path(__file__).resolve().parent.parent
PORT = 8599
URL = f"http://127.0.0.1:{PORT}"
CLICK = """async () => {
  const find = node => { for (const e of node.querySelectorAll("*")) {
    if (e.matches?.('[role=treeitem][data-path="layer1"]')) return e
    if (e.shadowRoot) { const found = find(e.shadowRoot); if (found) return found } } return null }
  const item = find(document)
  const before = item.getAttribute("aria-checked"), begin = performance.now()
  item.querySelector(".toggle").click()
  while (item.getAttribute("aria-checked") === before) await new Promise(requestAnimationFrame)
  await new Promise(requestAnimationFrame)
  return performance.now() - begin
}"""


def get(path: str) -> float:
    begin = time.perf_counter()
    with urllib.request.urlopen(URL + path, timeout=30) as answer:
        answer.read()
    return 1000 * (time.perf_counter() - begin)


class Wire:
    """When a tab last heard from the server."""

    def __init__(self, page: Page) -> None:
        self.heard = 0.0
        page.on("websocket", lambda socket: socket.on("framereceived", self._hear))

    def _hear(self, _: object) -> None:
        self.heard = time.perf_counter()


def answer(page: Page, wire: Wire, name: str) -> float:
    """Milliseconds from the press to the server's last word on the new page: what the browser draws of it comes on top."""
    begin = time.perf_counter()
    visit(page, name)
    while time.perf_counter() - max(wire.heard, begin) < 0.3:
        page.wait_for_timeout(20)
    return 1000 * (wire.heard - begin)


def visit(page: Page, name: str) -> float:
    """Milliseconds from the press to the heading of the page."""
    link = page.get_by_role("link", name=name, exact=True)
    begin = time.perf_counter()
    link.click()
    page.get_by_role("heading", name={"Data": "Images to learn from", "Runs": "Every run so far"}[name]).wait_for()
    return 1000 * (time.perf_counter() - begin)


Row = dict[str, str | float]
ROUND_SECONDS = 20.0
SETTLE_SECONDS = 5.0


def figures(title: str, kind: str, times: list[float]) -> Row:
    ordered = sorted(times)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    return {"when": title, "kind": kind, "p50": statistics.median(ordered), "p95": p95, "n": len(ordered)}


def tell(row: Row, file: Path | None) -> None:
    print(
        "  ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{value}" for key, value in row.items()), flush=True
    )
    if file:
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")


def pace(store: RunStore, run: str, seconds: float) -> float:
    """Steps a second of a run, over so many seconds from now; validation and saving are in it."""
    since = store.last_seq(run)
    time.sleep(seconds)
    steps = [event for _, event in store.events(run, since) if isinstance(event, StepDone)]
    if len(steps) < 10 or store.run(run).state != "running":
        raise SystemExit(f"the run did not train all the time: {store.run(run).state}, {len(steps)} steps")
    return (len(steps) - 1) / (steps[-1].clock - steps[0].clock)


def watched(store: RunStore, run: str, people: int, rounds: int, come: Callable[[], None], go: Callable[[], None]) -> Row:
    """What training keeps of its pace between `come` and `go`: quartiles of the shares of all rounds."""
    shares = []
    for _ in range(rounds):
        alone = pace(store, run, ROUND_SECONDS)
        come()
        shares.append(pace(store, run, ROUND_SECONDS) / alone)
        go()
    low, middle, high = statistics.quantiles(shares, n=4, method="inclusive")
    return {"when": "watched", "kind": f"{people} people", "share": middle, "low": low, "high": high, "n": rounds}


class Elsewhere:
    """So many people who watch a run from other machines."""

    def __init__(self, run: str, people: int, seconds: float) -> None:
        self.command = [sys.executable, "-m", "benchmarks.viewers", URL, run, "--people", str(people)]
        self.command += ["--seconds", str(seconds + 2 * SETTLE_SECONDS)]

    def come(self) -> None:
        """They are there when it ends."""
        self.process = subprocess.Popen(self.command, cwd=ROOT, stdout=subprocess.PIPE)
        time.sleep(SETTLE_SECONDS)

    def go(self) -> None:
        """Raises SystemExit if they were not answered."""
        said, _ = self.process.communicate(timeout=60)
        if self.process.returncode:
            raise SystemExit(f"nobody was answered: {said.decode()}")


def away(tabs: list[Page]) -> None:
    for tab in tabs:
        tab.goto("about:blank")


def show_all(tabs: list[Page], run: str) -> None:
    for tab in tabs:
        show(tab, run)


def show(tab: Page, run: str) -> None:
    tab.goto(f"{URL}/train?run={run}&lang=en")
    tab.locator(".thaw-chart-plot .plotly").first.wait_for(timeout=120_000)


def measure(title: str, seconds: float, kinds: dict[str, Callable[[int], float]], file: Path | None) -> None:
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    end, turn = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for kind, once in kinds.items():
            times[kind].append(once(turn))
            time.sleep(0.15)
        turn += 1
    for kind, taken in times.items():
        tell(figures(title, kind, taken), file)


def begin(page: Page) -> str:
    """A long run of Thaw Small on the leaves is at work; its id."""
    page.goto(f"{URL}/data?lang=en")
    page.get_by_role("radio", name="Leaf health").click(timeout=120_000)
    page.locator(".st-key-data-next button:enabled").click(timeout=120_000)
    page.get_by_role("link", name="Train", exact=True).click()
    box = page.locator(".st-key-recipe-epochs input")
    box.fill("2000")
    box.press("Enter")
    page.locator(".st-key-train-start button:enabled").click(timeout=60_000)
    page.wait_for_url("**run=*", timeout=60_000)
    run = page.url.split("run=")[1].split("&")[0]
    page.locator(".thaw-chart-plot .plotly").first.wait_for(timeout=120_000)
    return run


def here(chromium: Browser, store: RunStore, options: argparse.Namespace) -> None:
    """Answers in a browser on these cores, idle and beside a run; then what training keeps while tabs watch."""
    tree, road = chromium.new_page(), chromium.new_page()
    tree.goto(f"{URL}/model?lang=en")
    tree.locator('[role=treeitem][data-path="layer1"]').wait_for(timeout=120_000)
    wire = Wire(road)
    road.goto(f"{URL}/runs?lang=en")
    road.get_by_role("heading").first.wait_for()
    kinds: dict[str, Callable[[int], float]] = {
        "health": lambda turn: get("/healthz"),
        "click": lambda turn: float(tree.evaluate(CLICK)),
        "page": lambda turn: visit(road, "Runs" if turn % 4 in (0, 3) else "Data"),
        "answer": lambda turn: answer(road, wire, "Data" if turn % 4 in (0, 3) else "Runs"),
    }
    if options.seconds:
        measure("idle", options.seconds / 3, kinds, options.json)
    start = chromium.new_page()
    run = begin(start)
    start.close()
    tabs = [chromium.new_page() for _ in range(options.viewers)]
    show_all(tabs, run)
    kinds["curve"] = lambda turn: get(f"/api/runs/{run}/curve?since=-1&epoch=")
    if options.seconds:
        measure("training", options.seconds, kinds, options.json)
    tree.close()
    road.close()
    away(tabs)
    if tabs and options.rounds > 1:
        come, go = partial(show_all, tabs, run), partial(away, tabs)
        tell(watched(store, run, len(tabs), options.rounds, come, go), options.json)


def elsewhere(store: RunStore, run: str, ended: str, options: argparse.Namespace) -> None:
    """The same for people on other machines. `run`: is at work; `ended`: has results to look at."""
    if options.seconds:
        at_work = dict.fromkeys(("data", "model", "train", "runs"), f"lang=en&run={run}")
        over = dict.fromkeys(("results", "try-it"), f"lang=en&run={ended}")
        people = Elsewhere(run, options.viewers, options.seconds)
        people.come()
        times = asyncio.run(viewers.walk(URL, list((at_work | over).items()), options.seconds))
        people.go()
        times["all"] = [one for some in times.values() for one in some]
        for name, taken in times.items():
            tell(figures("training, elsewhere", name, taken), options.json)
    if options.rounds > 1:
        people = Elsewhere(run, options.viewers, ROUND_SECONDS)
        tell(watched(store, run, options.viewers, options.rounds, people.come, people.go), options.json)


def trained(workspace: str) -> str:
    """The id of a short run on the leaves that has ended."""
    store = RunStore(open_workspace(workspace))
    recipe = Recipe(dataset="demo:leaves", backbone="thaw-small", weights="bundled", image_size=64, epochs=1, device="cpu")
    run = store.create(recipe).id
    drive(store, run)
    store.close()
    return run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--viewers", type=int, default=0, help="tabs (or people, see --elsewhere) that watch all the time")
    parser.add_argument("--rounds", type=int, default=5, help="with and without viewers, in turns")
    parser.add_argument("--elsewhere", action="store_true", help="they watch from other machines")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    workspace = tempfile.mkdtemp(prefix="thaw-bench-")
    ended = trained(workspace) if options.elsewhere else ""
    thaw = str(Path(sys.executable).with_name("thaw"))
    server = subprocess.Popen([thaw, "--port", str(PORT), "--workspace", workspace, "--no-browser"], cwd=ROOT)
    try:
        for _ in range(200):
            try:
                get("/healthz")
                break
            except OSError:
                time.sleep(0.1)
        store = RunStore(open_workspace(workspace))
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            if options.elsewhere:
                run = begin(chromium.new_page())
            else:
                here(chromium, store, options)
            chromium.close()
        if options.elsewhere:  # without a browser
            elsewhere(store, run, ended, options)
        store.close()
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(workspace, ignore_errors=True)


if __name__ == "__main__":
    main()
