"""Of the checkpoints of a run the newest two and the best of each stay, and the next is due when the newest is old."""

from pathlib import Path

import pytest

from core import checkpoint
from core.training import shelf
from core.training.shelf import Shelf


def put(here: Shelf, step: int, best_file: str = "", *, best: bool = False) -> str:
    name = here.free_name(step)
    saved = here.put(name, {"step": step}, step=step, epoch=1, clock=2.5, best=best, best_file=name if best else best_file)
    assert (saved.file, saved.step, saved.best) == (name, step, best)
    here.prune()
    return name


def names(folder: Path) -> list[str]:
    return [path.name for path in checkpoint.checkpoints(folder)]


def test_the_newest_two_and_the_best_stay(tmp_path: Path) -> None:
    here = Shelf(tmp_path)
    assert here.saved_step == 0
    best = put(here, 1, best=True)
    second = put(here, 2, best)
    third = put(here, 3, best)
    assert names(tmp_path) == [best, second, third]
    fourth = put(here, 4, best=True)
    assert names(tmp_path) == [best, third, fourth], "were the newest damaged, the one before would ask for its best"
    fifth = put(here, 5, fourth)
    assert names(tmp_path) == [fourth, fifth]
    assert here.saved_step == 5
    assert checkpoint.read_manifest(tmp_path / fifth) | {"clock": 2.5, "epoch": 1, "step": 5, "best": False} == (
        checkpoint.read_manifest(tmp_path / fifth)
    )


def test_a_continuation_keeps_what_it_began_with(tmp_path: Path) -> None:
    before = Shelf(tmp_path)
    best = put(before, 1, best=True)
    last = put(before, 2, best)
    here = Shelf(tmp_path)
    here.go_on(last, 2, best)
    assert here.saved_step == 2
    here.prune()
    assert names(tmp_path) == [best, last]
    new = put(here, 3, best)
    assert names(tmp_path) == [best, last, new]


def test_the_next_is_due_when_the_newest_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(shelf.time, "monotonic", lambda: now)
    here = Shelf(tmp_path)
    now += shelf.SAVE_SECONDS - 1
    assert not here.old
    now += 1
    assert here.old
    put(here, 1)
    assert not here.old
