"""Background work: told apart, watched, called off, and never silent about how it ended."""

import threading
import time

import pytest

from core.errors import DataError, Interrupted
from ui.jobs import MOST_ENDED, Cancelled, Job, Jobs, Progress, _run


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


def ended(job: Job) -> Job:
    assert job.wait(10)
    return job


def test_a_job_tells_how_far_it_is_and_what_came_of_it(jobs: Jobs) -> None:
    half, go_on = threading.Event(), threading.Event()

    def work(progress: Progress, cancelled: Cancelled) -> str:
        progress(5, 10)
        half.set()
        go_on.wait(10)
        return "made"

    job = jobs.start("import", "flowers", work)
    assert half.wait(10)
    assert (job.state, job.share) == ("running", 0.5)
    go_on.set()
    assert (ended(job).state, job.result, job.error) == ("done", "made", None)


def test_the_same_work_is_not_begun_twice_while_it_runs(jobs: Jobs) -> None:
    go_on = threading.Event()
    first = jobs.start("weights", "resnet18", lambda progress, cancelled: go_on.wait(10))
    assert jobs.start("weights", "resnet18", lambda progress, cancelled: None) is first
    assert jobs.start("weights", "resnet50", lambda progress, cancelled: None) is not first
    go_on.set()
    ended(first)
    assert jobs.start("weights", "resnet18", lambda progress, cancelled: None) is not first


def test_a_job_that_is_called_off_says_so(jobs: Jobs) -> None:
    begun = threading.Event()

    def work(progress: Progress, cancelled: Cancelled) -> None:
        begun.set()
        while not cancelled():
            pass
        raise DataError("data.cancelled", name="flowers")

    job = jobs.start("import", "flowers", work)
    assert begun.wait(10)
    job.cancel()
    assert ended(job).state == "cancelled"


def test_what_is_done_in_spite_of_a_late_call_off_counts_as_done(jobs: Jobs) -> None:
    go_on = threading.Event()

    def work(progress: Progress, cancelled: Cancelled) -> str:
        go_on.wait(10)
        return "made"

    job = jobs.start("import", "flowers", work)
    job.cancel()
    go_on.set()
    assert (ended(job).state, job.result) == ("done", "made")


def test_a_failure_keeps_its_code_and_values(jobs: Jobs) -> None:
    def work(progress: Progress, cancelled: Cancelled) -> None:
        raise DataError("path.missing", path="/nowhere")

    job = ended(jobs.start("import", "flowers", work))
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.values) == ("path.missing", {"path": "/nowhere"})


def test_an_unforeseen_failure_has_words_too(jobs: Jobs) -> None:
    def work(progress: Progress, cancelled: Cancelled) -> None:
        raise ZeroDivisionError("by nought")

    job = ended(jobs.start("import", "flowers", work))
    assert job.error is not None
    assert (job.error.code, job.error.values) == ("job.broken", {"reason": "ZeroDivisionError: by nought"})


def test_the_newest_job_of_a_kind_is_found_until_it_is_forgotten(jobs: Jobs) -> None:
    first = ended(jobs.start("import", "a", lambda progress, cancelled: 1))
    second = ended(jobs.start("import", "b", lambda progress, cancelled: 2))
    assert jobs.find("import") is second
    assert jobs.find("import", "a") is first
    assert jobs.get(first.id) is first
    jobs.forget(first)
    assert (jobs.get(first.id), jobs.find("import", "a"), jobs.find("weights")) == (None, None, None)


def test_what_ended_long_ago_is_forgotten_and_what_runs_is_not(jobs: Jobs) -> None:
    go_on = threading.Event()
    running = jobs.start("import", "long", lambda progress, cancelled: go_on.wait(10))
    begun = [jobs.start("import", str(number), lambda progress, cancelled: "made") for number in range(MOST_ENDED + 5)]
    for job in begun:
        ended(job)
    newest = jobs.start("import", "newest", lambda progress, cancelled: None)
    known = [job for job in begun if jobs.get(job.id) is not None]
    assert known == begun[-MOST_ENDED:]
    assert jobs.get(running.id) is running
    assert jobs.get(newest.id) is newest
    go_on.set()


def test_work_hears_at_closing_that_it_will_be_gone_on_with_and_at_a_cancel_that_it_will_not(jobs: Jobs) -> None:
    heard: list[str] = []

    def work(progress: Progress, cancelled: Cancelled) -> None:
        try:
            while not cancelled():
                pass
            heard.append("cancelled")
        except Interrupted:
            heard.append("interrupted")
            raise

    first = jobs.start("import", "flowers", work)
    first.cancel()
    assert ended(first).state == "cancelled"
    second = jobs.start("import", "flowers", work)
    jobs.close()
    assert (heard, second.state, second.error) == (["cancelled", "interrupted"], "cancelled", None)


def test_the_time_left_is_reckoned_from_the_pace_of_what_was_done_here(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.jobs.SETTLED_SECONDS", 0.0)
    seen: list[float | None] = []

    def work(progress: Progress, cancelled: Cancelled) -> Job:
        progress(900, 1000)  # was done by an earlier server
        seen.append(job.seconds_left)
        time.sleep(0.1)
        progress(950, 1000)
        seen.append(job.seconds_left)
        return job

    job = Job("1", "import", "flowers")
    _run(job, work)
    assert seen[0] is None
    assert seen[1] is not None
    assert 0.1 <= seen[1] < 1.0
    assert job.seconds_left is None
