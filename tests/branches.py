"""Branches: in a run of the whole suite, the tests of what must not lose anything or let anybody in are watched by coverage.

The run fails if they leave more than a tenth of the branches of any part untaken. Children that are locked up are not looked
into: what they do is tested in this process, too.
"""

import json
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage

ROOT = Path(__file__).parent.parent
LEAST = 90.0
"""Per cent of the branches of a part."""
PARTS = {
    "store": ("core/store/*.py", "core/table.py", "core/turns.py"),
    "checkpoint": ("core/checkpoint.py",),
    "recovery": ("core/recovery.py",),
    "database": ("core/database.py",),
    "dataset": ("core/dataset/*.py",),
    "gate": ("core/gate/*.py",),
    "door": ("ui/gate.py", "ui/middleware.py", "ui/access.py", "ui/sign_in.py", "ui/hosts.py"),
}
TESTS = (
    *(f"core/test_{name}.py" for name in ("table", "turns", "checkpoint", "recovery", "database", "disk_faults")),
    *(f"core/test_{name}.py" for name in ("backup", "engine", "drive", "fair")),
    *(f"ui/test_{name}.py" for name in ("gate", "middleware", "sign_in", "hosts", "access", "routes")),
    "core/store",
    "core/gate",
    "core/dataset",
)
FOLDER = "branches"
"""Under this name a worker is told where to leave what it saw."""


class Branches:
    """A plugin for the process that collects (the controller) and those that test (its workers, or itself)."""

    def __init__(self, folder: Path, worker: str | None) -> None:
        self._folder, self._worker = folder, worker
        self._coverage = _coverage(folder / f"seen.{worker or 'alone'}")
        self._shares: dict[str, float] = {}
        self._watched = tuple(ROOT / "tests" / name for name in TESTS)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker that is about to start."""
        node.workerinput[FOLDER] = str(self._folder)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch a test, if it is one of those."""
        watched = any(item.path.is_relative_to(place) for place in self._watched)
        if watched:
            self._coverage.start()
        try:
            return (yield)
        finally:
            if watched:
                self._coverage.stop()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker leaves what it saw; the controller, whose workers have ended, puts it together."""
        self._coverage.save()
        if self._worker is None:
            self._shares = _shares(self._folder)
            if session.exitstatus == 0 and min(self._shares.values(), default=LEAST) < LEAST:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """A line with the share of each part."""
        if self._shares:
            said = ", ".join(f"{part} {share:.1f} %" for part, share in self._shares.items())
            fine = min(self._shares.values()) >= LEAST
            terminalreporter.write_line(f"branches taken, {LEAST:g} % asked: {said}", green=fine, red=not fine)


def configure(config: pytest.Config) -> None:
    """Register the plugin if the whole suite runs; in a worker, if the controller says so."""
    told: Mapping[str, Any] | None = getattr(config, "workerinput", None)
    if told is not None:
        if FOLDER in told:
            config.pluginmanager.register(Branches(Path(told[FOLDER]), told["workerid"]))
        return
    option = config.option
    chosen = option.keyword or option.markexpr or option.deselect or option.collectonly or getattr(option, "lf", False)
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen:
        folder = tempfile.TemporaryDirectory(prefix="thaw-branches-")
        config.add_cleanup(folder.cleanup)
        config.pluginmanager.register(Branches(Path(folder.name), None))


def _coverage(file: Path) -> Coverage:
    files = [str(found) for globs in PARTS.values() for one in globs for found in sorted(ROOT.glob(one))]
    made = Coverage(str(file), branch=True, include=files, config_file=False)
    made.set_option("run:disable_warnings", ["no-data-collected"])
    return made


def _shares(folder: Path) -> dict[str, float]:
    """Of each part the per cent of its branches that were taken in any process; nothing if no test was watched."""
    seen = [str(file) for file in folder.glob("seen.*")]
    if not seen:  # broken off before the first of those tests
        return {}
    whole = _coverage(folder / "whole")
    whole.combine(seen)
    report = folder / "report.json"
    whole.json_report(outfile=str(report))
    files = {
        Path(name).resolve(): found["summary"] for name, found in json.loads(report.read_text("utf-8"))["files"].items()
    }
    shares = {}
    for part, globs in PARTS.items():
        told = [files[file] for one in globs for file in sorted(ROOT.glob(one)) if file in files]
        taken, there = (sum(one[key] for one in told) for key in ("covered_branches", "num_branches"))
        shares[part] = 100.0 * taken / max(1, there)
    return shares
