"""What a terminal is told is exact, aligned, and cannot be made to speak by a file name."""

import io
from typing import Any

import pytest

from core.console import Screen, duration, percent, plain, score_lines, sentences, table
from core.events import EpochDone, Measuring, Notice, Preparing, Started, StepDone

EPOCH = EpochDone(
    epoch=1,
    step=2,
    train_loss=1.25,
    train_accuracy=0.5,
    val_loss=0.75,
    val_accuracy=0.9,
    val_macro_f1=0.9,
    best=True,
)


def started(steps: int = 2) -> Started:
    return Started(
        device="cpu",
        precision="fp32",
        threads=1,
        versions={},
        fingerprint="",
        classes=(),
        splits={"train": 1500, "val": 20, "test": 10},
        parameters_total=4000,
        parameters_trainable=1000,
        groups=(),
        held=(),
        steps_per_epoch=steps,
        epochs=3,
        step=0,
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_there_is_a_line_an_epoch() -> None:
    out = io.StringIO()
    screen = Screen("en", out)
    for event in (
        Preparing(what="data", done=0, total=10),
        Preparing(what="data", done=5, total=10),
        started(),
        *(StepDone(step=n, epoch=1, loss=1.0, correct=1, images=2, lr=0.1) for n in (1, 2)),
        Measuring(what="val", done=1, total=2),
        EPOCH,
        EPOCH.model_copy(update={"epoch": 2, "best": False}),
        EPOCH.model_copy(update={"epoch": 3, "val_loss": None}),
        Notice(code="never.heard.of"),
    ):
        screen(event)
    assert out.getvalue().splitlines() == [
        "Reading images",
        "Learning from 1,500 images on cpu, 20 to validate, 10 sealed for the test; "
        "1,000 of 4,000 parameters learn (25.0 %).",
        "Epoch 1/3: loss 1.2500, 50.0 % right; validation: loss 0.7500, 90.0 % right, best so far",
        "Epoch 2/3: loss 1.2500, 50.0 % right; validation: loss 0.7500, 90.0 % right",
        "Epoch 3/3: loss 1.2500, 50.0 % right",
    ]


def test_on_a_terminal_a_bar_grows_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    class Bar:
        def __init__(self, **how: Any) -> None:
            self.n, self.total, self.text, self.closed = how["initial"], how["total"], "", False
            made.append({"title": how["desc"], "bar": self})

        def update(self, n: int) -> None:
            self.n += n

        def set_postfix_str(self, text: str, refresh: bool) -> None:
            self.text = text

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr("tqdm.tqdm", Bar)
    screen = Screen("en", Terminal())
    screen(Preparing(what="data", done=3, total=10))
    screen(Preparing(what="data", done=7, total=10))
    screen(started(steps=4))
    for n in (1, 2, 3):
        screen(StepDone(step=n, epoch=1, loss=float(n), correct=1, images=2, lr=0.1))
    assert [one["title"] for one in made] == ["Reading images", "Epoch 1/3"]
    reading, epoch = (one["bar"] for one in made)
    assert (reading.n, reading.closed) == (7, True)
    assert (epoch.n, epoch.total, epoch.closed, epoch.text) == (3, 4, False, "loss 2.0000, 50.0 % right")
    screen(EPOCH)
    assert epoch.closed


def test_a_continuation_in_the_middle_of_an_epoch_shows_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    screen = Screen("en", out)
    screen(started(steps=10))
    screen(StepDone(step=17, epoch=2, loss=1.0, correct=1, images=2, lr=0.1))
    assert screen._bar.n == 7
    screen.close()


def test_columns_are_aligned_by_what_is_seen() -> None:
    rows = [["name", "n"], ["手势", "5"], ["e\u0301te", "100"]]
    assert table(rows, right=(1,)) == ["name    n", "手势    5", "e\u0301te   100"]


def test_names_cannot_speak_to_the_terminal() -> None:
    assert plain("a\x1b[31mb\nc\u202ed") == "a�[31mb�c�d"
    assert table([["\x1b]0;gotcha\x07", "x"]]) == ["�]0;gotcha�  x"]
    assert sentences("run.unknown", {"run": "\x1b[2J\nfake"}, "en") == (
        "There is no run called �[2J�fake.\nChoose one from the list of runs (thaw runs)."
    )


def test_figures_are_short() -> None:
    shares = (None, 0.0, 0.0003, 0.97573, 0.99949, 0.9997, 1.0)
    assert [percent(x) for x in shares] == ["–", "0.0 %", "< 0.1 %", "97.6 %", "99.9 %", "> 99.9 %", "100.0 %"]
    assert [duration(x, "en") for x in (1.26, 42.0, 59.7, 200.0, 7320.0)] == [
        "1.3 s",
        "42 s",
        "1 min 0 s",
        "3 min 20 s",
        "2 h 2 min",
    ]
    assert duration(200, "zh") == "3 分 20 秒"


def scores(classes: int) -> dict[str, Any]:
    each = [
        {"name": f"c{n}", "support": 2, "found": 1, "predicted": 1, "recall": 0.5, "precision": 1.0, "f1": n / classes}
        for n in range(classes)
    ]
    return {"images": 206, "accuracy": 201 / 206, "macro_f1": 0.97, "majority_accuracy": 0.1, "per_class": each}


def test_scores_are_told_with_counts() -> None:
    lines = score_lines(scores(2), "en", key="cli.test")
    assert lines == [
        "Of 206 test images 2 were right: 97.6 % (macro-F1 0.970; always naming the most frequent class: 10.0 %).",
        "",
        "  class  right / all  recall  precision     F1",
        "  c0           1 / 2  50.0 %    100.0 %  0.000",
        "  c1           1 / 2  50.0 %    100.0 %  0.500",
    ]


def test_of_many_classes_the_weakest_are_shown() -> None:
    lines = score_lines(scores(100), "en", key="cli.test")
    assert lines[1] == "The 20 classes with the lowest F1, of 100:"
    assert [line.split()[0] for line in lines[4:]] == [f"c{n}" for n in range(20)]
