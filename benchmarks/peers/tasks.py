"""The tasks: what is done, how large it is, and which ratio is aimed at. Pure: the jobs are plain documents."""

import argparse
from dataclasses import dataclass
from itertools import combinations
from typing import Any

HEAD, STAGE = ["fc"], ["layer4", "fc"]
LATE = ("layer3.0", "layer3.1", "layer4.0", "layer4.1")
"""The last four blocks of ResNet-18, lowest first: the sixteen strategies are the ways to freeze them."""
SWEEP = 100
SECOND = 0.5
"""Factor of the rate of a second try."""


@dataclass(frozen=True)
class Task:
    """A row of the table. Targets are ratios to the best peer at its defaults and tuned, or seconds of ours."""

    title: str
    ratios: tuple[float, float] | None = None
    seconds: float | None = None


ROWS = {
    "import": Task("import only"),
    "start": Task("process start to first loss"),
    "decode-500x375": Task("decode 500×375 to 224, ms an image"),
    "decode-1920x1080": Task("decode 1920×1080 to 224, ms an image"),
    "decode-4000x3000": Task("decode 4000×3000 to 224, ms an image"),
    "head": Task("head", ratios=(50, 20)),
    "head-again": Task("the same with another rate", ratios=(500, 500)),
    "last-stage": Task("last stage", ratios=(8, 5)),
    "full": Task("everything", ratios=(3, 1.2)),
    "sweep16": Task("16 ways of freezing"),
    "sweep100": Task("100 rates of the head", ratios=(30, 30)),
    "zip": Task("zip to first evaluated head", seconds=25),
    "zip-again": Task("the same with another rate, zip", seconds=1),
}
KINDS = ("start", "decode", "head", "last-stage", "full", "sweep16", "sweep100", "zip", "memory", "accuracy")
"""What can be asked for. 'head' brings 'head-again'; 'sweep100' needs both; 'memory' is read off whatever is trained."""
ACCURACIES: dict[str, tuple[list[str] | None, str, float]] = {
    "accuracy-head": (HEAD, "head", 1e-2),
    "accuracy-last-stage": (STAGE, "last-stage", 1e-3),
    "accuracy-full": (None, "full", 1e-3),
}
"""What may learn, the name of the strategy, and the rate of everyone who does not bring his own."""
SIZES = {"500x375": (500, 375), "1920x1080": (1920, 1080), "4000x3000": (4000, 3000)}
QUICK = {
    "head_images": 64, "epochs": 3, "last_images": 32, "last_epochs": 1, "full_images": 32, "sweep_images": 32,
    "sweep_epochs": 1, "decode_files": [24, 8, 4], "seeds": 2, "accuracy_images": 100, "accuracy_val": 50,
    "accuracy_test": 100, "accuracy_epochs": 1, "repeats": 1,
    "peer_epochs": 1, "sweep_budget": 10.0, "zip_peers": "none",
}  # fmt: skip


def patterns() -> list[list[str]]:
    """The sixteen subsets of the last four blocks that may learn, the head always among them."""
    return [[*some, *HEAD] for count in range(len(LATE) + 1) for some in combinations(LATE, count)]


def lowest_of(pattern: list[str]) -> str:
    """The lowest block that learns: it decides how far gradients go back, and hence what an epoch costs."""
    return next((block for block in LATE if block in pattern), "fc")


def condensed() -> list[tuple[list[str], int]]:
    """For peers: one pattern for each lowest block, the cheapest (that block and the head), and how many it stands for."""
    lowest = [lowest_of(pattern) for pattern in patterns()]
    return [(list(dict.fromkeys([block, "fc"])), lowest.count(block)) for block in ("fc", *reversed(LATE))]


def fit(
    name: str,
    trainable: list[str] | None,
    strategy: str,
    planned: int,
    epochs: int,
    *,
    lr: float = 1e-3,
    factor: float = 1.0,
) -> dict[str, Any]:
    """One training: `epochs` of the `planned` are done."""
    return {
        "name": name,
        "trainable": trainable,
        "strategy": strategy,
        "planned": planned,
        "epochs": min(epochs, planned) if epochs else planned,
        "lr": lr,
        "factor": factor,
    }


def training(options: argparse.Namespace, things: "dict[str, Any]", *, ours: bool) -> list[dict[str, Any]]:
    """The tasks of one process in one round. `things` are the specs of the data by name."""
    some = 0 if ours else options.peer_epochs
    wanted, jobs = set(options.tasks), []
    if "start" in wanted:
        jobs.append(_task("start", "start", things["start"], [fit("start", HEAD, "head", 1, 1)]))
    if wanted & {"head", "sweep100"}:
        fits = [fit("head", HEAD, "head", options.epochs, some)]
        fits.append(fit("head-again", HEAD, "head", options.epochs, min(some, 1), factor=SECOND))
        job = _task("head", "fit", things["head"], fits)
        if ours and "sweep100" in wanted:
            one = fit("sweep100", HEAD, "head", options.epochs, 0)
            job["rates"] = {"count": SWEEP - 1, "budget": options.sweep_budget, "fit": one}
        jobs.append(job)
    if "last-stage" in wanted:
        one = fit("last-stage", STAGE, "last-stage", options.last_epochs, some)
        jobs.append(_task("last-stage", "fit", things["last-stage"], [one]))
    if "full" in wanted:
        jobs.append(_task("full", "fit", things["full"], [fit("full", None, "full", 1, 1)]))
    if "sweep16" in wanted:
        each = [(pattern, 1) for pattern in patterns()] if ours else condensed()
        epochs = options.sweep_epochs
        fits = [{**fit("sweep16", way, "custom", epochs, min(some, 1)), "weight": weight} for way, weight in each]
        jobs.append(_task("sweep16", "patterns", things["sweep16"], fits))
    if "decode" in wanted:
        jobs.append({**_task("decode", "decode", things["start"], []), "folders": things["decode"]})
    return jobs


def from_zip(spec: dict[str, Any], archive: str, split: str, epochs: int, *, ours: bool) -> list[dict[str, Any]]:
    """The task from an archive. A peer's first evaluated head is that of its first epoch; ours comes when it comes."""
    planned = epochs if ours else 1
    fits = [fit("zip", HEAD, "head", planned, 0)]
    if ours:
        fits.append(fit("zip-again", HEAD, "head", planned, 0, factor=SECOND))
    return [{**_task("zip", "zip", spec, fits), "archive": archive, "split": split}]


def accuracy(spec: dict[str, Any], names: list[str], epochs: int) -> list[dict[str, Any]]:
    """Whole trainings that are tested at the end."""
    fits = []
    for name in names:
        trainable, strategy, lr = ACCURACIES[name]
        fits.append(fit(name, trainable, strategy, epochs, 0, lr=lr))
    return [_task("accuracy", "accuracy", spec, fits)]


def _task(name: str, how: str, spec: dict[str, Any], fits: list[dict[str, Any]]) -> dict[str, Any]:
    return {"task": name, "how": how, "spec": spec, "fits": fits}
