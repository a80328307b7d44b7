"""A published file arrives whole, verified and once, or a sentence says why not. A server on this machine plays the web."""

import hashlib
import http.server
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.backbones import download
from core.backbones.facts import Card
from core.backbones.torchvision import cards
from core.errors import WeightsError
from core.workspace import Workspace, open_workspace


def published() -> bytes:
    """A file as torchvision publishes them."""
    out = io.BytesIO()
    torch.save({"fc.weight": torch.randn(300, 500, generator=torch.Generator().manual_seed(0))}, out)
    return out.getvalue()


BODY = published()
SHA = hashlib.sha256(BODY).hexdigest()
FILE = f"toy-{SHA[:8]}.pth"


class Web(http.server.ThreadingHTTPServer):
    """Serves BODY, and fails as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.body = BODY
        self.cut_after: list[int] = []  # bytes after which each coming answer ends
        self.statuses: list[int] = []  # of the coming answers, before a good one
        self.ranges = True
        self.length = True
        self.stall = threading.Event()
        self.stalls = 0  # so many coming answers say nothing after half
        self.asked: list[str | None] = []  # the Range of each request

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/models"


class Page(http.server.BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        web = self.server
        web.asked.append(self.headers.get("Range"))
        if web.statuses:
            self.send_error(web.statuses.pop(0))
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if web.ranges else 0
        if start >= len(web.body):
            self.send_error(416)
            return
        part = web.body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(web.body) - 1}/{len(web.body)}")
        if web.length:
            self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if web.stalls:
            web.stalls -= 1
            self.wfile.write(part[: len(part) // 2])
            web.stall.wait(20)
            return
        self.wfile.write(part[: web.cut_after.pop(0)] if web.cut_after else part)

    def log_message(self, *args: object) -> None:
        """Not on the screen."""


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stall.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("THAW_WEIGHTS_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "workspace")


def card(url: str, body: bytes = BODY) -> Card:
    known = next(card for card in cards() if card.name == "resnet18")
    return replace(known, name="toy", url=url, weights_bytes=len(body))


def toy(web: Web) -> Card:
    return card(f"{web.address}/{FILE}")


def left(workspace: Workspace) -> set[str]:
    return {path.name for path in workspace.weights.iterdir() if not path.name.endswith(".lock")}


def test_a_file_arrives_whole_and_its_whole_hash_is_kept(web: Web, workspace: Workspace) -> None:
    heard: list[tuple[int, int]] = []
    path = download.fetch(toy(web), workspace, progress=lambda done, total: heard.append((done, total)))
    assert path == workspace.weights / FILE
    assert path.read_bytes() == BODY
    assert json.loads((workspace.weights / f"{FILE}.json").read_text()) == {"sha256": SHA, "bytes": len(BODY)}
    assert heard[-1] == (len(BODY), len(BODY))
    assert heard == sorted(heard)
    assert left(workspace) == {FILE, f"{FILE}.json"}


def test_a_second_call_asks_nobody(web: Web, workspace: Workspace) -> None:
    first = download.fetch(toy(web), workspace)
    assert download.fetch(toy(web), workspace) == first
    assert len(web.asked) == 1


def test_a_file_is_found_only_when_it_is_there(web: Web, workspace: Workspace) -> None:
    assert download.find(toy(web), workspace) is None
    path = download.fetch(toy(web), workspace)
    assert download.find(toy(web), workspace) == path


def test_a_cut_download_goes_on_where_it_stopped(web: Web, workspace: Workspace) -> None:
    web.cut_after = [100_000, 200_000]
    path = download.fetch(toy(web), workspace)
    assert path.read_bytes() == BODY
    assert web.asked == [None, "bytes=100000-", "bytes=300000-"]


def test_a_download_that_is_cut_again_and_again_says_so_and_keeps_what_has_come(web: Web, workspace: Workspace) -> None:
    web.cut_after = [100_000] + [0] * 20
    with pytest.raises(
        WeightsError, match=r"was cut off again and again; 0\.1 MB of 0\.6 MB have come\. Try again"
    ) as caught:
        download.fetch(toy(web), workspace)
    assert caught.value.code == "weights.cut"
    assert left(workspace) == {f"{FILE}.part"}
    assert len(web.asked) == 1 + download.ATTEMPTS - 1
    web.cut_after = []
    assert download.fetch(toy(web), workspace).read_bytes() == BODY
    assert web.asked[-1] == "bytes=100000-"


def test_a_server_without_ranges_is_asked_for_all_of_it_again(web: Web, workspace: Workspace) -> None:
    web.ranges = False
    web.cut_after = [100_000]
    assert download.fetch(toy(web), workspace).read_bytes() == BODY


def test_a_part_longer_than_the_file_is_thrown_away(web: Web, workspace: Workspace) -> None:
    (workspace.weights / f"{FILE}.part").write_bytes(BODY + b"more")
    assert download.fetch(toy(web), workspace).read_bytes() == BODY


def test_a_part_of_another_file_is_found_out_and_thrown_away(web: Web, workspace: Workspace) -> None:
    (workspace.weights / f"{FILE}.part").write_bytes(b"x" * 1000)
    with pytest.raises(WeightsError, match="its check sum is wrong") as caught:
        download.fetch(toy(web), workspace)
    assert caught.value.code == "weights.damaged"
    assert left(workspace) == set()
    assert download.fetch(toy(web), workspace).read_bytes() == BODY


def test_a_server_that_says_no_length_is_read_to_its_end(web: Web, workspace: Workspace) -> None:
    web.length = False
    assert download.fetch(toy(web), workspace).read_bytes() == BODY


def test_a_flipped_bit_is_found_and_nothing_of_it_kept(web: Web, workspace: Workspace) -> None:
    web.body = BODY[:5000] + bytes([BODY[5000] ^ 1]) + BODY[5001:]
    with pytest.raises(WeightsError, match="its check sum is wrong") as caught:
        download.fetch(toy(web), workspace)
    assert caught.value.code == "weights.damaged"
    assert left(workspace) == set()


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", BODY + b"0" * len(BODY)])
def test_a_file_of_another_length_is_refused_before_it_is_loaded(web: Web, workspace: Workspace, body: bytes) -> None:
    web.body = body
    with pytest.raises(WeightsError, match="no login page or proxy stands between") as caught:
        download.fetch(toy(web), workspace)
    assert caught.value.code == "weights.wrong_size"
    assert left(workspace) == set()


def test_a_stalled_server_is_left_and_asked_again(web: Web, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "STALL_SECONDS", 0.2)
    web.stalls = 1
    assert download.fetch(toy(web), workspace).read_bytes() == BODY
    assert web.asked == [None, f"bytes={len(BODY) // 2}-"]


def test_no_network_names_the_host_the_file_and_the_folder(workspace: Workspace) -> None:
    with pytest.raises(WeightsError) as caught:
        download.fetch(card(f"http://weights.invalid/models/{FILE}"), workspace)
    assert caught.value.code == "weights.offline"
    assert caught.value.cause == (
        "The pretrained weights of toy are not on this machine, and weights.invalid cannot be reached."
    )
    assert f"put the file {FILE} into {workspace.weights}" in caught.value.remedy
    assert left(workspace) == set()


def test_no_network_is_said_at_once_even_where_a_part_has_come(workspace: Workspace) -> None:
    (workspace.weights / f"{FILE}.part").write_bytes(BODY[:1000])
    with pytest.raises(WeightsError) as caught:
        download.fetch(card(f"http://weights.invalid/models/{FILE}"), workspace)
    assert caught.value.code == "weights.offline"
    assert left(workspace) == {f"{FILE}.part"}


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_names_address_and_status(web: Web, workspace: Workspace, status: int) -> None:
    web.statuses = [status]
    with pytest.raises(WeightsError, match=rf"{FILE}: {status} ") as caught:
        download.fetch(toy(web), workspace)
    assert caught.value.code == "weights.refused"


def test_a_server_in_trouble_is_asked_again(web: Web, workspace: Workspace) -> None:
    web.statuses = [500, 503]
    assert download.fetch(toy(web), workspace).read_bytes() == BODY


def test_a_mirror_replaces_everything_but_the_name(web: Web, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_WEIGHTS_MIRROR", f"{web.address}/school/")
    path = download.fetch(card(f"https://weights.invalid/models/{FILE}"), workspace)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("mirror", ["file:///etc", "ftp://school", "school.example/weights"])
def test_a_mirror_must_be_a_web_address(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    monkeypatch.setenv("THAW_WEIGHTS_MIRROR", mirror)
    with pytest.raises(WeightsError, match="is not an address that weights can be downloaded from") as caught:
        download.fetch(card(f"https://weights.invalid/{FILE}"), workspace)
    assert caught.value.code == "weights.bad_address"


def test_a_file_put_there_by_hand_is_taken_when_its_digits_fit(workspace: Workspace) -> None:
    (workspace.weights / FILE).write_bytes(BODY)
    path = download.fetch(card(f"http://weights.invalid/{FILE}"), workspace)
    assert path == workspace.weights / FILE
    assert json.loads((workspace.weights / f"{FILE}.json").read_text())["sha256"] == SHA


def test_a_file_put_there_by_hand_that_is_not_the_published_one_is_downloaded_instead(
    web: Web, workspace: Workspace
) -> None:
    (workspace.weights / FILE).write_bytes(b"something else")
    assert download.fetch(toy(web), workspace).read_bytes() == BODY


def test_a_file_that_changed_since_is_never_taken(web: Web, workspace: Workspace) -> None:
    path = download.fetch(toy(web), workspace)
    path.write_bytes(BODY[:-1] + b"!")
    with pytest.raises(WeightsError):
        download.fetch(card(f"http://weights.invalid/{FILE}"), workspace)
    assert download.fetch(toy(web), workspace).read_bytes() == BODY


def test_a_forged_file_with_the_right_first_digits_is_found_by_the_whole_hash(workspace: Workspace) -> None:
    """Eight digits can be forged in minutes; the record of the first download cannot."""
    (workspace.weights / FILE).write_bytes(BODY)
    (workspace.weights / f"{FILE}.json").write_text(json.dumps({"sha256": SHA[:8] + "0" * 56, "bytes": len(BODY)}))
    with pytest.raises(WeightsError) as caught:
        download.fetch(card(f"http://weights.invalid/{FILE}"), workspace)
    assert caught.value.code == "weights.offline"


def test_a_file_in_torchs_own_cache_is_used_where_it_lies(workspace: Workspace, tmp_path: Path) -> None:
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    (hub / FILE).write_bytes(BODY)
    (hub / FILE).chmod(0o444)
    path = download.fetch(card(f"http://weights.invalid/{FILE}"), workspace)
    assert path == hub / FILE
    assert {one.name for one in hub.iterdir()} == {FILE}


def test_a_damaged_file_in_torchs_own_cache_is_left_alone(web: Web, workspace: Workspace, tmp_path: Path) -> None:
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    (hub / FILE).write_bytes(BODY[:100])
    assert download.fetch(toy(web), workspace) == workspace.weights / FILE
    assert (hub / FILE).read_bytes() == BODY[:100]


def test_a_cancelled_download_goes_on_later(web: Web, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CHUNK", 50_000)
    done: list[int] = []
    with pytest.raises(WeightsError, match="was cancelled") as caught:
        download.fetch(toy(web), workspace, progress=lambda now, total: done.append(now), cancelled=lambda: len(done) >= 3)
    assert caught.value.code == "weights.cancelled"
    assert (workspace.weights / f"{FILE}.part").stat().st_size == done[-1] < len(BODY)
    assert download.fetch(toy(web), workspace).read_bytes() == BODY
    assert web.asked[-1] == f"bytes={done[-1]}-"


def test_a_full_disk_is_said_before_anything_is_written(
    web: Web, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SPARE_BYTES", 10**18)
    with pytest.raises(WeightsError, match=r"The weights need .* MB, but .* left") as caught:
        download.fetch(toy(web), workspace)
    assert caught.value.code == "weights.no_space"
    assert left(workspace) == set()


def test_a_folder_that_cannot_hold_files_is_named(web: Web, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=f"cannot keep weights in {tmp_path / 'weights'}") as caught:
        download.fetch(toy(web), Workspace(tmp_path))
    assert caught.value.code == "weights.unwritable"


def test_two_who_want_the_same_file_share_one_download(web: Web, workspace: Workspace) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(download.fetch(toy(web), workspace))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [workspace.weights / FILE] * 4
    assert len(web.asked) == 1


def test_a_backbone_without_published_weights_is_said_so(workspace: Workspace) -> None:
    with pytest.raises(WeightsError, match="no pretrained weights of toy to download") as caught:
        download.fetch(card(""), workspace)
    assert caught.value.code == "weights.no_pretrained"


def test_every_published_file_carries_digits_of_its_hash() -> None:
    for one in cards():
        assert 8 <= len(download.digits(one.file)) <= 64, one.file
        assert one.url.startswith("https://download.pytorch.org/")
