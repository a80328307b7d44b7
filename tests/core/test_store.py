"""The store keeps what it acknowledged, tells the living from the dead, and lets a run change state only by the table."""

import hashlib
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import core.schema
import core.store
from core import log, recovery
from core.database import Database
from core.errors import StoreError
from core.events import Discard, Ended, EpochDone, Event, Notice, Pause, Replanned, Saved, Started, StepDone, Stop
from core.recipe import Recipe
from core.schema import APPLICATION, MIGRATIONS
from core.store import BEFORE, STATES, RunStore, State, checked_id, new_id
from core.workspace import Workspace, open_workspace


def step(number: int, loss: float | None = 0.5) -> StepDone:
    return StepDone(step=number, epoch=1, loss=loss, correct=3, images=8, lr=0.001 / number, clock=number / 3)


def epoch(number: int, accuracy: float, best: bool) -> EpochDone:
    return EpochDone(
        epoch=number,
        step=number * 10,
        train_loss=1.0,
        train_accuracy=0.5,
        val_loss=0.9,
        val_accuracy=accuracy,
        val_macro_f1=0.4,
        best=best,
    )


def bring_to(store: RunStore, run_id: str, state: State) -> None:
    """Walk a fresh run to `state` along the table."""
    way: dict[State, tuple[State, ...]] = {
        "queued": (),
        "running": ("running",),
        **{s: ("running", s) for s in STATES if "running" in BEFORE[s]},
    }
    for new in way[state]:
        assert store.transition(run_id, new)


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


def test_a_workspace_where_processes_cannot_sign_in_is_named(tmp_path: Path) -> None:
    (tmp_path / "boots").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot write to the workspace folder .*boots"):
        RunStore(open_workspace(tmp_path))


def test_a_folder_that_cannot_be_made_is_named(store: RunStore, workspace: Workspace) -> None:
    run = store.create(Recipe())
    shutil.rmtree(workspace.runs)
    workspace.runs.write_text("in the way")
    with pytest.raises(StoreError, match=f"cannot write to the workspace folder .*{run.id}"):
        store.folder(run.id)


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


def test_a_folder_that_somebody_cleared_away_is_made_again(store: RunStore, workspace: Workspace) -> None:
    run = store.create(Recipe())
    shutil.rmtree(workspace.runs)
    assert store.folder(run.id).is_dir()


def test_a_run_is_renamed_but_never_to_nothing(store: RunStore) -> None:
    run = store.create(Recipe())
    store.rename(run.id, "  手势 <img onerror>  ")
    assert store.run(run.id).name == "手势 <img onerror>"
    with pytest.raises(StoreError, match="needs a name"):
        store.rename(run.id, " \n")


@pytest.mark.parametrize("bad", ["", "..", "../../etc", "0" * 25, "8" + "0" * 25, "0" * 25 + "U", "0" * 26 + "\n"])
def test_what_is_not_a_run_id_never_becomes_a_path(store: RunStore, bad: str) -> None:
    with pytest.raises(StoreError, match="no run called"):
        store.folder(bad)


def test_ids_are_ulids_that_sort_by_time() -> None:
    assert len(checked_id(new_id())) == 26
    assert new_id(0)[:10] == "0" * 10
    assert new_id(1) < new_id(2) < new_id(2**48 - 1)
    assert len({new_id(7) for _ in range(1000)}) == 1000


def saved(store: RunStore, run_id: str, number: int, content: bytes) -> Saved:
    (store.folder(run_id) / f"step-{number}.ckpt").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return Saved(step=number, epoch=1, file=f"step-{number}.ckpt", sha256=digest, size_bytes=len(content), best=False)


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


def test_a_server_queues_again_what_the_one_before_was_running_but_not_for_ever(workspace: Workspace) -> None:
    store = RunStore(workspace)
    store.serve()
    run = store.create(Recipe(name="tired"))
    waiting, manual = store.create(Recipe(name="waiting")), store.create(Recipe(name="manual"))
    bring_to(store, manual.id, "interrupted")
    store.delete(manual.id)
    for attempt in range(1, 4):
        assert store.transition(run.id, "running")
        store.append(run.id, [epoch(1, 0.5, True), step(12)])
        store.close()
        store = RunStore(workspace)
        store.serve()
        again, given_up = store.take_over()
        assert (again, given_up) == (([run.id], []) if attempt < 3 else ([], [run.id]))
        assert store.take_over() == ([], [])
        if again:
            assert store.adopt()[:2] == [run.id, waiting.id]
    now = store.run(run.id)
    assert (now.state, now.error) == ("failed", ("run.no_progress", {"run": "tired", "n": 3}))
    ended = store.events(run.id)[-1][1]
    assert isinstance(ended, Ended)
    assert (ended.step, ended.epoch, ended.best_epoch, ended.clock) == (12, 1, 1, 4.0)
    store.close()


