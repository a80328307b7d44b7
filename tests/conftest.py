"""What every test needs: no threads fighting for two cores, a browser for those who drive one, real data where it lies."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium, installed from Debian's packages where it is missing and that is possible; else the test skips."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if shutil.which("apt-get") and os.geteuid() == 0:
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-q"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium", "fonts-noto-cjk"], **quiet)
        if found := shutil.which("chromium"):
            return found
    pytest.skip("no Chromium here, and it cannot be installed: apt-get and root are needed")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that `THAW_TEST_DATA` names, with sign-digits.zip and bccd.zip."""
    folder = os.environ.get("THAW_TEST_DATA")
    if not folder:
        pytest.skip("THAW_TEST_DATA is not set: it names a folder with sign-digits.zip")
    return Path(folder)
