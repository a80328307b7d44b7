"""What is on record comes back as it was written, and damaged rows say nothing."""

import shutil

import pytest

from core.errors import StoreError
from core.events import Event, Notice, Replanned, Started
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import Workspace
from tests.core.store.samples import epoch, saved, step


def test_runs_are_listed_newest_first_whatever_the_clock_says(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.create(Recipe(name="first"))
    monkeypatch.setattr("core.run.time.time", lambda: 0.0)  # the clock jumps back to 1970
    second = store.create(Recipe(name="second"))
    assert second.id < first.id
    assert [run.name for run in store.runs()] == ["second", "first"]


def test_events_come_back_equal_and_in_order(store: RunStore) -> None:
    run = store.create(Recipe())
    written: list[Event] = [Notice(code="a", values={"n": 1}), step(1), step(2, None), epoch(1, 0.5, True), step(3, 1e-30)]
    last = store.append(run.id, written[:3])
    assert store.append(run.id, written[3:]) > last
    assert [event for _, event in store.events(run.id)] == written
    assert [event for _, event in store.events(run.id, since=last)] == written[3:]


def test_a_folder_that_cannot_be_made_is_named(store: RunStore, workspace: Workspace) -> None:
    run = store.create(Recipe())
    shutil.rmtree(workspace.runs)
    workspace.runs.write_text("in the way")
    with pytest.raises(StoreError, match=f"cannot write to the workspace folder .*{run.id}"):
        store.folder(run.id)


def test_a_folder_that_somebody_cleared_away_is_made_again(store: RunStore, workspace: Workspace) -> None:
    run = store.create(Recipe())
    shutil.rmtree(workspace.runs)
    assert store.folder(run.id).is_dir()


@pytest.mark.parametrize("bad", ["", "..", "../../etc", "0" * 25, "8" + "0" * 25, "0" * 25 + "U", "0" * 26 + "\n"])
def test_what_is_not_a_run_id_never_becomes_a_path(store: RunStore, bad: str) -> None:
    with pytest.raises(StoreError, match="no run called"):
        store.folder(bad)


def test_the_last_checkpoint_is_the_newest_one_that_is_whole(store: RunStore) -> None:
    run = store.create(Recipe())
    assert store.last_checkpoint(run.id) is None
    old, flipped, gone = (saved(store, run.id, n, b"weights" * n) for n in (1, 2, 3))
    store.append(run.id, [old, flipped, gone])
    assert store.last_checkpoint(run.id) == gone
    (store.folder(run.id) / gone.file).unlink()
    (store.folder(run.id) / flipped.file).write_bytes(b"weightsweightz")
    assert store.last_checkpoint(run.id) == old


def test_the_newest_on_record_is_named_whether_it_is_whole_or_not(store: RunStore) -> None:
    run, other = store.create(Recipe()), store.create(Recipe())
    assert store.newest_saved(run.id) is None
    first, second = (saved(store, run.id, n, b"weights" * n) for n in (1, 2))
    last = store.append(run.id, [first, second])
    (store.folder(run.id) / second.file).unlink()
    assert (store.newest_saved(run.id), store.newest_saved(other.id)) == (second, None)
    assert (store.last_seq(run.id), store.last_seq(other.id)) == (last, 0)


def test_of_many_runs_those_that_were_asked_for_are_read(workspace: Workspace) -> None:
    store = RunStore(workspace)
    ids = [store.create(Recipe(name=f"{number}"), owner="ann" if number % 2 else "").id for number in range(6)]
    store.transition(ids[0], "running")
    store.transition(ids[1], "discarded")
    store.delete(ids[1])
    newest = ids[:1:-1] + ids[:1]
    assert [run.id for run in store.runs()] == newest
    assert [run.id for run in store.runs(first=1, many=2)] == newest[1:3]
    assert [run.id for run in store.runs(states={"running", "paused"})] == ids[:1]
    assert store.runs(states=()) == []
    assert [run.id for run in store.runs(owner="ann")] == [ids[5], ids[3]]
    assert [run.id for run in store.runs(deleted=True)] == [ids[1]]
    assert (store.count(), store.count(deleted=True), store.count(states={"queued"}, owner="")) == (5, 1, 2)
    assert store.owners() == {one: "ann" if number % 2 else "" for number, one in enumerate(ids)}
    store.close()


def replanned(step: int, lr: float = 0.1, cause: str = "person") -> Replanned:
    plain = {"epoch": 1, "rules": (), "parameters_trainable": 1, "groups": (), "held": ()}
    return Replanned.model_validate({"cause": cause, "step": step, "lr": lr, **plain})


def begun(step: int) -> Started:
    plain = {
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "versions": {},
        "fingerprint": "",
        "classes": (),
        "splits": {},
    }
    return Started(
        **plain, parameters_total=1, parameters_trainable=1, groups=(), held=(), steps_per_epoch=5, epochs=9, step=step
    )


@pytest.mark.parametrize(
    ("told", "steps"),
    [
        ([begun(0), replanned(3), replanned(7, cause="timeline"), replanned(8)], [3, 8]),
        ([begun(0), replanned(3), replanned(12), replanned(20), begun(10)], [3, 12, 20]),
        ([begun(0), replanned(3), replanned(12), replanned(20), begun(10), replanned(12)], [3, 12, 20]),
        ([begun(0), replanned(3), replanned(12), replanned(20), begun(10), replanned(11, lr=0.5)], [3, 11]),
        ([begun(0), replanned(12), replanned(20), begun(10), replanned(12), begun(10)], [12, 20]),
        ([begun(0), replanned(10), begun(10), replanned(10), replanned(10, lr=0.2)], [10, 10]),
        ([begun(0), replanned(3), begun(0)], [3]),
    ],
)
def test_edits_are_those_of_a_replay_and_the_last_word_wins(
    store: RunStore, told: list[Replanned | Started], steps: list[int]
) -> None:
    run = store.create(Recipe())
    store.transition(run.id, "running")
    store.append(run.id, told)
    assert [edit.step for edit in store.edits(run.id)] == steps
