"""One contender in a process of its own: imports it, does the tasks of a job, writes one row of JSON for each.

    PYTHON child JOB.json

A task that fails is a row with the error, and the next one begins.
"""

import time

STARTED = time.monotonic()

import importlib  # noqa: E402
import json  # noqa: E402
import shutil  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from common import Marks, forget_peak, peak_mib, unzipped  # noqa: E402

Row = dict[str, Any]


class Work:
    """A contender and the job it has."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.scratch = Path(job["scratch"])
        module = importlib.import_module(f"with_{job['contender']}")
        self.contender = module.Contender(job["policy"], self.scratch)
        self.imported = time.monotonic()
        self.places = 0

    def start(self, task: dict[str, Any]) -> Iterator[Row]:
        """From the birth of the process to the first loss of a small training."""
        marks = Marks()
        session = self.contender.open(task["spec"], self.place())
        session.fit(task["fits"][0], marks)
        assert marks.first_loss is not None
        loss = time.monotonic() - (time.perf_counter() - marks.first_loss)
        born = self.job["born"]
        yield {"task": "import", "seconds": self.imported - born}
        yield {"task": "start", "seconds": loss - born, "detail": {"interpreter": STARTED - born}}

    def fit(self, task: dict[str, Any]) -> Iterator[Row]:
        """Data and network opened, trained; then trained again as further fits say. The first clock runs from the files."""
        marks = Marks()
        session = self.contender.open(task["spec"], self.place())
        opened = time.perf_counter() - marks.begin
        each = None
        for what in task["fits"]:
            session.fit(what, marks)
            row = _fitted(what, marks, time.perf_counter(), {"opening": opened}, each)
            each = row["detail"]["epoch_seconds"]
            yield row
            marks, opened = Marks(), 0.0
        if sweep := task.get("rates"):
            yield from self._rates(session, sweep)

    def _rates(self, session: Any, sweep: dict[str, Any]) -> Iterator[Row]:
        """Many rates for one head. Whoever is stopped by the budget is extrapolated from what was done."""
        begin, done = time.perf_counter(), 0
        whole = getattr(session, "sweep", None)
        if whole is not None:
            done = whole(sweep)
        while not done or (done < sweep["count"] and time.perf_counter() - begin < sweep["budget"]):
            session.fit({**sweep["fit"], "factor": 0.05 * 1.05**done}, Marks())
            done += 1
        took = time.perf_counter() - begin
        yield {
            "task": "sweep100",
            "seconds": took * sweep["count"] / done,
            "extrapolated": done < sweep["count"],
            "detail": {"measured_fits": done, "measured_seconds": took},
        }

    def patterns(self, task: dict[str, Any]) -> Iterator[Row]:
        """Several ways of freezing, one after the other; each counts as often as its weight says."""
        marks = Marks()
        session = self.contender.open(task["spec"], self.place())
        opened = time.perf_counter() - marks.begin
        total, each = opened, []
        for what in task["fits"]:
            row = _fitted(what, one := Marks(), (session.fit(what, one), time.perf_counter())[1], {})
            each.append(round(row["seconds"], 3))
            total += row["seconds"] * what["weight"]
        partly = any(what["weight"] > 1 or what["epochs"] < what["planned"] for what in task["fits"])
        yield {"task": task["task"], "seconds": total, "extrapolated": partly, "detail": {"each": each, "opening": opened}}

    def zip(self, task: dict[str, Any]) -> Iterator[Row]:
        """From an archive to the first head that has been validated, and again with another rate."""
        marks, place = Marks(), self.place()
        if hasattr(self.contender, "open_zip"):
            session = self.contender.open_zip(task["spec"], task["archive"], place)
        else:
            root = unzipped(task["archive"], task["split"], place / "files")
            session = self.contender.open({**task["spec"], "root": str(root)}, place)
        opened = time.perf_counter()
        for what in task["fits"]:
            session.fit({**what, "first": True}, marks)
            detail = {"accuracy": marks.accuracies[0], "phases": marks.phases}
            yield {"task": what["name"], "seconds": marks.epochs[0] - marks.begin, "detail": detail}
            if len(task["fits"]) == 1:  # a second one would be the first again, without the archive
                yield {"task": "zip-again", "seconds": marks.epochs[0] - opened, "extrapolated": True}
            marks = Marks()

    def decode(self, task: dict[str, Any]) -> Iterator[Row]:
        """Files of one size to tensors of 224 pixels, in the contender's own way."""
        for name, root in task["folders"].items():
            images, seconds, detail = self.contender.decode({**task["spec"], "root": root}, self.place())
            yield {
                "task": f"decode-{name}",
                "seconds": seconds * 1000 / images,
                "unit": "ms/image",
                "detail": {"images": images, **detail},
            }

    def accuracy(self, task: dict[str, Any]) -> Iterator[Row]:
        """Test accuracy after a whole training."""
        for what in task["fits"]:
            marks = Marks()
            session = self.contender.open(task["spec"], self.place())
            session.fit(what, marks)
            detail = {"seed": task["spec"]["seed"], "seconds": time.perf_counter() - marks.begin}
            yield {"task": what["name"], "seconds": session.score(), "unit": "accuracy", "detail": detail}

    def place(self) -> Path:
        """A new folder."""
        self.places += 1
        place = self.scratch / str(self.places)
        place.mkdir(parents=True)
        return place


def _fitted(what: dict[str, Any], marks: Marks, end: float, detail: dict[str, Any], each: float | None = None) -> Row:
    """Seconds of the planned epochs. Those that were not done are taken to last as long as the median of the later ones.

    `each` is that of an earlier fit, for one that has a first epoch only.
    """
    took, missing = end - marks.begin, what["planned"] - what["epochs"]
    steady = [later - earlier for earlier, later in zip(marks.epochs, marks.epochs[1:], strict=False)]
    if missing and not steady:  # else its first epoch, which began a step before the first loss
        steady = [each or marks.epochs[0] - (marks.first_loss or marks.begin)]
    each = statistics.median(steady) if steady else None
    known = {"measured_seconds": took, "measured_epochs": what["epochs"], "epoch_seconds": each}
    if marks.phases:
        known["phases"] = {kind: round(seconds, 3) for kind, seconds in marks.phases.items()}
    return {
        "task": what["name"],
        "seconds": took + (missing * each if missing and each else 0.0),
        "extrapolated": missing > 0,
        "detail": {**detail, **known, "accuracy": marks.accuracies[-1] if marks.accuracies else None},
    }


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    with Path(job["out"]).open("a", encoding="utf-8") as out:

        def tell(row: Row) -> None:
            out.write(json.dumps(row) + "\n")
            out.flush()

        work = Work(job)
        tell({"versions": work.contender.versions()})
        for task in job["tasks"]:
            forget_peak()
            begin = time.perf_counter()
            try:
                for row in getattr(work, task["how"])(task):
                    tell({**row, "peak_mib": round(peak_mib(), 1), "wall": round(time.perf_counter() - begin, 3)})
                    begin = time.perf_counter()
            except Exception as error:
                traceback.print_exc()
                tell({"task": task["task"], "error": f"{type(error).__name__}: {error}"[:300]})
            for folder in work.scratch.iterdir():
                shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
