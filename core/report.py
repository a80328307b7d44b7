"""Report: what a run did and reached, as one plain dict for a JSON file. Knows stored rows and the data set's list of files.

Figures are given as they were measured: accuracies and shares in [0, 1], losses in nats, times in seconds.
"""

import math
from typing import Any

from core.errors import ThawError
from core.events import EpochDone, Scores, Tested
from core.history import History
from core.store import RunStore
from core.words import say
from core.workspace import Workspace

WHOLE = 100
"""Up to so many classes the confusion matrix is given with its zeros, too."""


def report(
    store: RunStore, run_id: str, *, opening_seconds: float = 0.0, startup_seconds: float | None = None
) -> dict[str, Any]:
    """Everything about one run. Raises StoreError (`run.unknown`).

    `opening_seconds` is what opening the data took before the run began; it counts as preparation. `startup_seconds`, the
    time before that, is told apart and counts nowhere.
    """
    run = store.run(run_id)
    history = History()
    for _, entry in store.history(run_id):
        history.feed(entry)
    now = history.state(run.state)
    started = now.started
    return {
        "run": run.id,
        "name": run.name,
        "state": run.state,
        "error": _error(run.error),
        "recipe": run.recipe.model_dump(mode="json"),
        "dataset": run.recipe.dataset,
        "fingerprint": started.fingerprint if started else None,
        "classes": list(started.classes) if started else [],
        "splits": started.splits if started else {},
        "parameters": ({"total": started.parameters_total, "trainable": started.parameters_trainable} if started else None),
        "device": started.device if started else None,
        "precision": started.precision if started else None,
        "threads": started.threads if started else None,
        "versions": started.versions if started else {},
        "seconds": _seconds(history, now.tested, now.epochs, opening_seconds),
        "startup_seconds": startup_seconds,
        "edits": [
            {"step": edit.step, "epoch": edit.epoch, "lr": edit.lr, "rules": [rule.model_dump() for rule in edit.rules]}
            for edit in store.edits(run_id)
        ],
        "epochs": [epoch.model_dump(exclude={"kind"}) for epoch in now.epochs],
        "validation": _validation(now.best),
        "test": _test(now.tested),
        "ended": now.ended.reason or now.ended.outcome if now.ended else None,
        "notices": [{"code": notice.code, "values": notice.values} for notice in now.notices],
        "skipped_files": skipped_files(store.workspace, run.recipe.dataset),
    }


def skipped_files(workspace: Workspace, dataset_id: str) -> list[dict[str, str]] | None:
    """Files of the data set that could not be used, each with the reason in words; None if the set is not there any more."""
    from core.dataset import open_dataset

    try:
        dataset = open_dataset(workspace, dataset_id)
    except ThawError:
        return None
    return [
        {"name": file.name, "code": file.code, "reason": say(f"error.{file.code}.cause", "en", **file.values)}
        for file in dataset.skipped
    ]


def _error(error: tuple[str, dict[str, Any]] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    code, values = error
    texts = {part: say(f"error.{code}.{part}", "en", **values) for part in ("cause", "remedy")}
    return {"code": code, "values": values, **texts}


def _seconds(history: History, tested: Tested | None, epochs: tuple[EpochDone, ...], opening: float) -> dict[str, float]:
    """`total`: from opening the data to the end of the test; `prepare`: to the first step; `train`: with validation."""
    attempts = history.attempts
    prepare, later = 0.0, math.inf  # what an attempt did after the checkpoint of a later one is not part of the run
    for begin, start, now in reversed(attempts):
        prepare += max(min(now if start is None else start, later) - begin, 0.0)
        later = min(later, begin)
    work = attempts[-1][2] if attempts else 0.0
    end = tested.clock if tested else work
    test = max(tested.clock - epochs[-1].clock, 0.0) if tested and epochs else 0.0
    return {
        "total": opening + end,
        "prepare": opening + prepare,
        "train": max(end - prepare - test, 0.0),
        "test": test,
    }


def _validation(best: EpochDone | None) -> dict[str, Any] | None:
    """Figures of the best epoch, whose weights the model has."""
    if best is None or best.val_loss is None:
        return None
    return {"epoch": best.epoch, "loss": best.val_loss, "accuracy": best.val_accuracy, "macro_f1": best.val_macro_f1}


def _test(tested: Tested | None) -> dict[str, Any] | None:
    """The scores of the restored best model; `split` says on what, for a set without test images is measured on `val`."""
    if tested is None:
        return None
    scores = tested.scores
    return {
        "split": tested.split,
        "epoch": tested.epoch,
        **scores.model_dump(mode="json"),
        "confusion": _matrix(scores) if len(scores.per_class) <= WHOLE else None,
    }


def _matrix(scores: Scores) -> list[list[int]]:
    """Row i, column j: images of class i called class j."""
    table = [[0] * len(scores.per_class) for _ in scores.per_class]
    for i, j, n in scores.confused:
        table[i][j] = n
    return table
