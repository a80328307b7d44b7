"""`thaw unit`: a unit that systemd takes, with the user, the limits and the flags that were asked for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.cli import main


@pytest.fixture
def unit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_LANGUAGE", "en")
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "1")

    def run(*words: str) -> tuple[int, str, str]:
        return main(["unit", *words]), *capsys.readouterr()  # type: ignore[return-value]

    return run


def test_it_has_a_user_of_its_own_and_its_walls(unit) -> None:
    status, text, _ = unit()
    assert status == 0
    lines = text.splitlines()
    for line in (
        "User=thaw", "UMask=077", "NoNewPrivileges=yes", "ProtectSystem=strict", "ReadWritePaths=/var/lib/thaw",
        "PrivateTmp=yes", "MemoryMax=85%", "TasksMax=1024", "Restart=always", "OOMScoreAdjust=-200", "TimeoutStopSec=60",
        "SuccessExitStatus=75", "Environment=THAW_RESTARTS=1", "StateDirectory=thaw",
    ):  # fmt: skip
        assert line in lines, line
    thaw = Path(sys.executable).with_name("thaw")
    assert (
        f"ExecStart={thaw} ui --no-browser --workspace /var/lib/thaw --address 127.0.0.1 --port 8501 --device auto" in lines
    )


def test_odd_paths_are_quoted_and_a_line_break_is_refused(unit) -> None:
    _, text, _ = unit("--workspace", '/srv/a b%c$d"e', "--host", "thaw.school", "--user", "teacher")
    assert r'ReadWritePaths="/srv/a b%%c$d\"e"' in text
    assert r'--workspace "/srv/a b%%c$$d\"e" --address' in text
    assert "--host thaw.school" in text
    assert "User=teacher" in text
    assert "StateDirectory" not in text
    assert "$home" not in text
    status, text, error = unit("--workspace", "/srv/a\nExecStart=/bin/sh")
    assert (status, text) == (1, "")
    assert "cannot stand in a unit" in error


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
@pytest.mark.parametrize(
    "words", [(), ("--workspace", "/srv/a b%c$d", "--address", "0.0.0.0", "--cert", "/c", "--key", "/k")]
)
def test_systemd_takes_it(unit, tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / "thaw.service"
    file.write_text(unit(*words)[1].replace(str(Path(sys.executable).with_name("thaw")), sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "thaw.service" in line]) == (0, [])
