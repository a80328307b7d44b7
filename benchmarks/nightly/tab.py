"""Tab: a browser looks on while a run learns, goes away for longer than Streamlit keeps its session, and comes back.

A real server and a real Chromium. The run goes on as if nobody had left, the page that comes back is that of the same run
and lives, no step is missing, and the form is as it was left.
"""

import json
import re
import shutil
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.nightly.proof import ROOT, Proof
from benchmarks.nightly.scene import small, workspace_with_pictures
from benchmarks.nightly.server import Server
from benchmarks.nightly.slow import TOLD
from core.events import Started, StepDone
from core.store import RunStore
from core.workspace import Workspace

if TYPE_CHECKING:
    from playwright.sync_api import Page

SLOW = "benchmarks.nightly.slow"
LONGER_SECONDS = 10.0
"""Than the session is kept."""
LEAST_KEPT_SECONDS = 4.0
FORM = (("epochs", "37"), ("seed", "4711"))
"""What the form is left with."""
SOON, LATE = 60_000, 240_000
"""Milliseconds."""
SLOWEST_SECONDS = 5
"""A step takes a thirtieth of a second here, and longer where others want the cores."""
MOST_BEHIND = 300
"""Steps that the curve on the page may lack: it asks once a second, and a run of a machine under load writes in groups."""
CURVE = """() => {
  const charts = [...document.querySelectorAll(".thaw-chart-plot")].flatMap(plot => plot.data ?? [])
  const traces = charts.filter(one => one.x?.length)
  return [Math.max(0, ...traces.map(one => one.x.length)), Math.max(0, ...traces.flatMap(one => one.x.slice(-1)))]
}"""
"""How many points the longest curve has, and how far to the right the last one lies, in epochs."""


def kept_seconds() -> float:
    """How long the server keeps the session of a tab that has gone."""
    said = (ROOT / "ui/.streamlit/config.toml").read_text("utf-8")
    found = re.search(r"^disconnectedSessionTTL = (\d+)$", said, re.MULTILINE)
    return float(found[1]) if found else 120.0


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """Below scale 1 the server keeps its sessions for less long, and the tab is away for less long."""
    from playwright.sync_api import sync_playwright

    proof = Proof("tab", {})
    kept = kept_seconds() if scale >= 1 else max(LEAST_KEPT_SECONDS, kept_seconds() * scale)
    workspace, dataset = workspace_with_pictures(folder / "w")
    told = folder / "told.txt"
    told.touch()
    environment = {TOLD: str(told), "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": str(round(kept))} if scale < 1 else {}
    with Server(workspace, SLOW, **{TOLD: str(told), **environment}) as server, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        browser = chromium.new_context(viewport={"width": 1440, "height": 900})
        here = f"http://127.0.0.1:{server.port}"
        page = browser.new_page()
        draft = _fill(page, here, workspace)
        run_id = _submit(workspace, dataset, seed)
        page.goto(f"{here}/train?lang=en&run={run_id}")
        _lives(page, "before it was closed", proof)
        address, before = page.url, _steps(workspace, run_id)
        page.close()
        closed = time.monotonic()
        time.sleep(kept + LONGER_SECONDS)
        away = time.monotonic() - closed
        after = _steps(workspace, run_id)
        page = browser.new_page()
        page.goto(address)
        if run_id not in page.url or _state(workspace, run_id) != "running":
            proof.faults.append(f"{page.url} is open, the run is {_state(workspace, run_id)}")
        shown = _lives(page, "when it came back", proof)
        _shows_all(shown, workspace, run_id, proof)
        _left_as_it_was(page, here, draft, workspace, proof)
        chromium.close()
        proof.faults += server.unhandled()
    proof.figures |= {
        "session_kept_seconds": round(kept), "away_seconds": round(away), "steps_before": before[-1][0],
        "steps_meanwhile": after[-1][0] - before[-1][0], "points_shown": shown[0],
    }  # fmt: skip
    _no_gap(workspace, run_id, before[-1][0], proof)
    return proof


def _submit(workspace: Workspace, dataset: str, seed: int) -> str:
    store = RunStore(workspace)
    try:
        return str(store.create(small(dataset, seed=seed % 1000, epochs=10_000)).id)
    finally:
        store.close()


