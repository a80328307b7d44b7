"""What every test needs: no threads fighting for two cores, a browser for those who drive one, real data where it lies."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import hypothesis
import psutil
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Others test beside us: four threads on two cores wait for each other at every small operation, ten times as long."""
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
"""Some images forbid Python to keep what it compiled. The tests start sixty processes: each would compile pandas anew."""


from core.allocator import keep_freed  # noqa: E402  threads first
from tests import branches  # noqa: E402

keep_freed()

hypothesis.settings.register_profile("untimed", deadline=None)  # a test that others slow down has not failed
hypothesis.settings.load_profile("untimed")


ROOM = 4 * 2**30
"""Bytes of memory that a process of tests may need, with the server and the browser that it drives."""


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores, for tests wait a fifth of their time for servers and browsers; fewer in little memory."""
    return max(2, min((os.cpu_count() or 1) + 1, psutil.virtual_memory().available // ROOM))


def pytest_configure(config: pytest.Config) -> None:
    """See `tests/branches.py`."""
    branches.configure(config)


LONG = (
    "browser/test_main_road.py",
    "browser",
    "nightly/test_restart.py",
    "core/backbones/test_catalogue.py",
    "core/training",
    "core/dataset/test_apart.py",
    "ui/test_server.py",
    "nightly",
    "core",
)
"""What takes longest, the longest first: processes share the files, and none should be left with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort files by `LONG`; inside a file all stays as it is."""
    here = Path(__file__).parent

    @cache
    def rank(path: Path) -> int:
        return next((at for at, long in enumerate(LONG) if path.is_relative_to(here / long)), len(LONG))

    items.sort(key=lambda item: rank(item.path))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium, installed from Debian's packages where it is missing and that is possible; else the test skips."""
    with _one_at_a_time():
        if not (found := _browser()) and shutil.which("apt-get") and os.geteuid() == 0:
            _install()
            found = _browser()
    if found:
        return found
    pytest.skip("no Chromium here, and it cannot be installed: apt-get and root are needed")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Among the processes that share the tests, one installs; the others wait and then find it there."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with open(Path(tempfile.gettempdir()) / "thaw-tests-install.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def _install() -> None:
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update", "-q"], **quiet)
    subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium", "fonts-noto-cjk"], **quiet)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that `THAW_TEST_DATA` names, with sign-digits.zip and bccd.zip."""
    folder = os.environ.get("THAW_TEST_DATA")
    if not folder:
        pytest.skip("THAW_TEST_DATA is not set: it names a folder with sign-digits.zip")
    return Path(folder)