# --- processes


def test_what_a_dead_process_was_running_is_interrupted_with_its_curve(workspace: Workspace) -> None:
    script = f"""
import os, signal
from core.events import StepDone
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import open_workspace
store = RunStore(open_workspace({str(workspace.root)!r}))
run = store.create(Recipe(name="lost"))
store.transition(run.id, "running")
store.append(run.id, [StepDone(step=n, epoch=1, loss=1.0, correct=0, images=1, lr=0.1, clock=n) for n in (1, 2, 3)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    store = RunStore(workspace)
    run = store.runs()[0]
    events = [event for _, event in store.events(run.id)]
    assert (run.state, run.step, run.seconds) == ("interrupted", 3, 3.0)
    assert [event.step for event in events] == [1, 2, 3, 3]
    assert events[-1] == Ended(outcome="interrupted", step=3, reason="lost", clock=3.0)
    assert store.recover() == []
    assert len(store.events(run.id)) == 4
    assert [file.stem for file in (workspace.root / "boots").glob("*.lock")] == [store.boot]
    store.close()


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


WRITER = """
import sys
from pathlib import Path
from random import Random
from core.events import StepDone
from core.recipe import Recipe
from core.store import RunStore
from core.workspace import open_workspace
store = RunStore(open_workspace(sys.argv[1]))
run = store.create(Recipe(name=sys.argv[2]))
store.transition(run.id, "running")
for n in range(1, int(sys.argv[3]) + 1):
    store.append(run.id, [StepDone(step=n, epoch=1, loss=1.0, correct=0, images=1, lr=0.1)])
    print(n, flush=True)
