"""The film strip: what the model says about the same few images after every epoch, a column an epoch, as a strip that grows.

Knows pictures, names and shares; nothing of runs or data sets. Names are data and shown as plain text.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import streamlit as st

from core.words import catalogue

MOST = 40
"""More columns than this are too thin to be told apart."""

HERE = Path(__file__).parent
HTML = """
<div class="thaw-film">
  <div class="scroll"><table role="grid"></table></div>
  <div class="foot">
    <span class="legend" aria-hidden="true">
      <i class="tile right"></i><span class="right-word"></span>
      <i class="tile wrong"></i><span class="wrong-word"></span>
      <i class="scale"></i><span class="depth-word"></span>
    </span>
    <span class="thinned"></span>
  </div>
  <div class="tip" aria-hidden="true" hidden></div>
</div>
"""
_mount = st.components.v2.component(
    "thaw_film_strip",
    html=HTML,
    css=(HERE / "film_strip.css").read_text("utf-8"),
    js=(HERE / "film_strip.js").read_text("utf-8"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """What was said of one image after one epoch. `confidence`: the probability of the class that was named, 0 to 1."""

    said: str
    confidence: float
    right: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """One image: the address of its thumbnail on this server, the class it shows, and a cell an epoch."""

    url: str
    label: str
    cells: tuple[Cell, ...]


def film_strip(strips: Sequence[Strip], epochs: Sequence[int], *, key: str, language: str) -> None:
    """Show each of `strips` as a row; `epochs` are the numbers of its columns, oldest first. No epoch: only the images.

    Of more than `MOST` epochs some are left out. Raises ValueError if a strip has not one cell an epoch.
    """
    for strip in strips:
        if len(strip.cells) != len(epochs):
            raise ValueError(f"{len(strip.cells)} cells for {len(epochs)} epochs")
    kept = thin(len(epochs))
    _mount(
        key=key,
        data={
            "strips": [
                {"url": strip.url, "label": strip.label, "cells": [_plain(strip.cells[at]) for at in kept]}
                for strip in strips
            ],
            "epochs": [epochs[at] for at in kept],
            "all": len(epochs),
            "words": {
                name.removeprefix("film."): text for name, text in catalogue(language).items() if name.startswith("film.")
            },
        },
    )


def thin(count: int, most: int = MOST) -> tuple[int, ...]:
    """Which of `count` columns to keep, as indices: all, or the first, the last and every n-th between, at most `most` >= 2.

    n is a round number that holds for long (2, 5, 10, 20, …), so that the columns stay where they are while the strip grows.
    """
    steps = (part * 10**power for power in itertools.count() for part in (1, 2, 5))
    step = next(step for step in steps if len(_every(count, step)) <= most)
    return _every(count, step)


def _every(count: int, step: int) -> tuple[int, ...]:
    """The first, the last, and those whose number from 1 is a multiple of `step`."""
    return tuple(sorted({at for at in (0, count - 1) if 0 <= at < count} | set(range(step - 1, count, step))))


def _plain(cell: Cell) -> list[str | float | int]:
    sure = cell.confidence if isfinite(cell.confidence) else 0.0
    return [cell.said, round(min(1.0, max(0.0, sure)), 4), int(cell.right)]
