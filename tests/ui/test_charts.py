"""What the charts show, before it is drawn; and that drawing takes names as text."""

import math

import pytest

from ui import charts


def test_class_table_has_a_row_for_every_class_also_without_pictures() -> None:
    table = charts.class_table({"train": {"cat": 8, "dog": 4}, "test": {"cat": 1}}, ("cat", "dog", "owl"))
    assert table.to_dict("list") == {"train": [8, 4, 0], "val": [0, 0, 0], "test": [1, 0, 0], "total": [9, 4, 0]}
    assert list(table.index) == ["cat", "dog", "owl"]


def test_class_chart_stacks_only_the_splits_that_hold_something() -> None:
    table = charts.class_table({"train": {"cat": 8}, "test": {"cat": 1}}, ("cat",))
    names = {"train": "Training", "val": "Validation", "test": "Test"}
    figure = charts.class_chart(table, {"images": "Pictures", "class": ""}, split_names=names)
    assert [(bar.name, list(bar.y)) for bar in figure.data] == [("Training", [8]), ("Test", [1])]
    assert figure.layout.barmode == "stack"


def test_curve_table_makes_a_gap_of_nothing() -> None:
    table = charts.curve_table([{"epoch": 1, "val_loss": None}, {"epoch": 2, "val_loss": 0.5}], ["val_loss"])
    assert list(table.index) == [1, 2]
    assert math.isnan(table["val_loss"][1])
    assert table["val_loss"][2] == 0.5


def test_curves_chart_has_a_line_a_run() -> None:
    one = charts.curve_table([{"epoch": 1, "val_accuracy": 0.5}], ["val_accuracy"])
    two = charts.curve_table([{"epoch": 1, "val_accuracy": 0.6}], ["val_accuracy"])
    figure = charts.curves_chart({"a": one, "b": two}, "val_accuracy", {"epoch": "Epoch", "value": "Accuracy"}, share=True)
    assert [(line.name, list(line.y)) for line in figure.data] == [("a", [0.5]), ("b", [0.6])]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat", "cat"),
        ("a" * 30, "a" * 23 + "…"),
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("R&D", "R&amp;D"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_name_in_a_chart_is_short_and_no_tag(name: str, shown: str) -> None:
    assert charts.shorten(name) == shown


def test_a_sweep_of_rates_is_a_line_with_gaps_beside_what_needs_no_rate() -> None:
    points = [(1e-4, 0.5), (1e-2, 0.9), (1.0, None)]
    words = ("rate", "accuracy", "formula")
    figure = charts.rate_sweep({"0.01": points}, 0.01, 0.8, words=words)
    assert [(line.name, list(line.x), list(line.y)) for line in figure.data] == [
        ("0.01", [1e-4, 1e-2, 1.0], [0.5, 0.9, None])
    ]
    assert {(shape.x0, shape.y0) for shape in figure.layout.shapes} == {(0, 0.8), (0.01, 0)}
    assert [note.text for note in figure.layout.annotations] == ["formula"]
    assert figure.layout.xaxis.type == "log"
    low, high = figure.layout.yaxis.range
    assert low < 0.5
    assert high > 0.9
    bare = charts.rate_sweep({"0": [(1e-4, None)], "0.1": [(1e-4, None)]}, None, None, words=words)
    assert (len(bare.data), len(bare.layout.shapes), bare.layout.showlegend) == (2, 0, True)
