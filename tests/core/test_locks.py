"""A lock is held by one, and let go by the system when its holder dies."""

import subprocess
import sys
from pathlib import Path

from core import locks


def test_a_lock_is_held_by_one_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert not locks.is_held(path)
    first = locks.take(path)
    assert first is not None
    assert locks.take(path, timeout_seconds=0.01) is None
    assert locks.is_held(path)
    first.release()
    first.release()
    with locks.take(path) or first as second:
        assert second is not first
    assert not locks.is_held(path)


def test_a_new_lock_is_held_from_its_first_moment(tmp_path: Path) -> None:
    hold = locks.born_locked(tmp_path / "b.lock")
    assert locks.is_held(tmp_path / "b.lock")
    assert [file.name for file in tmp_path.iterdir()] == ["b.lock"]
    hold.release()


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "c.lock"
    script = f"""
from pathlib import Path
from core import locks
hold = locks.take(Path({str(path)!r}))
print("held", flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        assert locks.is_held(path)
        child.kill()
        child.wait()
        assert not locks.is_held(path)
