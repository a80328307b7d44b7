"""The store keeps what it acknowledged, and tells the living from the dead."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import core.schema
import core.store.store
from core.database import Database
from core.errors import StoreError
from core.events import Ended, StepDone
from core.recipe import Recipe
from core.schema import APPLICATION, MIGRATIONS
from core.store import BEFORE, STATES, RunStore, State, new_id
from core.workspace import Workspace, open_workspace
from tests.core.store.samples import bring_to, epoch, step


def test_a_workspace_where_processes_cannot_sign_in_is_named(tmp_path: Path) -> None:
    (tmp_path / "boots").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot write to the workspace folder .*boots"):
        RunStore(open_workspace(tmp_path))


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


def test_an_older_database_is_carried_forward_and_copied_first(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(workspace)
    run = store.create(Recipe(name="old"))
    store.close()
    later = (*core.schema.MIGRATIONS, ("ALTER TABLE run ADD COLUMN stars INTEGER NOT NULL DEFAULT 5",))
    monkeypatch.setattr(core.store.store, "MIGRATIONS", later)
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
