"""The server's own routes, asked as a browser would ask them: what they give, and everything that they refuse."""

import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware

from core.dataset import import_dataset
from core.events import Ended, EpochDone, Reading, Readings, StepDone
from core.recipe import Recipe
from core.words import catalogue
from core.workspace import Workspace
from ui import routes, services, uploads
from ui.middleware import Guard, host_name

HOST = "127.0.0.1:8501"
BATCH = "0123456789abcdef"
APP = Starlette(routes=routes.ROUTES, middleware=[Middleware(Guard)])


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    path: str, method: str = "GET", *, headers: dict[str, str] | None = None, body: list[bytes | None] | None = None
) -> Answer:
    """Send a request through the guard to the routes. A None in `body` is a client that hangs up."""
    location, _, query = path.partition("?")
    chunks = [*(body or []), b""]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not chunks:
            await anyio.sleep_forever()
        chunk = chunks.pop(0)
        return (
            {"type": "http.disconnect"}
            if chunk is None
            else {"type": "http.request", "body": chunk, "more_body": bool(chunks)}
        )

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def run() -> None:
        given = {"host": HOST, **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": location,
            "raw_path": location.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("127.0.0.1", 8501),
            "client": ("127.0.0.1", 50000),
        }
        await APP(scope, receive, send)

    anyio.run(run)
    head = sent[0]
    return Answer(
        head["status"],
        {name.decode().lower(): value.decode() for name, value in head["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


# --- whom the server answers --------------------------------------------------------------------------------------------


def test_a_page_elsewhere_that_points_its_own_name_at_this_machine_is_refused() -> None:
    for host in ("evil.example", "evil.example:8501", "127.0.0.1.evil.example", "", "127.0.0.1:8501; script-src *", "[::2]"):
        assert ask("/healthz", headers={"host": host}).status == 403, host
    for host in ("127.0.0.1", "127.0.0.1:8501", "localhost:9", "LOCALHOST"):
        assert ask("/healthz", headers={"host": host}).status == 200, host


@pytest.mark.parametrize(
    ("host", "name"), [("[::1]:8501", "::1"), ("a.b:1", "a.b"), ("a b", ""), ("a:b", ""), ("a\r\nx", "")]
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert host_name(host) == name


def test_every_answer_forbids_what_comes_from_elsewhere() -> None:
    answer = ask("/healthz")
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert answer.body == b"ok"
    assert rules["default-src"] == "'self'"
    assert rules["script-src"] == "'self' blob:"
    assert rules["connect-src"] == f"'self' ws://{HOST} wss://{HOST}"
    assert rules["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


def test_plotly_comes_from_the_installed_package_and_may_be_kept_for_ever() -> None:
    answer = ask(routes.PLOTLY_URL)
    assert answer.body == routes.PLOTLY_FILE.read_bytes()
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")


# --- curves -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run_id(house: Workspace) -> str:
    """A run with three epochs of a hundred steps, the loss of step 7 not a number."""
    store = services.store()
    run = store.create(Recipe())
    for epoch in (1, 2, 3):
        steps = [
            StepDone(step=n, epoch=epoch, loss=None if n == 7 else 1 / n, correct=8, images=16, lr=0.1)
            for n in range(100 * epoch - 99, 100 * epoch + 1)
        ]
        figures = {"train_loss": 0.5, "train_accuracy": 0.5, "val_loss": 0.25, "val_accuracy": 0.75, "val_macro_f1": 0.75}
        store.append(run.id, [*steps, EpochDone(epoch=epoch, step=100 * epoch, best=True, **figures)])
    return run.id


def test_a_curve_is_told_once_and_then_only_what_is_new(run_id: str) -> None:
    first = ask(f"/api/runs/{run_id}/curve").json
    assert first["reset"] is True
    assert first["x"] == list(range(1, 301))
    assert first["y"]["loss"][6] is None
    assert first["epochs"]["val_loss"] == [0.25, 0.25, 0.25]
    again = ask(f"/api/runs/{run_id}/curve?since={first['rev']}&epoch={first['epoch']}")
    assert (again.json["reset"], again.json["x"], again.json["rev"]) == (False, [], first["rev"])
    assert len(again.body) < 400
    assert again.headers["cache-control"] == "no-store"


def test_a_chart_of_another_process_begins_anew(run_id: str) -> None:
    assert ask(f"/api/runs/{run_id}/curve?since=3&epoch=old").json["reset"] is True


def test_a_stretch_of_a_curve(run_id: str) -> None:
    assert ask(f"/api/runs/{run_id}/curve?from=10&to=20").json["x"] == list(range(9, 22))


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/runs/01JCQ8Y5T000000000000000ZZ/curve", 404, "run.unknown"),
        ("/api/runs/..%2Fsecret/curve", 404, "run.unknown"),
        ("/api/runs/x/curve", 404, "run.unknown"),
    ],
)
def test_a_curve_of_no_run(house: Workspace, path: str, status: int, code: str) -> None:
    answer = ask(path)
    assert answer.status == status
    assert answer.body == b"Not Found" or answer.json == {"code": code}


def test_readings_are_told_when_they_are_new_with_what_is_wrong_where(house: Workspace, run_id: str) -> None:
    store = services.store()
    assert ask(f"/api/runs/{run_id}/readings").json == {"done": False}
    blocks = {"a": Reading(0.1, 0.001, 1.0, 0.0, 0.0), "b": Reading(None, None, 1.0, 0.5, 0.0)}
    run = store.create(Recipe())
    store.transition(run.id, "running")
    store.append(run.id, [Readings(step=7, epoch=1, blocks=blocks)])
    told = ask(f"/api/runs/{run.id}/readings").json
    assert told == {
        "done": False, "step": 7, "epoch": 1, "flags": {"b": "exploding"},
        "blocks": {"a": [0.1, 0.001, 1.0, 0.0, 0.0], "b": [None, None, 1.0, 0.5, 0.0]},
    }  # fmt: skip
    assert ask(f"/api/runs/{run.id}/readings?since=7").json == {"done": False}
    store.append(run.id, [Ended(outcome="finished", step=8)])
    assert ask(f"/api/runs/{run.id}/readings?since=7").json == {"done": True}
    assert ask(f"/api/runs/{run.id}/readings?since=x").status == 422
    assert ask("/api/runs/01JCQ8Y5T000000000000000ZZ/readings").status == 404


@pytest.mark.parametrize("query", ["since=x", "from=a&to=b"])
def test_a_curve_asked_for_with_nonsense(run_id: str, query: str) -> None:
    answer = ask(f"/api/runs/{run_id}/curve?{query}")
    assert (answer.status, answer.json) == (422, {"code": "server.query"})


# --- pictures -----------------------------------------------------------------------------------------------------------


def jpeg(color: tuple[int, int, int], size: tuple[int, int] = (300, 200)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def pictures(house: Workspace, tmp_path: Path) -> tuple[str, str]:
    """(data set, hash of a picture) of a small set."""
    for kind, color in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "set" / kind / f"{number}.jpg").write_bytes(jpeg((*color[:2], color[2] + number)))
    dataset = import_dataset(tmp_path / "set", house)
    return dataset.id, dataset.items[0].sha256


@pytest.mark.parametrize(("side", "given"), [(50, 64), (64, 64), (100, 128), (9999, 384)])
def test_a_thumbnail_is_a_small_webp_kept_for_ever_and_on_the_disk(
    house: Workspace, pictures: tuple[str, str], side: int, given: int
) -> None:
    dataset, sha = pictures
    answer = ask(f"/api/thumbs/{dataset}/{sha}?side={side}")
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    with Image.open(io.BytesIO(answer.body), formats=["WEBP"]) as image:
        assert max(image.size) == min(given, 300)
    kept = list(house.cache.rglob("*.webp"))
    assert [file.read_bytes() for file in kept] == [answer.body]
    kept[0].write_bytes(b"kept")
    assert ask(f"/api/thumbs/{dataset}/{sha}?side={side}").body == b"kept"
    assert ask(f"/api/thumbs/{dataset}/{sha}?side={side}", headers={"if-none-match": answer.headers["etag"]}).status == 304


def test_a_whole_picture_is_made_anew_from_its_pixels(pictures: tuple[str, str]) -> None:
    dataset, sha = pictures
    answer = ask(f"/api/image/{dataset}/{sha}")
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == ("image/webp", "nosniff")
    with Image.open(io.BytesIO(answer.body), formats=["WEBP"]) as image:
        assert image.size == (300, 200)
        assert np.asarray(image.convert("RGB")).std() < 100


def test_pictures_that_are_not_there(pictures: tuple[str, str]) -> None:
    dataset, sha = pictures
    for path in (f"/api/thumbs/{dataset}/{'0' * 64}", f"/api/thumbs/nowhere/{sha}", f"/api/thumbs/{dataset}/x.jpg"):
        assert ask(path).status == 404, path
    assert ask(f"/api/thumbs/{dataset}/{sha}?side=x").status == 422


# --- downloads ----------------------------------------------------------------------------------------------------------


def test_a_model_is_streamed_under_a_name_that_tells_runs_apart(run_id: str) -> None:
    folder = services.store().folder(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    answer = ask(f"/api/download/{run_id}/model.safetensors")
    assert answer.body == b"weights" * 1000
    assert answer.headers["content-disposition"] == f'attachment; filename="thaw-{run_id[-8:].lower()}-model.safetensors"'


def test_nothing_but_what_a_run_gives_away_can_be_downloaded(run_id: str, house: Workspace) -> None:
    folder = services.store().folder(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "secret.txt").write_text("secret")
    for path in ("secret.txt", "model.onnx", "..%2F..%2Fthaw.sqlite", quote("../../thaw.sqlite", safe="")):
        assert ask(f"/api/download/{run_id}/{path}").status == 404, path
    assert ask("/api/download/..%2Fruns/model.onnx").status == 404


# --- uploads ------------------------------------------------------------------------------------------------------------

Put = Callable[..., Answer]


@pytest.fixture
def put(house: Workspace) -> Put:
    def send(path: str, *chunks: bytes | None, **headers: str) -> Answer:
        given = {"x-thaw-ticket": services.tickets().new(), "origin": f"http://{HOST}"} | headers
        return ask(f"/api/upload?batch={BATCH}&path={quote(path)}", "PUT", headers=given, body=[*chunks])

    return send


def arrived(house: Workspace) -> dict[str, bytes]:
    return {
        file.relative_to(folder / BATCH).as_posix(): file.read_bytes()
        for folder in house.uploads.iterdir()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_a_file_lands_where_its_ticket_says(house: Workspace, put: Put) -> None:
    answer = put("cats/小猫 1.JPG", b"ab", b"", b"cd" * uploads.CHUNK_BYTES)
    assert (answer.status, answer.json) == (201, {"bytes": 2 + 2 * uploads.CHUNK_BYTES})
    assert arrived(house) == {"cats/小猫 1.JPG": b"ab" + b"cd" * uploads.CHUNK_BYTES}


OUTSIDE = ("/etc/a.jpg", "../a.jpg", "a/../../b.jpg", "..\\a.jpg", "C:\\a.jpg", "a/b:c.jpg")
ODD = ("", "a\0.jpg", "a\n.jpg", ".hidden.jpg", "a/.git/b.jpg", "a./b.jpg", "a /b.jpg", "1/2/3/4/5/6/7/8/9.jpg")
NO_IMAGE = ("a.exe", "a.jpg.html", "a.svg", "a")
LONG = ("x" * 300 + ".jpg", "a" * 401)


@pytest.mark.parametrize("path", [*OUTSIDE, *ODD, *NO_IMAGE, *LONG])
def test_a_name_that_is_no_plain_path_of_an_image_is_refused(house: Workspace, put: Put, path: str) -> None:
    assert put(path, b"x").json == {"code": "upload.name"}
    assert arrived(house) == {}


@pytest.mark.parametrize("batch", ["", "..", "../../x", "0123456789ABCDEF", "0123456789abcdef0"])
def test_a_batch_is_sixteen_digits(house: Workspace, batch: str) -> None:
    headers = {"x-thaw-ticket": services.tickets().new(), "origin": f"http://{HOST}"}
    answer = ask(f"/api/upload?batch={quote(batch, safe='')}&path=a.jpg", "PUT", headers=headers, body=[b"x"])
    assert answer.json == {"code": "upload.name"}


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://[", "", "null", f"http://{HOST}.evil.example", f"file://{HOST}", HOST]
)
def test_an_upload_from_another_page_is_refused(put: Put, origin: str) -> None:
    answer = put("a.jpg", b"x", origin=origin)
    assert (answer.status, answer.json) == (403, {"code": "gate.origin"})


def test_an_upload_without_a_right_is_refused(put: Put) -> None:
    assert put("a.jpg", b"x", **{"x-thaw-ticket": "guessed"}).json == {"code": "upload.ticket"}


def test_a_client_that_hangs_up_leaves_nothing(house: Workspace, put: Put) -> None:
    assert put("a.jpg", b"x" * 3_000_000, None).json == {"code": "upload.broken_off"}
    assert arrived(house) == {}


def test_a_client_that_falls_silent_is_given_up(house: Workspace, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silence(chunks: Any) -> Any:
        raise TimeoutError
        yield b""

    monkeypatch.setattr(uploads, "_steadily", silence)
    assert put("a.jpg", b"x").json == {"code": "upload.idle"}
    assert arrived(house) == {}


def test_a_file_that_is_too_big_is_refused_before_and_while_it_comes(
    house: Workspace, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_FILE_BYTES", 1000)
    assert put("a.jpg", b"x", **{"content-length": "1001"}).json == {"code": "upload.too_big"}
    assert put("a.jpg", b"x" * 600, b"x" * 600).json == {"code": "upload.too_big"}
    assert arrived(house) == {}


def test_the_disk_is_never_filled(house: Workspace, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([uploads.RESERVE_BYTES + 10, uploads.RESERVE_BYTES - 1])
    monkeypatch.setattr(uploads, "_free", lambda folder: next(free))
    assert put("a.jpg", b"x" * uploads.CHUNK_BYTES).json == {"code": "upload.disk_full"}
    monkeypatch.setattr(uploads, "_free", lambda folder: uploads.RESERVE_BYTES + 10)
    assert put("a.jpg", b"x", **{"content-length": "11"}).json == {"code": "upload.disk_full"}
    assert arrived(house) == {}


# --- uploads in pieces --------------------------------------------------------------------------------------------------

Piece = Callable[..., Answer]
FILE = bytes(range(256)) * 100


@pytest.fixture
def piece(house: Workspace) -> Piece:
    """Send the bytes of FILE from `offset` on; each time with a new ticket, as a page does that was loaded anew."""

    def send(
        offset: int,
        *chunks: bytes | None,
        path: str = "big.zip",
        total: int = len(FILE),
        modified: int = 7,
        verb: str = "PUT",
    ) -> Answer:
        headers = {"x-thaw-ticket": services.tickets().new(), "origin": f"http://{HOST}"}
        asked = f"batch={BATCH}&path={quote(path)}&offset={offset}&total={total}&modified={modified}"
        return ask(f"/api/upload?{asked}", verb, headers=headers, body=[*chunks])

    return send


def lying(house: Workspace) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in house.uploads.rglob("*") if file.is_file()}


def test_a_file_in_pieces_is_whole_at_the_end_whatever_was_cut_or_sent_twice(house: Workspace, piece: Piece) -> None:
    begin = piece(len(FILE))
    assert (begin.status, begin.json) == (409, {"have": 0})
    assert piece(0, FILE[:5000], FILE[5000:9000]).json == {"have": 9000}
    assert piece(9000, FILE[9000:12000], None).json == {"code": "upload.broken_off"}
    again = piece(len(FILE))
    assert (again.status, again.json) == (409, {"have": 12000})
    assert piece(11000, FILE[11000:20000]).json == {"have": 20000}
    assert piece(3000, FILE[3000:4000]).json == {"have": 20000}
    last = piece(20000, FILE[20000:])
    assert (last.status, last.json) == (201, {"bytes": len(FILE)})
    assert lying(house) == {"big.zip": FILE}


def test_another_file_of_the_same_name_does_not_go_on_with_it(piece: Piece) -> None:
    piece(0, FILE[:9000])
    assert piece(len(FILE), modified=8).json == {"have": 0}
    assert piece(len(FILE) + 1, total=len(FILE) + 1).json == {"have": 0}
    assert piece(len(FILE), path="other.zip").json == {"have": 0}
    assert piece(len(FILE)).json == {"have": 9000}


def test_a_piece_never_makes_a_file_longer_than_it_is(house: Workspace, piece: Piece) -> None:
    assert piece(0, FILE, b"more").json == {"code": "upload.too_big"}
    assert all(len(data) <= len(FILE) for data in lying(house).values())


def test_a_file_that_is_given_up_is_gone(house: Workspace, piece: Piece) -> None:
    piece(0, FILE[:9000])
    assert piece(0, verb="DELETE").status == 204
    assert (lying(house), piece(len(FILE)).json) == ({}, {"have": 0})


def test_room_is_asked_for_all_of_a_file_at_its_first_piece(piece: Piece, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_free", lambda folder: uploads.RESERVE_BYTES + len(FILE) - 1)
    assert piece(0, FILE[:100]).json == {"code": "upload.disk_full"}
    monkeypatch.setattr(uploads, "MAX_FILE_BYTES", len(FILE) - 1)
    assert piece(len(FILE) - 10, FILE[-10:]).json == {"code": "upload.too_big"}


def test_a_new_server_keeps_what_came_in_part_and_what_an_import_waits_for(house: Workspace, piece: Piece) -> None:
    piece(0, FILE[:9000])
    [part] = (house.uploads / uploads.KEPT).iterdir()
    for name in ("waited for", "left"):
        (house.uploads / name).mkdir()
        (house.uploads / name / "set.zip").write_bytes(b"x")
    uploads.sweep(house, [house.uploads / "waited for" / "set.zip", Path("/elsewhere/set.zip")])
    assert sorted(lying(house)) == sorted([part.name, "set.zip"])
    os.utime(part, (1, 1))
    uploads.sweep(house)
    assert lying(house) == {}


def test_every_code_has_its_words() -> None:
    text = Path(uploads.__file__).read_text("utf-8") + Path(routes.__file__).read_text("utf-8")
    codes = set(re.findall(r'(?:_refusal|refusal|_RefusedError)\(\d+, "([\w.]+)"\)', text))
    assert {code for code in codes if f"error.{code}.cause" not in catalogue("en")} == set()
