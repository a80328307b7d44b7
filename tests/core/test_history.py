"""What a page shows of a run is a function of what the run has said."""

import pytest

from core import events
from core.events import (
    ClassScore,
    Ended,
    EpochDone,
    Event,
    GroupInfo,
    Measuring,
    Notice,
    Preparing,
    Saved,
    Scores,
    Started,
    StepDone,
)
from core.history import History, Interruption, RunState
from core.steps import Steps


def started(at: int = 0, clock: float = 10.0) -> Started:
    return Started(
        clock=clock,
        device="cpu",
        precision="fp32",
        threads=1,
        versions={"torch": "2"},
        fingerprint="f",
        classes=("a", "b"),
        splits={"train": 32},
        parameters_total=10,
        parameters_trainable=5,
        groups=(GroupInfo(name="fc", lr_scale=1.0, parameters=5),),
        held=(),
        steps_per_epoch=4,
        epochs=3,
        step=at,
    )


def step(number: int) -> StepDone:
    """Half a second and eight images each, after ten seconds of preparation."""
    return StepDone(
        step=number, epoch=(number - 1) // 4 + 1, loss=1 / number, correct=4, images=8, lr=0.1, clock=10 + number / 2
    )


def epoch(number: int, best: bool = True) -> EpochDone:
    return EpochDone(
        clock=10 + number * 2.0,
        epoch=number,
        step=number * 4,
        train_loss=1.0,
        train_accuracy=0.5,
        val_loss=1.0,
        val_accuracy=0.5,
        val_macro_f1=0.5,
        best=best,
    )


SCORES = Scores(
    images=2,
    loss=0.1,
    accuracy=0.5,
    macro_f1=0.5,
    per_class=(ClassScore(name="a", support=2, found=1, predicted=1, precision=1.0, recall=0.5, f1=0.7),),
    confusion=((1, 1), (0, 0)),
    majority_accuracy=0.5,
)
TESTED = events.Tested(clock=17, split="test", epoch=3, scores=SCORES, file="test.json")


def fed(*said: Event) -> History:
    history = History()
    for event in said:
        history.feed(event)
    return history


def test_a_run_that_has_said_nothing_waits() -> None:
    assert History().state() == RunState()


@pytest.mark.parametrize(
    ("said", "stage"),
    [
        ([Preparing(what="data", done=1, total=9)], "preparing"),
        ([started()], "training"),
        ([started(), step(1), step(2), step(3)], "training"),
        ([started(), *map(step, range(1, 5))], "validating"),
        ([started(), *map(step, range(1, 5)), epoch(1)], "training"),
        ([started(), *map(step, range(1, 13)), epoch(3)], "testing"),
        ([started(), step(1), Measuring(what="test", done=1, total=9)], "testing"),
        ([started(), step(1), Measuring(what="val", done=9, total=9), epoch(1)], "training"),
        ([started(), step(1), Ended(outcome="paused")], "ended"),
        ([started(), step(1), Ended(outcome="paused"), Preparing(what="model", done=0, total=1)], "preparing"),
    ],
)
def test_the_stage_is_told_from_what_came_last(said: list[Event], stage: str) -> None:
    assert fed(*said).state().stage == stage


def test_progress_counts_steps_of_all_steps() -> None:
    state = fed(Preparing(what="data", done=3, total=9, clock=1.0), started(), *map(step, range(1, 7))).state()
    assert (state.step, state.steps_total, state.fraction, state.epoch, state.epochs_total) == (6, 12, 0.5, 2, 3)
    assert (state.seconds, state.seconds_left, state.images_per_second) == (13.0, 3.0, 16.0)
    assert (state.loss, state.lr, state.groups[0].name) == (1 / 6, 0.1, "fc")


def test_speed_leaves_validation_out_and_the_time_left_counts_it() -> None:
    slow = epoch(1).model_copy(update={"clock": 20.0})  # eight seconds of validation
    later = [step(n).model_copy(update={"clock": 20 + (n - 4) / 2}) for n in (5, 6)]
    state = fed(started(), *map(step, range(1, 5)), slow, *later).state()
    assert state.images_per_second == 16.0
    assert state.seconds_left == 6 * (21.0 - 10.0) / 6


def test_the_best_epoch_is_the_last_that_was_called_best() -> None:
    state = fed(started(), epoch(1), epoch(2), epoch(3, best=False)).state()
    assert [e.epoch for e in state.epochs] == [1, 2, 3]
    assert state.best == epoch(2)


