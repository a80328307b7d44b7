"""Boards: the same ones each time, most of them sound, and a defect that can be seen."""

import io

import numpy as np
import pytest
from PIL import Image

from core.dataset import boards
from core.dataset.boards import COUNTS, board
from core.dataset.canvas import SIDE


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float32) / 255


@pytest.mark.parametrize("label", COUNTS)
def test_a_board_follows_from_its_number(label: str) -> None:
    first = board(label, 3)
    assert first == board(label, 3)
    assert first != board(label, 4)
    assert Image.open(io.BytesIO(first)).size == (SIDE, SIDE)


def test_saying_sound_every_time_is_right_in_more_than_half_of_all_cases() -> None:
    total = sum(COUNTS.values())
    assert COUNTS["sound"] / total > 0.5
    assert min(COUNTS.values()) / total < 0.06


@pytest.mark.parametrize("label", [label for label in COUNTS if label != "sound"])
def test_a_defect_changes_a_small_part_of_the_board_and_can_be_seen(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        broken = pixels(board(label, number))
        with monkeypatch.context() as patch:  # the same board without its fate
            patch.setattr(boards, "COUNTS", {"sound" if one == label else one: n for one, n in COUNTS.items()})
            whole = pixels(board("sound", number))
        far = np.abs(broken - whole).mean(2)
        assert far.max() > 0.15
        assert 0.0005 < (far > 0.12).mean() < 0.08


def test_a_large_copy_of_a_letter_is_the_letter() -> None:
    rng = np.random.default_rng(0)
    black = boards._Board(rng, np.zeros((3, SIDE, SIDE), np.float32), np.zeros((3, 1, 1), np.float32))
    boards._print(black, "R", 0.0, 0.0, (1.0, 1.0, 1.0), large=2)
    shown = black.scene[0]
    rows, columns = np.nonzero(shown)
    letter = shown[rows.min() : rows.max() + 1 : 2, columns.min() : columns.max() + 1 : 2] > 0
    assert [int("".join(str(int(dot)) for dot in row), 2) for row in letter] == [int(row) for row in boards.GLYPHS["R"]]


def test_what_would_be_printed_beyond_the_edge_is_left_out() -> None:
    rng = np.random.default_rng(0)
    black = boards._Board(rng, np.zeros((3, SIDE, SIDE), np.float32), np.zeros((3, 1, 1), np.float32))
    boards._print(black, "8", 1.0, 1.0)
    assert not black.scene.any()
