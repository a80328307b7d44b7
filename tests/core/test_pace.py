"""What runs took is noted beside what was reckoned, and the next estimate has learned from it."""

from pathlib import Path

import pytest

from core.dataset import open_dataset
from core.errors import WeightsError
from core.estimate import Costs, Estimate, remember_costs
from core.events import Ended, Event, FirstSteps, Kept, Memory, Preparing, Replanned, Started, StepDone
from core.pace import FILE, MOST, RECKONING, Lap, Stopwatch, corrected, laps
from core.recipe import Recipe
from core.workspace import Workspace, open_workspace

RECIPE = Recipe(backbone="resnet18", epochs=2, device="cpu")
TOLD = Estimate(memory_bytes=1, seconds_per_epoch=10.0, seconds_once=4.0, kept=True, forward_flops=1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path)


def started(step: int = 0, clock: float = 5.0) -> Started:
    return Started(
        device="cpu", precision="fp32", threads=1, versions={}, fingerprint="", classes=("a", "b"), splits={"train": 10},
        parameters_total=1, parameters_trainable=1, groups=(), held=(), steps_per_epoch=1, epochs=2, step=step, clock=clock,
    )  # fmt: skip


def step(number: int, clock: float) -> StepDone:
    return StepDone(step=number, epoch=1, loss=0.5, correct=1, images=2, lr=0.1, clock=clock)


def kept(clock: float, seconds: float | None = 0.1) -> Kept:
    return Kept(step=0, block="layer4", share=0.9, views=1, size_bytes=1, seconds_per_image=seconds, clock=clock)


END = Ended(outcome="finished", step=2, clock=40.0)
RUN: list[Event] = [
    Preparing(what="data", done=1, total=1, clock=4.0),
    started(),
    Preparing(what="features", done=1, total=1, clock=8.0),
    kept(9.0),
    step(1, 19.0),
    step(2, 29.0),
    END,
]


def listen(workspace: Workspace, events: list[Event], told: Estimate | None = TOLD) -> list[Lap]:
    watch = Stopwatch(RECIPE, workspace, lambda recipe, workspace, started: told)
    for event in events:
        watch.hear(event)
    return laps(workspace)


def test_only_training_is_counted_and_what_was_reckoned_stands_beside_it(workspace: Workspace) -> None:
    tried = FirstSteps(seconds_per_step=1.0, memory_bytes=7, clock=5.0)
    [lap] = listen(workspace, [*RUN[:2], tried, *RUN[2:]])
    assert lap == Lap(
        "resnet18",
        RECIPE.image_size,
        RECIPE.strategy,
        "cpu",
        True,
        reckoned=24.0,
        told=24.0,
        took=24.0,
        memory_reckoned=TOLD.memory_bytes,
        memory_took=7,
        reckoning=RECKONING,
    )


def test_what_was_told_to_the_person_is_what_earlier_runs_had_taught(workspace: Workspace) -> None:
    note(workspace, ("resnet18", "cpu", True, 0.5))
    _, lap = listen(workspace, RUN)
    assert (lap.reckoned, lap.told, lap.took) == (24.0, 12.0, 24.0)


def test_what_was_kept_from_before_was_not_reckoned_with(workspace: Workspace) -> None:
    [lap] = listen(workspace, [started(), kept(5.1, None), step(1, 15.1), step(2, 25.1), END])
    assert (lap.reckoned, lap.took) == (20.0, pytest.approx(20.1))


@pytest.mark.parametrize(
    "events",
    [
        [started(step=7), step(8, 9.0), END],
        [*RUN[:-2], Memory(step=1, images_at_once=4, clock=19.5), *RUN[-2:]],
        [*RUN[:-1], Ended(outcome="stopped", step=2, clock=40.0)],
        [*RUN[:-1], Ended(outcome="finished", reason="early_stop", step=2, clock=40.0)],
        [Preparing(what="data", done=1, total=1, clock=4.0), END],
    ],
    ids=["continued", "out of memory", "stopped", "ended early", "never begun"],
)
def test_runs_that_nobody_reckoned_teach_nothing(workspace: Workspace, events: list[Event]) -> None:
    assert listen(workspace, events) == []


