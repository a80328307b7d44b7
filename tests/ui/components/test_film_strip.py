"""The Python half of the film strip: plain data out, columns that stay where they are while it grows."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import ui.components.film_strip
from core.words import catalogue
from ui.components.film_strip import MOST, Cell, Strip, film_strip, thin


@pytest.mark.parametrize("count", [0, 1, 2, 39, 40])
def test_few_columns_are_all_kept(count: int) -> None:
    assert thin(count) == tuple(range(count))


@pytest.mark.parametrize(
    ("count", "step"),
    [(41, 2), (78, 2), (79, 5), (195, 5), (200, 10), (391, 20), (780, 20), (781, 50), (3_999, 200), (10_000, 500)],
)
def test_of_many_the_first_the_last_and_every_nth_are_kept(count: int, step: int) -> None:
    epochs = [at + 1 for at in thin(count)]
    assert epochs == sorted({1, *range(step, count + 1, step), count})


@pytest.mark.parametrize("most", [2, 3, 10, 40])
def test_there_are_never_too_many_nor_two_of_one(most: int) -> None:
    for count in range(600):
        kept = thin(count, most)
        assert len(kept) <= most
        assert list(kept) == sorted(set(kept))
        assert set(kept) >= ({0, count - 1} if count else set())


def test_in_a_run_of_500_epochs_the_columns_move_four_times() -> None:
    moved = [count + 1 for count in range(1, 500) if not set(thin(count)[:-1]) <= set(thin(count + 1))]
    assert moved == [41, 79, 196, 391]


def page() -> None:
    import streamlit as st

    from ui.components.film_strip import Cell, Strip, film_strip

    count = int(st.query_params.get("epochs", 3))
    cells = tuple(Cell(f"<i>{n}</i>", n / count, n % 2 == 0) for n in range(count))
    film_strip([Strip("/a.webp", "<b>a</b>", cells)], range(1, count + 1), key="film", language="en")


def sent(epochs: int) -> dict[str, Any]:
    at = AppTest.from_function(page, default_timeout=30)
    at.query_params["epochs"] = str(epochs)
    return json.loads(at.run().get("bidi_component")[0].proto.json)


def test_a_strip_is_sent_as_plain_data() -> None:
    said = sent(3)
    cells = [["<i>0</i>", 0.0, 1], ["<i>1</i>", 0.3333, 0], ["<i>2</i>", 0.6667, 1]]
    assert said["strips"] == [{"url": "/a.webp", "label": "<b>a</b>", "cells": cells}]
    assert (said["epochs"], said["all"]) == ([1, 2, 3], 3)


def test_a_long_strip_sends_the_cells_of_the_columns_it_shows() -> None:
    said = sent(300)
    assert said["epochs"] == [1, *range(10, 301, 10)]
    assert [cell[0] for cell in said["strips"][0]["cells"]] == [f"<i>{epoch - 1}</i>" for epoch in said["epochs"]]
    assert (said["all"], len(said["epochs"]) <= MOST) == (300, True)


@pytest.mark.parametrize(("confidence", "shown"), [(float("nan"), 0.0), (float("inf"), 0.0), (1.5, 1.0), (-0.1, 0.0)])
def test_a_confidence_that_is_no_share_is_none(confidence: float, shown: float) -> None:
    assert ui.components.film_strip._plain(Cell("a", confidence, False)) == ["a", shown, 0]


def test_a_strip_without_a_cell_an_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 epochs"):
        film_strip([Strip("/a.webp", "a", (Cell("a", 1.0, True),))], [1, 2], key="film", language="en")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_word_that_the_browser_half_asks_for_exists(language: str) -> None:
    text = (Path(ui.components.film_strip.__file__).parent / "film_strip.js").read_text("utf-8")
    held = {name.removeprefix("film.") for name in catalogue(language) if name.startswith("film.")}
    assert set(re.findall(r"words\.(\w+)", text)) == held
