"""Server: `thaw ui` as a process of its own, the sessions and the files that browsers would bring it."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.nightly.proof import ROOT
from core import log
from core.workspace import Workspace

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

START_SECONDS = 180
UNHANDLED = "Traceback (most recent call last)"
_TOKEN = re.compile(rb'"token": ?"([\w-]{32})"')


class Server:
    """Use as a context: it answers inside, and is killed at the end if it still lives."""

    def __init__(self, workspace: Workspace, module: str = "core.cli", **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command = [sys.executable, "-m", module, "ui", "--no-browser", "--port", str(self.port)]
        command += ["--workspace", str(workspace.root), "--device", "cpu"]
        self._told = (workspace.root / "server.txt", workspace.root / log.NAME)
        self._begin = self._told[0].stat().st_size if self._told[0].exists() else 0
        self._out = self._told[0].open("ab")
        about = {**os.environ, "OMP_NUM_THREADS": "1", "THAW_LANGUAGE": "en", **environment}
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=self._out, stderr=self._out, env=about)
        self.pid = self._process.pid

    def __enter__(self) -> "Server":
        end = time.monotonic() + START_SECONDS
        while b"Thaw is ready" not in self._told[0].read_bytes()[self._begin :]:
            if time.monotonic() > end or not self.alive():
                raise RuntimeError(f"the server did not start: {self._told[0].read_text()[-2000:]}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._out.close()

    def alive(self) -> bool:
        return self._process.poll() is None

    def terminate(self) -> None:
        """SIGTERM, as a service manager or a container says it."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """True if it has ended within that time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.alive()

    def status(self) -> int | None:
        """How it has ended; None while it lives."""
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL."""
        if self.alive():
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(20)

    def health(self) -> float:
        """Seconds that an answer takes; 30 if there is none."""
        begin = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            return 30.0
        finally:
            connection.close()
        return time.monotonic() - begin

    def session(self) -> "ClientConnection":
        """The open websocket of a browser."""
        from websockets.sync.client import connect

        url = f"ws://127.0.0.1:{self.port}/_stcore/stream"
        return connect(url, origin=f"http://127.0.0.1:{self.port}", max_size=2**26, open_timeout=60, close_timeout=1)  # type: ignore[arg-type]

    def upload(self, ticket: str, name: str, data: bytes) -> int:
        """The status that a file is answered with."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"x-thaw-ticket": ticket, "origin": f"http://127.0.0.1:{self.port}"}
        try:
            connection.request("PUT", f"/api/upload?batch={'0' * 16}&path={name}", data, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def unhandled(self) -> list[str]:
        """Tracebacks: what it wrote to its terminal, and what no page caught."""
        texts = [file.read_text("utf-8", errors="replace") for file in self._told if file.exists()]
        return [UNHANDLED + part[:6000] for text in texts for part in text.split(UNHANDLED)[1:]]


def rerun(page: str) -> bytes:
    """What a browser says that wants to see a page."""
    from streamlit.proto.BackMsg_pb2 import BackMsg

    message = BackMsg()
    message.rerun_script.query_string = ""
    message.rerun_script.page_name = page
    return message.SerializeToString()


def ticket(message: bytes | str) -> str | None:
    """The right to upload, if that is what the page's answer holds."""
    found = _TOKEN.search(message if isinstance(message, bytes) else message.encode())
    return found[1].decode() if found else None
