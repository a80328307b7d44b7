"""Console: what a run and its results look like in a terminal. Knows words, widths and bars; nothing of stores or networks.

Progress goes to standard error, results to standard output. Names of classes and files are data: what cannot be printed is
shown as a replacement mark, so that no name can speak to the terminal.
"""

import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from core.errors import ThawError
from core.events import EpochDone, Event, Glance, Kept, Measuring, Memory, Notice, Preparing, Replanned, Started, StepDone
from core.words import Value, catalogue, say

if TYPE_CHECKING:
    from core.dataset.record import Skipped

BAR = "{desc} {bar} {n_fmt}/{total_fmt} [{elapsed}<{remaining}] {postfix}"
MOST_CLASSES = 20
"""Rows of the table of classes; of more, the ones with the lowest F1 are shown."""


FEW = 5
"""Files that could not be used of which the reasons are shown."""


def plain(text: str) -> str:
    """`text` on one line with every character that is not printable replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def percent(share: float | None) -> str:
    """One decimal; a dash for None. What is neither nothing nor all is not rounded to it."""
    if share is None:
        return "–"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if 0.9995 <= share < 1 else f"{100 * share:.1f} %"


def duration(seconds: float, language: str) -> str:
    """Seconds, minutes or hours, whatever fits."""
    whole = round(seconds)
    if whole < 60:
        return say("cli.seconds", language, s=f"{seconds:.1f}" if seconds < 10 else whole)
    if whole < 3600:
        return say("cli.minutes", language, m=whole // 60, s=whole % 60)
    return say("cli.hours", language, h=whole // 3600, m=whole % 3600 // 60)


def sentences(code: str, values: Mapping[str, Value], language: str) -> str:
    """Cause and remedy of an error, a line each."""
    parts = (say(f"error.{code}.{part}", language, **values) for part in ("cause", "remedy"))
    return "\n".join(plain(part) for part in parts)


def complain(error: ThawError, language: str) -> None:
    """Say on standard error what happened and what to do, and why files of a set that was refused could not be used."""
    print(sentences(error.code, error.values, language), file=sys.stderr)
    for line in reasons(getattr(error, "skipped", ()), language):
        print(line, file=sys.stderr)


def reasons(skipped: "Sequence[Skipped]", language: str) -> list[str]:
    """A line for each of the first files that could not be used."""
    said = [f"  {plain(say(f'error.{file.code}.cause', language, **file.values))}" for file in skipped[:FEW]]
    return [*said, "  …"] if len(skipped) > FEW else said


def table(rows: Sequence[Sequence[str]], *, right: Iterable[int] = ()) -> list[str]:
    """Lines with aligned columns; wide characters count two. `right`: columns aligned to the right."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    last, to_right = len(widths) - 1, set(right)
    lines = []
    for row in cells:
        parts = []
        for number, cell in enumerate(row):
            gap = " " * (widths[number] - _width(cell))
            parts.append(gap + cell if number in to_right else cell if number == last else cell + gap)
        lines.append("  ".join(parts))
    return lines


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


