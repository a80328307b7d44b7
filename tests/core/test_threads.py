"""What the person has set is kept; one core is left to the pages where there are two."""

import psutil
import pytest

from core.threads import set_threads


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)


def test_a_core_that_we_may_use_is_left_to_the_pages() -> None:
    place: dict[str, str] = {}
    assert set_threads(interactive=True, environment=place) == 2
    assert place == {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


def test_all_cores_that_we_may_use_compute_when_nobody_watches() -> None:
    assert set_threads(interactive=False, environment={}) == 3


def test_what_was_set_by_hand_is_kept() -> None:
    place = {"OMP_NUM_THREADS": "7,2", "GOMP_SPINCOUNT": "infinity"}
    assert set_threads(interactive=True, environment=place) == 7
    assert place["GOMP_SPINCOUNT"] == "infinity"
