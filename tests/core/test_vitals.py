"""A thread is silent for too long by the length of its own steps, never by the time of day."""

from core.vitals import FIRST_SECONDS, LEAST_SECONDS, TIMES, Pulse, write_stacks


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_patience_follows_the_median_step() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    assert (pulse.silent_seconds(), pulse.stalled) == (0.0, False)
    pulse.begin("a")
    assert pulse.patience_seconds == FIRST_SECONDS
    for step in range(1, 5):
        clock.now += 10 if step != 3 else 500
        pulse.beat(step)
    assert pulse.patience_seconds == TIMES * 10
    clock.now += TIMES * 10
    assert not pulse.stalled
    clock.now += 1
    assert (pulse.stalled, pulse.step) == (True, 4)
    pulse.beat()
    assert not pulse.stalled


def test_fast_steps_have_a_minute() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    pulse.begin("a")
    for step in range(1, 4):
        clock.now += 0.01
        pulse.beat(step)
    assert pulse.patience_seconds == LEAST_SECONDS
    pulse.end()
    clock.now += 1e6
    assert not pulse.stalled
    pulse.begin("b")
    assert pulse.patience_seconds == FIRST_SECONDS


def test_the_stacks_of_all_threads_are_written_where_that_is_possible(tmp_path) -> None:
    assert write_stacks(tmp_path / "gone") == "-"
    assert write_stacks(tmp_path) == str(tmp_path / "stalls.txt")
    assert "test_vitals" in (tmp_path / "stalls.txt").read_text("utf-8")