def _state(workspace: Workspace, run_id: str) -> str:
    store = RunStore(workspace)
    try:
        return str(store.run(run_id).state)
    finally:
        store.close()


def _steps(workspace: Workspace, run_id: str) -> list[tuple[int, float]]:
    """Number and clock of every step in the store, in the order in which they were written; a first one that is none."""
    store = RunStore(workspace)
    try:
        return [(0, 0.0), *((e.step, e.clock) for _, e in store.events(run_id) if isinstance(e, StepDone))]
    finally:
        store.close()


def _fill(page: "Page", here: str, workspace: Workspace) -> dict[str, object]:
    """Write into the form and leave it; what the draft is then."""
    page.goto(f"{here}/train?lang=en", timeout=LATE)
    for field, value in FORM:
        box = page.locator(f".st-key-recipe-{field} input").first
        box.wait_for(timeout=LATE)
        box.fill(value)
        box.press("Enter")
        page.wait_for_timeout(1500)
    return _draft(workspace)


def _draft(workspace: Workspace) -> dict[str, object]:
    found: dict[str, object] = json.loads((workspace.root / "draft.json").read_text("utf-8"))
    return found


def _lives(page: "Page", when: str, proof: Proof) -> tuple[int, float]:
    """Figures and curves on the screen go on by themselves; how many points there are at last, and how far they come."""
    from playwright.sync_api import Error

    try:
        page.locator(".st-key-train-stop button").first.wait_for(timeout=LATE)
        page.wait_for_function(f"() => ({CURVE})()[0] > 1", timeout=LATE)
        far, figures = page.evaluate(CURVE)[1], page.locator(".st-key-train-figures").inner_text()
        page.wait_for_function(f"least => ({CURVE})()[1] > least", arg=far, timeout=SOON)
        page.wait_for_function(
            "before => document.querySelector('.st-key-train-figures').innerText !== before", arg=figures, timeout=SOON
        )
    except Error as error:
        proof.faults.append(f"{when} the page does not live: {error}")
    points, far = page.evaluate(CURVE)
    return int(points), float(far)


def _shows_all(shown: tuple[int, float], workspace: Workspace, run_id: str, proof: Proof) -> None:
    """The curve comes as far as the run has."""
    store = RunStore(workspace)
    try:
        [started] = [event for _, event in store.events(run_id) if isinstance(event, Started)]
    finally:
        store.close()
    made = _steps(workspace, run_id)[-1][0]
    behind = made - round(shown[1] * started.steps_per_epoch)
    proof.figures["steps_behind"] = max(behind, 0)
    if behind > MOST_BEHIND:
        proof.faults.append(f"{made} steps were made, the page is {behind} behind")


def _left_as_it_was(page: "Page", here: str, draft: dict[str, object], workspace: Workspace, proof: Proof) -> None:
    page.goto(f"{here}/train?lang=en", timeout=LATE)
    for field, value in FORM:
        box = page.locator(f".st-key-recipe-{field} input").first
        box.wait_for(timeout=LATE)
        found = box.input_value()
        if float(found) != float(value):
            proof.faults.append(f"the form was left with {field} {value} and has {found}")
    if _draft(workspace) != draft:
        proof.faults.append(f"the draft was {draft} and is {_draft(workspace)}")


def _no_gap(workspace: Workspace, run_id: str, left_at: int, proof: Proof) -> None:
    """Every step once, in order; and none waited for a tab."""
    made = _steps(workspace, run_id)[1:]
    numbers = [number for number, _ in made]
    proof.figures["steps"] = len(numbers)
    if numbers != list(range(1, len(numbers) + 1)):
        odd = next(at for at, number in enumerate(numbers, 1) if number != at)
        proof.faults.append(f"step {odd} is missing or stands twice: … {numbers[max(0, odd - 3) : odd + 3]} …")
    if proof.figures["steps_meanwhile"] < proof.figures["away_seconds"] / SLOWEST_SECONDS:
        proof.faults.append(f"only {proof.figures['steps_meanwhile']} steps were made meanwhile")
    pauses = [later - clock for (_, clock), (number, later) in pairwise(made) if number > left_at]
    proof.figures["longest_pause_ms"] = round(1000 * max(pauses, default=0.0))
