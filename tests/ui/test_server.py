"""The server as a process: what it says, whom it serves, what it keeps out of memory, and how it goes."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import ui
from core import process
from core.errors import ThawError
from core.gate import Accounts
from core.words import say
from core.workspace import Workspace, open_workspace
from ui import hosts, server

UI = Path(ui.__file__).parent
MODULES = sorted(
    ".".join(file.relative_to(UI.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in UI.rglob("*.py")
    if file != UI / "app.py"
)


def python(code: str, *, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a clean interpreter, in another folder than the source tree's."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def wait_until_it_answers(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        assert process.poll() is None, process.communicate()
        try:
            if get(port, "/healthz")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")


# --- what is in memory --------------------------------------------------------------------------------------------------


def test_no_module_of_the_pages_brings_torch_along(tmp_path: Path) -> None:
    code = f"""
        import importlib, sys
        for module in {MODULES!r}:
            importlib.import_module(module)
        print([name for name in ("torch", "torchvision", "sklearn", "onnx") if name in sys.modules])
    """
    done = python(code, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stderr


def test_after_the_warm_up_torch_is_there_and_there_is_next_to_nothing_to_collect(tmp_path: Path) -> None:
    code = """
        import gc, json, sys
        from ui import server, warmup
        warmup.IDLE_SECONDS = 0
        warmup.start()
        warmup.done.wait()
        print(json.dumps([gc.get_freeze_count(), len(gc.get_objects()), warmup.LATER in sys.modules]))
    """
    done = python(code, cwd=tmp_path)
    frozen, left, warm = json.loads(done.stdout)
    assert warm
    assert frozen > 100_000
    assert left < 50_000


# --- what is asked of Streamlit -----------------------------------------------------------------------------------------

HELD = {
    "server.address": "127.0.0.1",
    "server.allowedHosts": ["127.0.0.1", "localhost"],
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.xsrfCookieSameSite": "strict",
    "server.trustedUserHeaders": {},
    "server.maxUploadSize": 100,
    "server.maxMessageSize": 50,
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "server.fileWatcherType": "none",
    "server.runOnSave": False,
    "server.headless": True,
    "server.showEmailPrompt": False,
    "server.disconnectedSessionTTL": 120,
    "server.maxCacheDataSize": "256mb",
    "browser.gatherUsageStats": False,
    "global.maxCachedMessageAge": server.REMEMBERED_RUNS,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "viewer",
    "runner.magicEnabled": False,
    "runner.postScriptGC": False,
    "theme.light.primaryColor": "#1f6fc4",
    "theme.dark.primaryColor": "#2a78c8",
}


def test_the_settings_in_force_are_ours_from_any_folder_and_against_any_other_file(tmp_path: Path) -> None:
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text(
        '[server]\naddress = "0.0.0.0"\nenableCORS = false\nallowedHosts = ["*"]\n[browser]\ngatherUsageStats = true\n'
    )
    code = f"""
        import json
        from streamlit import config
        from streamlit.web.server.starlette import starlette_server
        held = {sorted(HELD)!r}
        starlette_server.UvicornRunner.run = lambda self: print(json.dumps({{n: config.get_option(n) for n in held}}))
        from ui.server import serve
        serve(address="127.0.0.1", port={free_port()}, workspace={str(tmp_path / "home")!r}, device="cpu", browser=False)
    """
    evil = {"STREAMLIT_BROWSER_GATHER_USAGE_STATS": "true", "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "poll"}
    done = python(code, cwd=tmp_path, **evil)
    assert json.loads(done.stdout or "{}") == HELD, done.stderr


def test_no_font_and_nothing_else_comes_from_the_net() -> None:
    text = (UI / ".streamlit" / "config.toml").read_text("utf-8")
    assert "http" not in text
    assert "url(" not in text


# --- whom it serves -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.20", "example.org", ""])
def test_any_address_but_this_machine_is_refused_in_words(address: str, tmp_path: Path) -> None:
    with pytest.raises(ThawError, match="there are no accounts and there is no class password") as failure:
        server.serve(address=address, port=0, workspace=tmp_path, device="cpu", browser=False)
    assert failure.value.code == "server.address"


@pytest.mark.parametrize("names", [["thaw.school.example"], ["192.168.1.20"]])
def test_a_name_by_which_others_come_needs_accounts_too(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ThawError) as failure:
        server.serve(address="127.0.0.1", port=0, workspace=tmp_path, device="cpu", browser=False, names=names)
    assert failure.value.code == "server.address"


@pytest.mark.parametrize(
    "how",
    [
        ["--server.address", "0.0.0.0"],
        ["--server.address", ""],
        ["--server.address", "127.0.0.1", "--server.allowedHosts", "thaw.example"],
    ],
)
def test_streamlit_run_does_not_get_around_it(how: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamlit", "run", str(UI / "server.py"), "--server.port", str(free_port()), *how]
    home = {"THAW_WORKSPACE": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **home}, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert not (tmp_path / "home" / "thaw.sqlite").exists()


def test_with_an_account_it_serves_others_under_the_machines_names_and_keeps_the_settings(tmp_path: Path) -> None:
    accounts = Accounts(open_workspace(tmp_path / "home"))
    accounts.add("ann", "a long password")
    accounts.close()
    code = f"""
        import json
        from streamlit import config
        from streamlit.web.server.starlette import starlette_server
        held = {sorted(HELD)!r}
        starlette_server.UvicornRunner.run = lambda self: print(json.dumps({{n: config.get_option(n) for n in held}}))
        from ui.server import serve
        serve(address="0.0.0.0", port={free_port()}, workspace={str(tmp_path / "home")!r}, device="cpu", browser=False,
              names=["thaw.school.example"])
    """
    effective = json.loads(python(code, cwd=tmp_path).stdout)
    assert "thaw.school.example" in effective["server.allowedHosts"]
    assert "*" not in effective["server.allowedHosts"]
    changed = {"server.address", "server.allowedHosts"}
    assert {name: effective[name] for name in HELD if name not in changed} == {
        name: HELD[name] for name in HELD if name not in changed
    }


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    pair = (str(tmp_path / "cert.pem"), str(tmp_path / "cert.pem"))
    with pytest.raises(ThawError, match=r"certificate .*cert\.pem cannot be used") as failure:
        server.serve(address="127.0.0.1", port=0, workspace=tmp_path, device="cpu", browser=False, certificate=pair)
    assert failure.value.code == "server.certificate"


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ThawError, match=f"cannot listen on port {port} of 127.0.0.1") as failure:
            server.serve(address="127.0.0.1", port=port, workspace=tmp_path, device="cpu", browser=False)
    assert failure.value.code == "server.port_busy"


def test_a_second_server_on_a_workspace_ends_in_words(tmp_path: Path) -> None:
    code = f"""
        from core.errors import ThawError
        from core.store import RunStore
        from core.workspace import open_workspace
        from ui.server import serve
        first = RunStore(open_workspace({str(tmp_path)!r}))
        first.serve()
        try:
            serve(address="127.0.0.1", port={free_port()}, workspace={str(tmp_path)!r}, device="cpu", browser=False)
        except ThawError as error:
            print(error.code)
    """
    done = python(code, cwd=tmp_path)
    assert done.stdout.split() == ["store.served"]
    assert "Traceback" not in done.stderr


# --- its life -----------------------------------------------------------------------------------------------------------


def test_it_says_one_line_serves_guarded_pages_and_goes_when_told(tmp_path: Path) -> None:
    """By Ctrl-C here, by SIGTERM in tests/nightly/test_restart.py."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("thaw")), "ui", "--no-browser", "--port", str(port)]
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "left over").mkdir()
    process = subprocess.Popen(
        [*command, "--workspace", str(tmp_path)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until_it_answers(port, process)
        status, headers, body = get(port, "/")
        assert (status, b'<div id="root">' in body) == (200, True)
        assert "script-src 'self' blob:" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert get(port, "/", Host="evil.example")[0] == 403
        assert get(port, "/_stcore/health", Host=f"evil.example:{port}")[0] == 403
        assert list((tmp_path / "uploads").iterdir()) == []
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == f"Thaw is ready: http://127.0.0.1:{port}  (workspace: {tmp_path})\n"
    assert err == ""


@pytest.mark.parametrize(
    ("address", "told", "kept_back"),
    [
        ("0.0.0.0", ["http://192.168.1.20:8501"], ["fd00"]),
        ("::", ["http://192.168.1.20:8501", "http://[fd00::1]:8501"], []),
        ("192.168.1.7", ["http://192.168.1.7:8501"], ["192.168.1.20"]),
    ],
)
def test_whoever_serves_a_class_is_told_the_addresses_to_hand_out_and_that_others_could_listen_in(
    address: str, told: list[str], kept_back: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THAW_LANGUAGE", "en")
    monkeypatch.setattr(hosts, "own_addresses", lambda: ["192.168.1.20", "fd00::1"])
    server._tell_others(address, 8501)
    first, second = capsys.readouterr().out.splitlines()
    assert [url for url in first.split() if url.startswith("http")] == told
    assert not any(part in first for part in kept_back)
    assert second == say("gate.ready.plain", "en")


def test_the_browser_is_shown_an_address_that_answers_already(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    answered: list[str] = []
    port = free_port()

    class Late(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answered.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    def show(url: str) -> None:
        assert answered == ["/healthz"]
        shown.append(url)

    monkeypatch.setattr("webbrowser.open", show)
    opening = threading.Thread(target=server._open_browser, args=("127.0.0.1", port))
    opening.start()
    with HTTPServer(("127.0.0.1", port), Late) as late:
        late.handle_request()
        opening.join(20)
    assert shown == [f"http://127.0.0.1:{port}"]


def test_streamlit_run_serves_the_same_app_with_its_engine(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(UI / "server.py"), "--server.port", str(port)],
        cwd=tmp_path,
        env={**os.environ, "THAW_WORKSPACE": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until_it_answers(port, process)
        answer = get(port, "/api/runs/01JCQ8Y5T000000000000000ZZ/curve")
        assert (answer[0], json.loads(answer[2])) == (404, {"code": "run.unknown"})
        assert (tmp_path / "home" / "thaw.sqlite").exists()
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_an_error_that_no_page_caught_is_two_sentences_and_a_log(house: Workspace) -> None:
    def page() -> None:
        from ui import server

        try:
            raise ZeroDivisionError("secret detail")
        except ZeroDivisionError as error:
            server.on_script_error(error)

    at = AppTest.from_function(page).run()
    assert len(at.error) == 1
    assert "This page could not be shown" in at.error[0].value
    assert "secret" not in at.error[0].value
    assert "ZeroDivisionError: secret detail" in (house.root / "log.txt").read_text("utf-8")


def test_too_many_open_files_are_named_on_the_page_with_their_number(house: Workspace) -> None:
    def page() -> None:
        import errno

        from ui import server

        server.on_script_error(OSError(errno.EMFILE, "Too many open files"))

    at = AppTest.from_function(page).run()
    assert f"more files open than the system allows ({process.open_files()})" in at.error[0].value.replace("\\", "")
    assert not (house.root / "log.txt").exists()