def test_an_epoch_that_was_stopped_half_way_counts_as_half() -> None:
    whole, half = epoch(2), epoch(2).model_copy(update={"step": 6})
    assert fed(started(), epoch(1), whole).state().best_part == 1.0
    stopped = fed(started(), *map(step, range(1, 7)), half, Ended(outcome="stopped", step=6)).state()
    assert (stopped.best_part, stopped.epochs_learned) == (0.5, 1.5)
    assert (RunState().best_part, RunState().epochs_learned) == (1.0, 0.0)


def test_the_best_of_an_epoch_that_was_stopped_half_way_is_not_forgotten_when_it_is_finished() -> None:
    half = epoch(2).model_copy(update={"step": 6, "val_accuracy": 0.9})
    before = [started(), epoch(1), half, Ended(outcome="stopped", step=6)]
    state = fed(*before, started(at=6), epoch(2, best=False)).state()
    assert state.epochs == (epoch(1), epoch(2, best=False))
    assert state.best == half
    assert fed(*before, started(at=4), epoch(2, best=False)).state().best == epoch(1)


def test_a_finished_run_shows_all_it_reached() -> None:
    saved = Saved(step=12, epoch=3, file="c", sha256="s", size_bytes=1, best=True)
    ended = Ended(outcome="finished", step=12, epoch=3, clock=17)
    state = fed(started(), step(12), epoch(3), saved, TESTED, Notice(code="n"), Notice(code="n"), ended).state()
    assert (state.state, state.fraction, state.scores, state.saved, state.ended) == ("finished", 1.0, SCORES, saved, ended)
    assert state.notices == (Notice(code="n"),)
    assert state.seconds_left is None


def test_of_notices_that_count_the_newest_stands() -> None:
    def told(n: int) -> Notice:
        return Notice(code="training.passed_over", values={"n": n, "step": 3 * n, "most": 3})

    assert fed(started(), told(1), Notice(code="n"), told(2)).state().notices == (Notice(code="n"), told(2))


def test_a_continuation_goes_back_to_its_checkpoint() -> None:
    history = fed(
        started(), *map(step, range(1, 5)), epoch(1), *map(step, range(5, 8)), Ended(outcome="interrupted", clock=14)
    )
    assert history.curve.done
    state = history.state("queued")
    assert (state.state, state.stage, state.step) == ("queued", "waiting", 7)
    history.feed(Preparing(what="data", done=0, total=1, clock=14.5))
    assert not history.curve.done
    history.feed(started(at=4, clock=15.0))
    state = history.state()
    assert (state.state, state.step, [e.epoch for e in state.epochs], state.ended) == ("running", 4, [1], None)
    history.feed(step(5).model_copy(update={"clock": 16.0}))
    assert history.curve.since(-1, "")["x"] == [1, 2, 3, 4, 5]
    assert history.state().seconds_left == 7.0
    assert history.attempts == [(0.0, 10.0, 14.0), (14.5, 15.0, 16.0)]


def test_where_a_run_was_interrupted_and_from_where_it_went_on_is_known() -> None:
    broken = Ended(outcome="interrupted", step=7)
    history = fed(started(), step(1), Ended(outcome="paused", step=1), started(at=1), step(7), broken)
    assert history.state().interruptions == ()
    history.feed(Preparing(what="data", done=0, total=1))
    history.feed(started(at=4))
    history.feed(step(5))
    assert history.state().interruptions == (Interruption(at=7, went_on_from=4),)
    history.feed(Ended(outcome="interrupted", step=0))  # it had not even been opened again
    history.feed(started(at=5))
    assert history.state().interruptions[-1] == Interruption(at=5, went_on_from=5)


def test_attempts_are_counted_from_the_moment_that_one_may_begin() -> None:
    history = fed()
    assert history.state().attempt == 1
    history.feed(started())
    assert history.state().attempt == 1
    history.feed(Ended(outcome="paused", step=1))
    assert history.state("running").attempt == 2
    history.feed(started(at=1))
    assert history.state().attempt == 2


def test_many_steps_at_once_say_the_same_as_one_by_one() -> None:
    steps = [step(n) for n in range(1, 200)]
    slow, quick = fed(started(), *steps), fed(started())
    quick.feed(Steps.of(steps))
    assert quick.state() == slow.state()
    theirs, ours = (h.curve.since(-1, "") for h in (slow, quick))
    assert {**theirs, "epoch": ""} == {**ours, "epoch": ""}


def test_a_state_read_is_not_changed_by_later_events() -> None:
    history = fed(started(), step(1), epoch(1))
    before = history.state()
    history.feed(epoch(2))
    history.feed(Notice(code="later"))
    assert (len(before.epochs), before.notices) == (1, ())
