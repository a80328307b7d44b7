"""The upload route: one file of a data set from a browser to the disk, as it comes. Memory does not grow with the file.

Knows tickets, names and free space; nothing of images or archives, which are checked when they are imported. Streamlit's own
checks do not cover it: it asks for a ticket and for the origin of our own pages.
"""

import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import anyio
from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from core.errors import AccessError
from ui import services
from ui.access import Arriving

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".csv", ".zip")
BATCH = re.compile(r"[0-9a-f]{16}")
"""What is chosen together lies together: a name that the browser draws for each choice."""
MAX_FILE_BYTES = 8 * 2**30
RESERVE_BYTES = 2**30
"""What an upload leaves free on the disk."""
CHUNK_BYTES = 2**20
IDLE_SECONDS = 30.0
"""An upload that sends nothing for so long is given up; a server going down waits no longer than that."""
MAX_DEPTH = 8
MAX_PATH = 400


async def upload(request: Request) -> Response:
    """Write one file into the folder of a ticket, as it comes: memory does not grow with the file."""
    folder = await to_thread.run_sync(services.upload_folder, request.headers.get("x-thaw-ticket", ""))
    if folder is None:
        return _refusal(403, "upload.ticket")
    if not same_origin(request):
        return _refusal(403, "upload.origin")
    batch = request.query_params.get("batch", "")
    target = place(folder / batch, request.query_params.get("path", "")) if BATCH.fullmatch(batch) else None
    if target is None:
        return _refusal(422, "upload.name")
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdecimal() else 0
    if size > MAX_FILE_BYTES:
        return _refusal(413, "upload.too_big")
    try:
        with services.access().upload(size) as arriving:
            return await _take(request, folder, target, size, arriving)
    except AccessError as error:
        return _refusal(429, error.code) if error.code == "upload.gate_many" else _refusal(413, "upload.gate_disk")


async def _take(request: Request, folder: Path, target: Path, size: int, arriving: Arriving) -> Response:
    await to_thread.run_sync(lambda: target.parent.mkdir(parents=True, exist_ok=True))
    if _free(folder) - size < RESERVE_BYTES:
        return _refusal(507, "upload.disk_full")
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        received = await _write(request, part, folder, arriving)
        os.replace(part, target)
    except _RefusedError as error:
        return _refusal(error.status, error.code)
    except ClientDisconnect:
        return _refusal(400, "upload.broken_off")
    except TimeoutError:
        return _refusal(408, "upload.idle")
    except OSError:
        return _refusal(507, "upload.disk_full")
    finally:
        part.unlink(missing_ok=True)
    return JSONResponse({"bytes": received}, 201)


class _RefusedError(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


async def _write(request: Request, part: Path, folder: Path, arriving: Arriving) -> int:
    received, buffer = 0, bytearray()
    async with await anyio.open_file(part, "xb") as file:
        async for chunk in _steadily(request.stream()):
            received += len(chunk)
            if received > MAX_FILE_BYTES:
                raise _RefusedError(413, "upload.too_big")
            buffer += chunk
            if len(buffer) >= CHUNK_BYTES:
                if _free(folder) < RESERVE_BYTES:
                    raise _RefusedError(507, "upload.disk_full")
                await to_thread.run_sync(arriving.more, len(buffer))
                await file.write(buffer)  # in a worker thread: the event loop stays free
                buffer.clear()
        await to_thread.run_sync(arriving.more, len(buffer))
        await file.write(buffer)
    return received


async def _steadily(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks. Raises TimeoutError if one does not come within IDLE_SECONDS."""
    while True:
        with anyio.fail_after(IDLE_SECONDS):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def place(folder: Path, wanted: str) -> Path | None:
    """Where a browser's relative path goes inside `folder`, or None: names from outside are wishes."""
    path = PurePosixPath(wanted.replace("\\", "/"))
    if not path.parts or path.is_absolute() or len(path.parts) > MAX_DEPTH or len(wanted) > MAX_PATH:
        return None
    for part in path.parts:
        if part in {"..", "."} or part.startswith(".") or ":" in part or len(part.encode()) > 200:
            return None
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in part) or part != part.strip().rstrip("."):
            return None
    return folder.joinpath(*path.parts) if path.suffix.lower() in SUFFIXES else None


def same_origin(request: Request) -> bool:
    """True if the browser says that the page that asks is one of ours."""
    origin = urlsplit(request.headers.get("origin", ""))
    return origin.scheme in {"http", "https"} and origin.netloc == request.headers.get("host")


def _refusal(status: int, code: str) -> Response:
    """A code; the component in the browser knows its words (`error.<code>.cause`)."""
    return JSONResponse({"code": code}, status, headers={"cache-control": "no-store"})