"""


def writer(workspace: Workspace, name: str, steps: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(workspace.root), name, str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_nothing_that_was_acknowledged_is_lost_by_kills(workspace: Workspace) -> None:
    random = Random(7)
    acknowledged: dict[str, int] = {}
    for number in range(6):
        with writer(workspace, f"kill {number}", 10_000) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(random.randint(1, 40))]
            time.sleep(random.random() / 200)
            child.kill()
            lines += child.stdout.readlines()
        acknowledged[f"kill {number}"] = max(int(line) for line in lines if line.endswith("\n"))
    store = RunStore(workspace)
    store._database.check()
    for run in store.runs():
        steps = [event.step for _, event in store.events(run.id) if isinstance(event, StepDone)]
        assert steps == list(range(1, len(steps) + 1))
        assert len(steps) - acknowledged[run.name] in {0, 1}
        assert run.state == "interrupted"
    assert len(acknowledged) == len(store.runs())
    store.close()


def test_processes_that_write_at_once_all_get_their_turn(workspace: Workspace) -> None:
    children = [writer(workspace, name, 100) for name in "abc"]
    for child in children:
        child.communicate()
    store = RunStore(workspace)
    store._database.check()
    assert [len(store.events(run.id)) for run in store.runs()] == [101] * 3  # and the end that each left to us
    store.close()


def test_a_running_process_is_left_alone_and_its_death_is_seen_by_those_who_look(workspace: Workspace) -> None:
    one, two = RunStore(workspace), RunStore(workspace)
    run = one.create(Recipe())
    one.transition(run.id, "running")
    assert two.recover() == []
    assert not two.transition(run.id, "running")
    assert two.runs()[0].state == "running"
    one.close()
    assert two.runs()[0].state == "interrupted"
    two.close()


def test_the_queue_of_a_dead_process_is_taken_over_in_its_order(workspace: Workspace) -> None:
    one = RunStore(workspace)
    a, b, c = (one.create(Recipe(name=name)).id for name in "abc")
    bring_to(one, a, "paused")
    one.transition(a, "queued")  # goes to the end
    two = RunStore(workspace)
    assert two.adopt() == []
    assert not two.transition(b, "running")
    one.close()
    assert two.adopt() == [b, c, a]
    assert two.transition(b, "running")
    two.close()


def test_a_run_that_waits_for_a_dead_process_can_be_started_by_another_that_never_looked(workspace: Workspace) -> None:
    one = RunStore(workspace)
    run = one.create(Recipe())
    one.close()
    two = RunStore(workspace)
    assert two.transition(run.id, "running")
    assert two.run(run.id).boot == two.boot
    two.close()


def test_a_change_of_state_that_is_no_start_takes_no_run_from_its_process(workspace: Workspace) -> None:
    one = RunStore(workspace)
    run = one.create(Recipe())
    boot = one.boot
    one.close()
    two = RunStore(workspace)
    assert two.transition(run.id, "discarded")
    assert two.run(run.id).boot == boot
    two.close()


def test_there_is_one_server_a_workspace(workspace: Workspace) -> None:
    one, two = RunStore(workspace), RunStore(workspace)
    one.serve()
    one.serve()
    with pytest.raises(StoreError, match="Another Thaw server"):
        two.serve()
    one.close()
    two.serve()
    two.close()


# --- the file


def test_an_older_database_is_carried_forward_and_copied_first(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(workspace)
    run = store.create(Recipe(name="old"))
    store.close()
    later = (*core.schema.MIGRATIONS, ("ALTER TABLE run ADD COLUMN stars INTEGER NOT NULL DEFAULT 5",))
    monkeypatch.setattr(core.store, "MIGRATIONS", later)
    store = RunStore(workspace)
    assert store.run(run.id) == run
    store.close()
    db = sqlite3.connect(workspace.database)
    assert db.execute("SELECT stars FROM run").fetchall() == [(5,)]
    assert db.execute("PRAGMA user_version").fetchone() == (len(later),)
    db.close()
    db = sqlite3.connect(workspace.root / f"thaw.v{len(later) - 1}.sqlite")
    assert "stars" not in [row[1] for row in db.execute("PRAGMA table_info(run)")]
    assert db.execute("SELECT name FROM run").fetchall() == [("old",)]
    db.close()
    monkeypatch.undo()
    with pytest.raises(StoreError, match="written by a newer Thaw") as newer:
        RunStore(workspace)
    told = {"path": str(workspace.database), "found": len(later), "known": len(MIGRATIONS)}
    assert newer.value.values == told


# --- everything together


class Machine(RuleBasedStateMachine):
    """Any order of claims, outcomes, resumptions and crashes; the model is a plain dict."""

    root: Path

    @initialize()
    def begin(self) -> None:
        self.workspace = open_workspace(self.root / new_id())
        self.store = RunStore(self.workspace)
        self.model: dict[str, State] = {}
        self.lengths: dict[str, int] = {}

    def teardown(self) -> None:
        self.store.close()

    @precondition(lambda self: len(self.model) < 3)
    @rule()
    def create(self) -> None:
        run = self.store.create(Recipe())
        self.model[run.id], self.lengths[run.id] = "queued", 0

    @precondition(lambda self: self.model)
    @rule(data=st.data(), new=st.sampled_from(STATES))
    def move(self, data: st.DataObject, new: State) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.model)))
        fits = self.model[run_id] in BEFORE[new]
        assert self.store.transition(run_id, new) is fits
        self.model[run_id] = new if fits else self.model[run_id]

    @precondition(lambda self: "running" in self.model.values())
    @rule(outcome=st.sampled_from(["finished", "stopped", "paused", "interrupted", "discarded", "failed"]))
    def end(self, outcome: State) -> None:
        run_id = next(r for r, state in self.model.items() if state == "running")
        self.store.append(run_id, [step(1), Ended(outcome=outcome)])
        self.model[run_id] = outcome
        self.lengths[run_id] += 2

    @rule()
    def crash(self) -> None:
        self.store.close()
        self.store = RunStore(self.workspace)
        self.store.adopt()
        for run_id, state in self.model.items():
            if state == "running":
                self.model[run_id] = "interrupted"
                self.lengths[run_id] += 1

    @invariant()
    def the_store_agrees_with_the_model(self) -> None:
        if hasattr(self, "model"):
            assert {run.id: run.state for run in self.store.runs()} == self.model
            assert {r: len(self.store.events(r)) for r in self.model} == self.lengths


def test_any_order_of_claims_outcomes_and_crashes_keeps_the_promises(tmp_path: Path) -> None:
    class Here(Machine):
        root = tmp_path

    quick = settings(
        max_examples=60,
        stateful_step_count=15,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Here, settings=quick)


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


# --- people -------------------------------------------------------------------------------------------------------------


def test_a_database_from_before_there_were_owners_opens_with_its_runs_and_keeps_a_copy(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    old = Database(workspace.database, application=APPLICATION, migrations=MIGRATIONS[:1])
    with old.write() as db:
        db.execute(
            "INSERT INTO run (id, name, recipe, state, boot, place, created) VALUES (?, 'old', ?, 'paused', 'x', 1, '2026')",
            (new_id(), Recipe().to_json()),
        )
    old.close()
    store = RunStore(workspace)
    (run,) = store.runs()
    assert (run.name, run.owner, run.state) == ("old", "", "paused")
    assert (tmp_path / "thaw.v1.sqlite").exists()
    store.close()


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