class Screen:
    """Watches the events of one run: a bar per epoch on a terminal, a line per epoch elsewhere."""

    def __init__(self, language: str, stream: TextIO | None = None) -> None:
        self._language = language
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._what: object = None
        self._started: Started | None = None
        self._sums = [0.0, 0, 0]

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Preparing | Measuring):
            self._advance(f"cli.{event.kind}.{event.what}", event.done, event.total)
        elif isinstance(event, Started):
            self._close()
            self._started = event
            splits = {key: f"{event.splits.get(key, 0):,}" for key in ("train", "val", "test")}
            share = event.parameters_trainable / max(event.parameters_total, 1)
            self.line(
                "cli.started",
                **splits,
                device=event.device,
                trainable=f"{event.parameters_trainable:,}",
                total=f"{event.parameters_total:,}",
                share=percent(share),
            )
        elif isinstance(event, StepDone):
            self._step(event)
        elif isinstance(event, EpochDone):
            self._epoch(event)
        elif isinstance(event, Replanned):
            self.line(
                f"cli.replanned.{event.cause}",
                epoch=event.epoch,
                trainable=f"{event.parameters_trainable:,}",
                lr=f"{event.lr:g}",
            )
        elif isinstance(event, Kept):
            size = f"{event.size_bytes / 2**20:,.0f}"
            key = "cli.kept" if event.block else "cli.kept_all"
            self.line(key, block=event.block, share=percent(event.share), megabytes=size)
        elif isinstance(event, Glance):
            self.line(
                "cli.glance", share=percent(event.right / event.images), n=event.images, seconds=f"{event.seconds:.2f}"
            )
        elif isinstance(event, Memory):
            self.line("cli.memory", images=event.images_at_once)
        elif isinstance(event, Notice):
            key = f"notice.{event.code}"
            if key in catalogue(self._language):
                self.line(key, **event.values)
        elif event.kind == "ended":
            self._close()

    def line(self, key: str, **values: Value) -> None:
        """A line of its own, above no bar."""
        self.text(plain(say(key, self._language, **values)))

    def text(self, line: str) -> None:
        """The same of words that are ready."""
        self._close()
        print(line, file=self._stream, flush=True)

    def progress(self, key: str) -> Callable[[int, int], None]:
        """A function of (done, total) that shows a bar called `key`."""
        return lambda done, total: self._advance(key, done, total)

    def close(self) -> None:
        """Take the bar away."""
        self._close()

    def _step(self, event: StepDone) -> None:
        started = self._started
        if started is None:
            return
        place = (event.step - 1) % started.steps_per_epoch
        if self._what != ("epoch", event.epoch):
            self._open(
                ("epoch", event.epoch),
                say("cli.epoch", self._language, epoch=event.epoch, epochs=started.epochs),
                started.steps_per_epoch,
                place,
            )
            self._sums = [0.0, 0, 0]
        sums = self._sums
        sums[0] += (event.loss or 0.0) * event.images
        sums[1] += event.correct
        sums[2] += event.images
        if self._bar is not None and sums[2]:
            figures = say(
                "cli.figures", self._language, loss=f"{sums[0] / sums[2]:.4f}", accuracy=percent(sums[1] / sums[2])
            )
            self._bar.set_postfix_str(figures, refresh=False)
            self._bar.update(1)

    def _epoch(self, event: EpochDone) -> None:
        epochs = self._started.epochs if self._started else event.epoch
        figures: dict[str, Value] = {
            "epoch": event.epoch,
            "epochs": epochs,
            "loss": f"{event.train_loss:.4f}",
            "accuracy": percent(event.train_accuracy),
        }
        if event.val_loss is None:
            self.line("cli.epoch_done.train", **figures)
            return
        self.line(
            "cli.epoch_done.best" if event.best else "cli.epoch_done",
            **figures,
            val_loss=f"{event.val_loss:.4f}",
            val_accuracy=percent(event.val_accuracy),
        )

    def _advance(self, key: str, done: int, total: int) -> None:
        if self._what != key:
            self._open(key, say(key, self._language), total, 0)
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(done - self._bar.n)

    def _open(self, what: object, title: str, total: int, done: int) -> None:
        self._close()
        self._what = what
        if self._stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                desc=title,
                total=total,
                initial=done,
                file=self._stream,
                leave=False,
                dynamic_ncols=True,
                mininterval=0.2,
                bar_format=BAR if total > 1 else "{desc} {elapsed}",
            )
        elif isinstance(what, str) and not what.startswith("cli.measuring"):
            print(title, file=self._stream, flush=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = self._what = None


def score_lines(scores: Mapping[str, Any], language: str, *, key: str) -> list[str]:
    """The sentence `key` and the table of classes of a `Scores` dict."""
    right = sum(one["found"] for one in scores["per_class"])
    sentence = say(
        key,
        language,
        n=scores["images"],
        images=f"{scores['images']:,}",
        right=f"{right:,}",
        accuracy=percent(scores["accuracy"]),
        macro_f1=f"{scores['macro_f1']:.3f}",
        baseline=percent(scores["majority_accuracy"]),
    )
    classes = list(scores["per_class"])
    lines = [sentence, ""]
    if len(classes) > MOST_CLASSES:
        classes = sorted(classes, key=lambda one: (one["f1"] is not None, one["f1"] or 0.0))[:MOST_CLASSES]
        lines.insert(1, say("cli.worst_classes", language, shown=MOST_CLASSES, n=len(scores["per_class"])))
    head = [say(f"cli.table.{name}", language) for name in ("class", "right", "recall", "precision", "f1")]
    rows = [
        [
            one["name"],
            f"{one['found']} / {one['support']}",
            percent(one["recall"]),
            percent(one["precision"]),
            "–" if one["f1"] is None else f"{one['f1']:.3f}",
        ]
        for one in classes
    ]
    return [*lines, *(f"  {line}" for line in table([head, *rows], right=(1, 2, 3, 4)))]