@pytest.mark.parametrize(("cause", "noted"), [("timeline", 1), ("person", 0)])
def test_a_timeline_was_reckoned_with_and_a_persons_change_was_not(workspace: Workspace, cause: str, noted: int) -> None:
    change = Replanned(
        cause=cause, step=1, epoch=2, rules=(), lr=0.1, parameters_trainable=1, groups=(), held=(), clock=19.5
    )  # fmt: skip
    assert len(listen(workspace, [*RUN[:-2], change, *RUN[-2:]])) == noted


def test_where_the_speed_of_the_machine_is_not_known_nothing_is_noted(workspace: Workspace) -> None:
    assert listen(workspace, RUN, None) == []


def test_a_network_that_is_gone_and_a_full_disk_are_no_harm(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> Estimate:
        raise WeightsError("weights.over_limit", file="x")

    for reckon in (gone, lambda *_: TOLD):
        if reckon is not gone:
            monkeypatch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        watch = Stopwatch(RECIPE, workspace, reckon)
        for event in RUN:
            watch.hear(event)
    assert laps(workspace) == []


def note(workspace: Workspace, *all: tuple[str, str, bool, float]) -> None:
    from core import pace

    for backbone, device, was_kept, ratio in all:
        pace._write(workspace, Lap(backbone, 64, "head", device, was_kept, 10.0, 10.0, 10.0 * ratio, reckoning=RECKONING))


def test_an_estimate_learns_from_runs_of_its_own_network_first(workspace: Workspace) -> None:
    assert corrected(TOLD, RECIPE, workspace) == TOLD
    note(workspace, ("vgg11", "cpu", True, 3.0), ("vgg11", "cuda", True, 9.0))
    assert corrected(TOLD, RECIPE, workspace).seconds(2) == pytest.approx(72.0)
    note(workspace, *[("resnet18", "cpu", True, ratio) for ratio in (9.0, 0.5, 0.5, 0.5, 9.0, 0.5)])
    note(workspace, ("resnet18", "cpu", False, 2.0))
    assert corrected(TOLD, RECIPE, workspace).seconds(2) == pytest.approx(12.0)
    note(workspace, *[("resnet18", "cpu", True, 1000.0)] * 5)
    assert corrected(TOLD, RECIPE, workspace).seconds(2) == pytest.approx(120.0)


def test_the_file_stays_small_and_damage_costs_a_line(workspace: Workspace) -> None:
    note(workspace, *[("resnet18", "cpu", True, 1.0 + number / 1000) for number in range(MOST + 3)])
    assert len(laps(workspace)) == MOST
    file = workspace.root / FILE
    file.write_bytes(b"\xff\n{}\n" + file.read_bytes()[:-20])
    found = laps(workspace)
    assert (len(found), found[0].took) == (MOST - 1, pytest.approx(10.03))


def test_a_real_run_is_noted_with_what_the_planner_says_of_it(workspace: Workspace) -> None:
    from core.drive import drive
    from core.store import RunStore

    open_dataset(workspace, "demo:digits")
    recipe = Recipe(dataset="demo:digits", backbone="thaw-small", weights="bundled", image_size=32, epochs=1, device="cpu")
    remember_costs(recipe, Costs(learning=2e-3, asked=5e-4, changing=1e-4, update=1e-9, step=1e-3))
    store = RunStore(workspace)
    try:
        drive(store, store.create(recipe).id)
    finally:
        store.close()
    [lap] = laps(workspace)
    assert (lap.backbone, lap.image_size, lap.device) == ("thaw-small", 32, "cpu")
    assert 0.05 < lap.ratio < 20
