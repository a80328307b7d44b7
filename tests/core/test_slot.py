"""One process of a workspace trains on a device, and none once the device has failed under it."""

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from core import drive as driving
from core import slot
from core.drive import drive
from core.errors import StoreError
from core.events import Command, Ended, Event
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import open_workspace


@pytest.fixture(autouse=True)
def nothing_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "_lost", set())


def test_a_slot_has_one_holder_in_a_workspace_whatever_the_device_is_called(tmp_path: Path) -> None:
    here, there = open_workspace(tmp_path / "here"), open_workspace(tmp_path / "there")
    hold = slot.take(here, "cuda")
    assert hold is not None
    assert slot.take(here, "cuda:0") is None
    others = [slot.take(here, "cuda:1"), slot.take(here, "cpu"), slot.take(there, "cuda")]
    assert None not in others
    hold.release()
    again = slot.take(here, "cuda:0")
    assert again is not None
    for one in (again, *filter(None, others)):
        one.release()


def test_a_process_that_dies_leaves_its_slot(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    script = f"""
from core.slot import take
from core.workspace import open_workspace
hold = take(open_workspace({str(tmp_path)!r}), "cpu")
print("held", flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert slot.take(workspace, "cpu") is None
        other.kill()
        other.wait()
    hold = slot.take(workspace, "cpu")
    assert hold is not None
    hold.release()


def test_a_run_waits_while_another_process_trains_on_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []

    def train(recipe: Recipe, **more: object) -> Generator[Event, Command | None, None]:
        held.append(slot.take(store.workspace, "cpu") is None)
        yield Ended(outcome="finished")

    monkeypatch.setattr(driving, "_training", lambda: train)
    store = RunStore(open_workspace(tmp_path))
    other, mine = store.create(Recipe(name="theirs", device="cpu")), store.create(Recipe(device="cpu"))
    store.transition(other.id, "running")
    hold = slot.take(store.workspace, "cpu")
    assert hold is not None
    with pytest.raises(StoreError, match="The run theirs is training on the device cpu"):
        drive(store, mine.id)
    assert store.run(mine.id).state == "queued"
    hold.release()
    drive(store, mine.id)
    assert (store.run(mine.id).state, held) == ("finished", [True])
    after = slot.take(store.workspace, "cpu")
    assert after is not None
    after.release()
    store.close()


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / ".device-cpu.lock").mkdir()
    with pytest.raises(StoreError, match=r"\.device-cpu\.lock"):
        slot.take(open_workspace(tmp_path), "cpu")


def test_what_is_lost_is_lost_under_all_its_names_and_alone() -> None:
    assert not slot.is_lost("cuda")
    slot.lose("cuda")
    assert slot.lost() == ("cuda:0",)
    assert [name for name in ("auto", "cuda", "cuda:0", "cuda:1", "cpu") if slot.is_lost(name)] == ["auto", "cuda", "cuda:0"]


def test_a_second_gpu_that_is_lost_leaves_the_first() -> None:
    slot.lose("cuda:1")
    assert [name for name in ("auto", "cuda", "cuda:1") if slot.is_lost(name)] == ["cuda:1"]
