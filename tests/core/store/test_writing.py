"""A run changes its state only by the table, and what cannot be done is named."""

import hashlib
import sqlite3
import threading
from collections.abc import Callable

import pytest

from core import log, recovery
from core.errors import StoreError
from core.events import Discard, Ended, Notice, Pause, Saved, Stop
from core.recipe import Recipe
from core.store import BEFORE, STATES, RunStore, State, checked_id, new_id
from core.workspace import Workspace
from tests.core.store.samples import bring_to, epoch, saved, step


def test_a_new_run_is_queued_and_reads_back_what_was_chosen(store: RunStore) -> None:
    recipe = Recipe(dataset="demo:digits", lr=0.0123).with_rule("layer3.1", trainable=False)
    run = store.create(recipe)
    again = store.run(run.id)
    assert again == run
    assert (again.recipe, again.state, again.name, again.started, again.ended) == (
        recipe,
        "queued",
        "resnet18-custom-1",
        None,
        None,
    )
    assert store.folder(run.id).is_dir()


def test_consecutive_steps_share_one_row(store: RunStore, workspace: Workspace) -> None:
    run = store.create(Recipe())
    store.append(run.id, [step(n) for n in range(1, 5001)])
    with sqlite3.connect(workspace.database) as db:
        rows = db.execute("SELECT kind, length(payload) FROM event").fetchall()
    db.close()
    assert rows == [("steps", 5000 * 44 + 10)]  # and its seal


def test_the_summary_of_a_run_follows_its_events(store: RunStore) -> None:
    run = store.create(Recipe())
    store.append(run.id, [step(10), epoch(1, 0.7, True), step(20), epoch(2, 0.6, False), step(21)])
    after = store.run(run.id)
    assert (after.step, after.epoch, after.best_epoch, after.best_val_accuracy, after.seconds) == (21, 2, 1, 0.7, 7.0)


def test_an_ended_event_moves_the_run_in_the_same_transaction(store: RunStore) -> None:
    run = store.create(Recipe())
    store.transition(run.id, "running")
    store.append(run.id, [Ended(outcome="failed", code="run.busy", values={"run": "x"})])
    after = store.run(run.id)
    assert (after.state, after.error) == ("failed", ("run.busy", {"run": "x"}))
    assert after.ended is not None


def test_an_outcome_that_cannot_follow_is_refused_and_nothing_is_written(store: RunStore) -> None:
    run = store.create(Recipe())
    bring_to(store, run.id, "finished")
    with pytest.raises(StoreError, match="not running here"):
        store.append(run.id, [step(1), Ended(outcome="failed")])
    assert store.events(run.id) == []
    assert store.run(run.id).state == "finished"


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_a_run_changes_state_by_the_table_and_in_no_other_way(store: RunStore, old: State, new: State) -> None:
    run = store.create(Recipe())
    bring_to(store, run.id, old)
    assert store.transition(run.id, new) is (old in BEFORE[new])
    assert store.run(run.id).state == (new if old in BEFORE[new] else old)


def test_finished_and_discarded_runs_never_change_again() -> None:
    assert not [state for state, before in BEFORE.items() if before & {"finished", "discarded"}]


