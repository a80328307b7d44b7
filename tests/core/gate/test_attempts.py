"""Attempts: the sixth in a minute waits, many at a time are counted, and one person's failures are not another's."""

import threading

from core.gate import Attempts
from core.gate.attempts import ALTOGETHER, PER_ADDRESS, PER_NAME, REMEMBERED


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_sixth_attempt_in_a_minute_waits_until_the_first_is_a_minute_old() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(5):
        assert attempts.begin("ann", "10.0.0.1") == 0
        clock.now += 2
    assert attempts.begin("ann", "10.0.0.1") == 50
    clock.now += 49.9
    assert attempts.begin("ann", "10.0.0.1") == 1
    clock.now += 0.1
    assert attempts.begin("ann", "10.0.0.1") == 0


def test_whoever_waits_is_not_counted_again() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(50):
        attempts.begin("ann", "10.0.0.1")
    clock.now += 60
    assert attempts.begin("ann", "10.0.0.1") == 0


def test_a_right_password_forgives_the_failures_before_it() -> None:
    attempts = Attempts(Clock())
    for _ in range(20):
        for _ in range(4):
            assert attempts.begin("ann", "10.0.0.1") == 0
        attempts.passed("ann", "10.0.0.1")
        attempts._failed.pop(("name", "ann"), None)  # that limit is tested on its own
        attempts._failed.pop(("address", "10.0.0.1"), None)
    assert attempts.begin("ann", "10.0.0.1") == 0


def test_others_from_elsewhere_do_not_wait() -> None:
    attempts = Attempts(Clock())
    for _ in range(9):
        attempts.begin("ann", "10.0.0.1")
    assert attempts.begin("bob", "10.0.0.1") == 0
    assert attempts.begin("ann", "10.0.0.2") == 0


def test_one_name_from_many_addresses_and_many_names_from_one_address_come_to_an_end() -> None:
    by_name = Attempts(Clock())
    assert sum(by_name.begin("ann", f"10.0.{n}.1") == 0 for n in range(200)) == PER_NAME[0]
    by_address = Attempts(Clock())
    assert sum(by_address.begin(f"n{n}", "10.0.0.1") == 0 for n in range(200)) == PER_ADDRESS[0]
    both = Attempts(Clock())
    assert sum(both.begin(f"n{n}", f"10.{n // 250}.{n % 250}.1") == 0 for n in range(1000)) == ALTOGETHER[0]


def test_the_addresses_of_one_house_are_one_address() -> None:
    attempts = Attempts(Clock())
    for n in range(PER_ADDRESS[0]):
        attempts.begin(f"n{n}", f"2001:db8:1:2::{n:x}")
    assert attempts.begin("x", "2001:db8:1:2:ffff::1") > 0
    assert attempts.begin("x", "2001:db8:1:3::1") == 0


def test_a_hundred_attempts_at_one_moment_are_all_counted() -> None:
    attempts = Attempts(Clock())
    passed: list[float] = []
    threads = [threading.Thread(target=lambda: passed.append(attempts.begin("ann", "10.0.0.1"))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed.count(0) == 5


def test_memory_has_an_end() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for n in range(REMEMBERED):
        clock.now += ALTOGETHER[1]
        attempts.begin(f"n{n}", f"{n}")
    assert len(attempts._failed) <= REMEMBERED
