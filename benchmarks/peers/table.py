"""Rows to tables: medians, ratios to the best peer, targets. Pure; the same rows give the same tables at any time."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.contenders import OURS, PEERS, Entry
from benchmarks.peers.tasks import ACCURACIES, ROWS, SWEEP

Row = dict[str, Any]
MARGIN = 0.005
"""Share of right answers by which a fast way may be worse and still count as no worse."""
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % quantiles of Student's t for 1 to 9 degrees of freedom."""
TIE = 1.25
"""A ratio between 1 / TIE and TIE is no victory."""
TRAINED = ("head", "last-stage", "full")


@dataclass(frozen=True)
class Figure:
    """What repeats of one task gave; `estimated`: some of it was extrapolated."""

    median: float
    low: float
    high: float
    repeats: int
    estimated: bool

    def __str__(self) -> str:
        spread = f" ({plain(self.low)}–{plain(self.high)})" if self.repeats > 1 else ""
        return f"{'≈' if self.estimated else ''}{plain(self.median)}{spread}"


Figures = dict[str, dict[Entry, Figure]]


def plain(value: float) -> str:
    """Three digits that count."""
    return (
        f"{value:.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
        if value >= 1
        else f"{value:.3f}"
    )


def figures(rows: Iterable[Row]) -> Figures:
    """By task and entry. The sweep over rates is the first head and then so many others, for peers like the second."""
    values: dict[str, dict[Entry, list[tuple[float, bool]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.get("task") in ROWS and "seconds" in row:
            entry = Entry(row["contender"], row["policy"])
            values[row["task"]][entry].append((row["seconds"], row.get("extrapolated", False)))
            if row["task"] in TRAINED and row.get("peak_mib"):
                values[f"memory-{row['task']}"][entry].append((row["peak_mib"], False))
    found = {task: {entry: _figure(some) for entry, some in by.items()} for task, by in values.items()}
    sweeps: dict[Entry, Figure] = {}
    ours_measured = found.get("sweep100", {})
    for entry, head in found.get("head", {}).items():
        if entry.contender == OURS and entry in ours_measured:
            rest, guessed = ours_measured[entry].median, ours_measured[entry].estimated
        elif entry.contender != OURS and entry in found.get("head-again", {}):
            rest, guessed = (SWEEP - 1) * found["head-again"][entry].median, True
        else:
            continue
        whole = head.median + rest
        sweeps[entry] = Figure(whole, whole, whole, 1, guessed or head.estimated)
    if ours_measured:
        found["sweep100"] = sweeps
    return found


def _figure(some: list[tuple[float, bool]]) -> Figure:
    seconds = [value for value, _ in some]
    return Figure(
        statistics.median(seconds), min(seconds), max(seconds), len(seconds), any(estimated for _, estimated in some)
    )


def best(by: dict[Entry, Figure], policy: str) -> tuple[Entry, Figure] | None:
    """The fastest peer under a policy."""
    some = [(entry, figure) for entry, figure in by.items() if entry.contender in PEERS and entry.policy == policy]
    return min(some, key=lambda one: one[1].median, default=None)


@dataclass(frozen=True)
class Line:
    """One line of the table: ours, the best peer under each policy, and how many times faster we are than it."""

    task: str
    ours: Figure | None
    peers: tuple[tuple[Entry, Figure] | None, tuple[Entry, Figure] | None]

    @property
    def ratios(self) -> tuple[float | None, float | None]:
        first, second = (
            peer[1].median / self.ours.median if peer and self.ours and self.ours.median > 0 else None for peer in self.peers
        )
        return first, second

    @property
    def target(self) -> str:
        task = ROWS.get(self.task)
        if task and task.ratios:
            return " / ".join(f"{ratio:g}×" for ratio in task.ratios)
        return f"≤ {task.seconds:g} s" if task and task.seconds else ""

    @property
    def met(self) -> str:
        """'yes', or by how much it is missed; '' without a target or a measurement."""
        task = ROWS.get(self.task)
        if task is None or self.ours is None:
            return ""
        if task.seconds:
            over = self.ours.median / task.seconds
            return "yes" if over <= 1 else f"no, {over:.1f} times as long"
        known = [(have, want) for have, want in zip(self.ratios, task.ratios or (), strict=False) if have is not None]
        if not known:
            return ""
        missed = max(want / have for have, want in known)
        return "yes" if missed <= 1 else f"no, short by a factor of {plain(missed)}"


def lines(found: Figures) -> list[Line]:
    """Every task that was measured, in the order of the tasks, memory last."""
    names = [*ROWS, *(f"memory-{task}" for task in TRAINED)]
    made = []
    for name in names:
        by = found.get(name, {})
        if by:
            made.append(Line(name, by.get(Entry(OURS, "ours")), (best(by, "defaults"), best(by, "tuned"))))
    return made


def title(task: str, conditions: Row) -> str:
    """The words for a line, with its sizes."""
    if task.startswith("memory-"):
        return f"peak memory, {ROWS[task.removeprefix('memory-')].title}, MiB"
    told = conditions.get("sizes", {}).get(task)
    return f"{ROWS[task].title}{f' ({told})' if told else ''}"


def main_table(found: Figures, conditions: Row) -> str:
    """The table in Markdown."""
    head = ["task", "Thaw", "best peer, defaults", "ratio", "best peer, tuned", "ratio", "target", "met"]
    body = []
    for line in lines(found):
        peers = [f"{entry.contender} {figure}" if (both := peer) and (entry := both[0]) and (figure := both[1]) else "–"
                 for peer in line.peers]  # fmt: skip
        ratios = [f"**{plain(ratio)}×**" if ratio is not None else "–" for ratio in line.ratios]
        ours = str(line.ours) if line.ours else "–"
        body.append([title(line.task, conditions), ours, peers[0], ratios[0], peers[1], ratios[1], line.target, line.met])
    return _markdown(head, body)


def all_table(found: Figures, conditions: Row) -> str:
    """Every contender's medians in Markdown."""
    entries = list(dict.fromkeys(entry for by in found.values() for entry in by))
    entries.sort(key=lambda entry: (entry.contender != OURS, entry.policy, entry.contender))
    names = [line.task for line in lines(found)]
    body = [
        [title(name, conditions), *(str(found[name][entry]) if entry in found[name] else "–" for entry in entries)]
        for name in names
    ]
    return _markdown(["task", *(entry.title for entry in entries)], body)


@dataclass(frozen=True)
class Comparison:
    """Accuracy of ours and of the best peer with the same seeds; `difference` is ours less theirs, with its interval."""

    task: str
    peer: Entry
    ours: float
    theirs: float
    difference: float
    half: float
    seeds: int

    @property
    def verdict(self) -> str:
        if self.difference - self.half > -MARGIN:
            return "not worse"
        if self.difference + self.half < -MARGIN:
            return "worse"
        return "not worse on average, not proven" if self.difference >= -MARGIN else "worse on average, not proven"


def comparisons(rows: Iterable[Row]) -> list[Comparison]:
    """For each task the peer with the most seeds, of these the best on average, against ours, seed by seed."""
    by: dict[str, dict[Entry, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row.get("task") in ACCURACIES and "seconds" in row:
            entry = Entry(row["contender"], row["policy"])
            by[row["task"]][entry][row["detail"]["seed"]] = row["seconds"]
    found = []
    for task, answers in by.items():
        ours = answers.get(Entry(OURS, "ours"), {})
        peers = [entry for entry in answers if entry.contender in PEERS and answers[entry].keys() & ours.keys()]
        if not peers:
            continue
        peer = max(peers, key=lambda one: (len(answers[one]), statistics.mean(answers[one].values())))
        seeds = sorted(answers[peer].keys() & ours.keys())
        differences = [ours[seed] - answers[peer][seed] for seed in seeds]
        half = float("inf")
        if 1 < len(seeds) <= len(T95) + 1:
            half = T95[len(seeds) - 2] * statistics.stdev(differences) / len(seeds) ** 0.5
        means = [statistics.mean(some[seed] for seed in seeds) for some in (ours, answers[peer])]
        found.append(Comparison(task, peer, means[0], means[1], statistics.mean(differences), half, len(seeds)))
    return found


def accuracy_table(rows: Iterable[Row]) -> str:
    """In Markdown; points are hundredths."""
    body = [
        [
            one.task.removeprefix("accuracy-"),
            f"{100 * one.ours:.1f} %",
            f"{one.peer.title} {100 * one.theirs:.1f} %",
            f"{100 * one.difference:+.2f} ± {100 * one.half:.2f}",
            str(one.seeds),
            one.verdict,
        ]
        for one in comparisons(rows)
    ]
    return (
        _markdown(["what learns", "Thaw", "best peer", "difference, points (95 %)", "seeds", "margin 0.5"], body)
        if body
        else ""
    )


def ties(found: Figures) -> str:
    """A sentence on where we are no faster."""
    if not any(ratio is not None for line in lines(found) for ratio in line.ratios):
        return ""
    even: list[str] = []
    behind: list[str] = []
    for line in lines(found):
        for ratio, policy in zip(line.ratios, ("defaults", "tuned"), strict=True):
            if ratio is not None and ratio < TIE and not line.task.startswith("memory-"):
                (behind if ratio < 1 / TIE else even).append(f"{ROWS[line.task].title} ({policy}, {plain(ratio)}×)")
    told = [
        f"We only tie in: {', '.join(even)}." if even else "",
        f"We are slower in: {', '.join(behind)}." if behind else "",
    ]
    return " ".join(one for one in told if one) or "Nowhere do we only tie."


def _markdown(head: list[str], body: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *body])