def test_of_fifty_claims_one_wins(store: RunStore, workspace: Workspace) -> None:
    run = store.create(Recipe())
    others = [RunStore(workspace) for _ in range(4)]
    wins: list[bool] = []
    threads = [
        threading.Thread(target=lambda s=s: wins.append(s.transition(run.id, "running"))) for s in [store, *others] * 10
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    assert sorted(wins) == [False] * 49 + [True]


def test_commands_are_given_out_once_and_in_order(store: RunStore) -> None:
    run = store.create(Recipe())
    for command in (Pause(), Stop(), Discard()):
        store.send(run.id, command)
    assert store.take(run.id) == [Pause(), Stop(), Discard()]
    assert store.take(run.id) == []


def test_a_command_does_not_outlive_the_attempt_it_was_meant_for(store: RunStore) -> None:
    run = store.create(Recipe())
    store.transition(run.id, "running")
    store.send(run.id, Stop())
    store.append(run.id, [Ended(outcome="paused")])
    store.transition(run.id, "queued")
    assert store.take(run.id) == []


def test_a_command_that_nobody_will_hear_is_refused(store: RunStore) -> None:
    run = store.create(Recipe(name="over"))
    store.append(run.id, [Ended(outcome="paused")])
    with pytest.raises(StoreError, match="The run over is neither waiting nor running"):
        store.send(run.id, Discard())
    store.requeue(run.id)
    assert store.take(run.id) == []


def test_a_deleted_run_waits_in_the_bin_and_comes_back(store: RunStore) -> None:
    run = store.create(Recipe(name="roses"))
    with pytest.raises(StoreError, match="roses is still waiting or running"):
        store.delete(run.id)
    bring_to(store, run.id, "failed")
    store.delete(run.id)
    assert store.runs() == []
    assert [r.id for r in store.runs(deleted=True)] == [run.id]
    assert not store.transition(run.id, "queued")
    store.restore(run.id)
    assert [r.id for r in store.runs()] == [run.id]


@pytest.mark.parametrize(
    ("state", "saved", "deleted", "code"),
    [
        ("queued", True, False, "run.active"),
        ("running", True, False, "run.active"),
        ("finished", True, False, "run.over"),
        ("discarded", True, False, "run.over"),
        ("paused", True, True, "run.deleted"),
        ("stopped", False, False, "run.no_checkpoint"),
        ("failed", False, False, "run.no_checkpoint"),
        ("stopped", True, False, None),
        ("failed", True, False, None),
        ("paused", False, False, None),
        ("interrupted", False, False, None),
    ],
)
def test_a_run_goes_on_or_says_why_not(store: RunStore, state: State, saved: bool, deleted: bool, code: str | None) -> None:
    run = store.create(Recipe(name="roses"))
    bring_to(store, run.id, state)
    if saved:
        (store.folder(run.id) / "a.ckpt").write_bytes(b"abc")
        digest = hashlib.sha256(b"abc").hexdigest()
        store.append(run.id, [Saved(step=1, epoch=1, file="a.ckpt", sha256=digest, size_bytes=3, best=False)])
    if deleted:
        store.delete(run.id)
    if code is None:
        store.requeue(run.id)
        assert store.run(run.id).state == "queued"
        return
    with pytest.raises(StoreError) as refused:
        store.requeue(run.id)
    assert (refused.value.code, refused.value.values) == (code, {"run": "roses"})
    assert store.run(run.id).state == state


def test_a_run_is_renamed_but_never_to_nothing(store: RunStore) -> None:
    run = store.create(Recipe())
    store.rename(run.id, "  手势 <img onerror>  ")
    assert store.run(run.id).name == "手势 <img onerror>"
    with pytest.raises(StoreError, match="needs a name"):
        store.rename(run.id, " \n")


def test_ids_are_ulids_that_sort_by_time() -> None:
    assert len(checked_id(new_id())) == 26
    assert new_id(0)[:10] == "0" * 10
    assert new_id(1) < new_id(2) < new_id(2**48 - 1)
    assert len({new_id(7) for _ in range(1000)}) == 1000


def test_an_end_that_comes_too_late_is_told_and_changes_nothing(store: RunStore) -> None:
    run = store.create(Recipe())
    bring_to(store, run.id, "running")
    ended = Ended(outcome="stopped", step=7)
    assert not store.end(run.id, ended, states={"queued"})
    assert (store.run(run.id).state, store.last_seq(run.id)) == ("running", 0)
    assert store.end(run.id, ended, states={"running"})
    assert store.run(run.id).state == "stopped"
    with pytest.raises(StoreError) as caught:
        store.end(new_id(), ended, states={"running"})
    assert caught.value.code == "run.unknown"


def test_nothing_is_written_about_a_run_that_is_not_there(store: RunStore) -> None:
    unknown = new_id()
    asked: list[Callable[[], object]] = [
        lambda: store.run(unknown),
        lambda: store.append(unknown, [Notice(code="x")]),
        lambda: store.rename(unknown, "new"),
        lambda: store.restore(unknown),
    ]
    for ask in asked:
        with pytest.raises(StoreError) as caught:
            ask()
        assert (caught.value.code, caught.value.values) == ("run.unknown", {"run": unknown})


def test_of_a_discarded_run_nothing_is_left_but_its_log(store: RunStore) -> None:
    folder = store.folder(store.create(Recipe()).id)
    (folder / "kept").mkdir()
    (folder / "kept" / "model.safetensors").write_bytes(b"weights")
    (folder / log.NAME).write_text("what happened")
    saved(store, folder.name, 1, b"weights")
    store.wipe(folder.name)
    assert [path.name for path in folder.iterdir()] == [log.NAME]


def test_an_emptied_bin_forgets_its_runs_and_their_files_and_no_others(store: RunStore) -> None:
    kept, gone, restored = (store.create(Recipe()) for _ in range(3))
    for run in (kept, gone, restored):
        store.transition(run.id, "running")
        store.append(run.id, [Ended(outcome="finished", step=1)])
        (store.folder(run.id) / "model.safetensors").write_bytes(b"x")
    store.delete(gone.id)
    store.delete(restored.id)
    store.restore(restored.id)
    assert store.empty_bin() == 1
    assert {run.id for run in store.runs()} == {kept.id, restored.id}
    assert store.runs(deleted=True) == []
    assert not (store.workspace.runs / gone.id).exists()
    assert (store.workspace.runs / restored.id / "model.safetensors").exists()
    with pytest.raises(StoreError, match="no run"):
        store.run(gone.id)
    assert store.empty_bin() == 0


def test_a_run_names_its_owner_and_a_bin_is_emptied_for_one_person(store: RunStore) -> None:
    mine, other = store.create(Recipe(), owner="ab"), store.create(Recipe(), owner="cd")
    for run in (mine, other):
        bring_to(store, run.id, "paused")
        store.delete(run.id)
    assert {run.owner for run in store.runs(deleted=True)} == {"ab", "cd"}
    told = recovery.RUN_FILE
    for run in (mine, other):
        assert (store.folder(run.id) / told).exists()
    assert store.empty_bin("ab") == 1
    assert [run.id for run in store.runs(deleted=True)] == [other.id]
    assert (store.folder(other.id) / told).exists(), "else a rescue of the list would not find it"
