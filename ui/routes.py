"""The server's own routes: curves, pictures, downloads, plotly.js. They answer with data and codes, never with sentences.

Streamlit's own checks do not cover them, so all but the upload (ui/uploads.py) only read. Nothing here holds state: what
they ask, `ui/services` answers.
"""

import os
import re
import secrets
from pathlib import Path
from typing import Any

import anyio
import orjson
import plotly
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from core.errors import ThawError
from core.pins import FILE
from ui import health as api_health
from ui import services, sign_in
from ui.uploads import upload

PLOTLY_FILE = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
PLOTLY_URL = f"/vendor/plotly-{plotly.__version__}.min.js"
"""The version stands in the name, so a browser may keep the file for ever."""
FOREVER = {"cache-control": "private, max-age=31536000, immutable"}

RUN_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
DATASET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.-]{0,79}(@[a-z0-9]{1,20})?")
SHA256 = re.compile(r"[0-9a-f]{64}")
THUMB_SIDES = (64, 96, 128, 160, 192, 256, 384)
IMAGE_SIDE = 2048
"""A picture is shown in full, re-encoded, at most this wide or high: more than a screen shows."""
DECODERS = anyio.CapacityLimiter(2)
"""Pictures decoded at a time: the cores belong to training."""

DOWNLOADS = {
    "model.safetensors": "application/octet-stream",
    "model.onnx": "application/octet-stream",
    "test.json": "application/json",
}
"""The files of a run that may leave it, and what they are; so may the moments that were kept."""


async def health(request: Request) -> Response:
    """Alive, no details."""
    return PlainTextResponse("ok", headers={"cache-control": "no-store"})


def plotly_js(request: Request) -> Response:
    """The plotly.js of the installed package: no request leaves the machine."""
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    return FileResponse(PLOTLY_FILE, media_type="text/javascript", headers=headers)


async def curve(request: Request) -> Response:
    """The points of a run's curves after `since`, or those between the steps `from` and `to`."""
    run, query = request.path_params["run"], request.query_params
    if not RUN_ID.fullmatch(run):
        return refusal(404, "run.unknown")

    def ask() -> dict[str, Any]:
        found = services.curve(run)
        if "from" in query and "to" in query:
            return found.window(float(query["from"]), float(query["to"]))
        return found.since(int(query.get("since", -1)), query.get("epoch", ""))

    try:
        delta = await to_thread.run_sync(ask)
    except ThawError as error:
        return refusal(404, error.code)
    except ValueError:
        return refusal(422, "server.query")
    # orjson writes NaN and infinity as null, a gap in the curve; json.dumps would write text that browsers refuse
    return Response(
        orjson.dumps(delta, option=orjson.OPT_SERIALIZE_NUMPY),
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


async def readings(request: Request) -> Response:
    """The newest reading of a run's instruments, if it is of a later step than `since`, with what is wrong where."""
    run, query = request.path_params["run"], request.query_params
    if not RUN_ID.fullmatch(run):
        return refusal(404, "run.unknown")
    try:
        since = int(query.get("since", 0))
        told = await to_thread.run_sync(services.readings, run, since)
    except ThawError as error:
        return refusal(404, error.code)
    except ValueError:
        return refusal(422, "server.query")
    return Response(orjson.dumps(told), media_type="application/json", headers={"cache-control": "no-store"})


# --- pictures -----------------------------------------------------------------------------------------------------------


async def thumb(request: Request) -> Response:
    """A small WebP of one picture of a data set; `side` is rounded up to one of a few."""
    try:
        wanted = int(request.query_params.get("side", 128))
    except ValueError:
        return refusal(422, "server.query")
    return await _picture(request, next((side for side in THUMB_SIDES if side >= wanted), THUMB_SIDES[-1]))


async def image(request: Request) -> Response:
    """One picture of a data set, made anew from its pixels: bytes that people brought never reach a browser."""
    return await _picture(request, IMAGE_SIDE)


async def _picture(request: Request, side: int) -> Response:
    dataset, sha256 = request.path_params["dataset"], request.path_params["sha"]
    if not DATASET_ID.fullmatch(dataset) or not SHA256.fullmatch(sha256):
        return refusal(404, "dataset.unknown")
    etag = f'"{sha256[:32]}-{side}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={**FOREVER, "etag": etag})
    try:
        body = await to_thread.run_sync(_webp, dataset, sha256, side, limiter=DECODERS)
    except ThawError as error:
        return refusal(404, error.code)
    if body is None:
        return refusal(404, "server.no_file")
    return Response(body, media_type="image/webp", headers={**FOREVER, "etag": etag})


def _webp(dataset: str, sha256: str, side: int) -> bytes | None:
    """The picture from the cache, or made and kept there; None if the data set has no such picture."""
    from core.images import thumbnail

    found = services.picture(dataset, sha256)
    if found is None:
        return None
    file = services.workspace().cache / "pictures" / sha256[:2] / f"{sha256}-{side}.webp"
    try:
        return file.read_bytes()
    except FileNotFoundError:
        owner, item = found
        body = thumbnail(owner.image(item), side)
        _keep(file, body)
        return body


def _keep(file: Path, body: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        part.write_bytes(body)
        os.replace(part, file)
    except OSError:
        part.unlink(missing_ok=True)  # a full disk costs speed, not the picture


# --- downloads ----------------------------------------------------------------------------------------------------------


def download(request: Request) -> Response:
    """A file of a run, under a name that tells the runs apart."""
    run, file = request.path_params["run"], request.path_params["file"]
    kind = DOWNLOADS.get(file, "application/octet-stream" if FILE.fullmatch(file) else "")
    if not RUN_ID.fullmatch(run) or not kind:
        return refusal(404, "server.no_file")
    try:
        path = services.run_folder(run) / file
    except ThawError as error:
        return refusal(404, error.code)
    if not path.is_file():
        return refusal(404, "server.no_file")
    stem, suffix = file.rsplit(".", 1)
    headers = {"cache-control": "no-store"}
    return FileResponse(path, media_type=kind, filename=f"thaw-{run[-8:].lower()}-{stem}.{suffix}", headers=headers)


def refusal(status: int, code: str) -> Response:
    """A code; its words (`error.<code>.cause`) are spoken by whoever shows it."""
    return JSONResponse({"code": code}, status, headers={"cache-control": "no-store"})


ROUTES = [
    Route("/healthz", health),
    Route(PLOTLY_URL, plotly_js),
    Route("/api/runs/{run}/curve", curve),
    Route("/api/runs/{run}/readings", readings),
    Route("/api/thumbs/{dataset}/{sha}", thumb),
    Route("/api/image/{dataset}/{sha}", image),
    Route("/api/download/{run}/{file}", download),
    Route("/api/upload", upload, methods=["PUT", "DELETE"]),
    *sign_in.ROUTES,
    *api_health.ROUTES,
]
