"""The upload route: files of a data set from a browser to the disk, as they come; large ones in pieces that outlive a crash.

Knows tickets, names and free space; nothing of images or archives, which are checked when they are imported. Streamlit's own
checks do not cover it: it asks for a ticket and for the origin of our own pages.
"""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import anyio
from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from core.errors import AccessError
from core.workspace import Workspace
from ui import services
from ui.access import Arriving
from ui.middleware import is_same_origin

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".csv", ".zip")
BATCH = re.compile(r"[0-9a-f]{16}")
"""What is chosen together lies together: a name that the browser draws for each choice."""
MAX_FILE_BYTES = 8 * 2**30
RESERVE_BYTES = 2**30
"""What an upload leaves free on the disk."""
CHUNK_BYTES = 2**20
IDLE_SECONDS = 30.0
"""An upload that sends nothing for so long is given up; a server going down waits no longer than that."""
KEPT = "kept"
"""Folder of files that have arrived in part, each person's own."""
KEPT_SECONDS = 24 * 3600
MAX_DEPTH = 8
MAX_PATH = 400


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a large file. What has arrived of it lies in `part`, for a day, whatever becomes of page and server."""

    part: Path
    offset: int
    total: int


async def upload(request: Request) -> Response:
    """Write one file, or a piece of one, into the folder of a ticket as it comes: memory does not grow with the file.

    A piece says `offset`, `total` and `modified` of its file. It is answered with how much is there (`have`): 202 if more is
    wanted, 201 at the end, 409 if it begins beyond. DELETE gives a file up that was begun.
    """
    ticket = request.headers.get("x-thaw-ticket", "")
    folder = await to_thread.run_sync(services.upload_folder, ticket)
    if folder is None:
        return _refusal(403, "upload.ticket")
    if not is_same_origin(request.headers.get("origin"), request.headers.get("host", "")):
        return _refusal(403, "upload.origin")
    batch = request.query_params.get("batch", "")
    target = place(folder / batch, request.query_params.get("path", "")) if BATCH.fullmatch(batch) else None
    if target is None:
        return _refusal(422, "upload.name")
    piece = _piece(request, folder.parent)
    if request.method == "DELETE":
        if piece:
            piece.part.unlink(missing_ok=True)
        return Response(status_code=204)
    declared = request.headers.get("content-length", "")
    size = piece.total - piece.offset if piece else int(declared) if declared.isdecimal() else 0
    if max(size, piece.total if piece else 0) > MAX_FILE_BYTES:
        return _refusal(413, "upload.too_big")
    try:
        with services.access().upload(size) as arriving:
            if piece:
                return await _take_piece(request, folder, target, piece, arriving)
            return await _take(request, folder, target, size, arriving)
    except AccessError as error:
        return _refusal(429, error.code) if error.code == "upload.gate_many" else _refusal(413, "upload.gate_disk")


def _piece(request: Request, uploads: Path) -> Piece | None:
    """What the request says of a larger file; None if it sends a whole one."""
    asked = request.query_params
    numbers = [asked.get(name, "") for name in ("offset", "total", "modified")]
    if not all(number.isdecimal() and len(number) < 20 for number in numbers):
        return None
    owner = services.access().owner()
    of = f"{asked.get('path')}|{numbers[1]}|{numbers[2]}".encode()
    kept = uploads / f"{owner}{'.' if owner else ''}{KEPT}"
    return Piece(kept / f"{hashlib.sha256(of).hexdigest()[:32]}.part", int(numbers[0]), int(numbers[1]))


async def _take_piece(request: Request, folder: Path, target: Path, piece: Piece, arriving: Arriving) -> Response:
    """Any piece that begins at or before what is there may come, twice too: its bytes are those of the file."""
    await to_thread.run_sync(lambda: target.parent.mkdir(parents=True, exist_ok=True))
    await to_thread.run_sync(lambda: piece.part.parent.mkdir(exist_ok=True))
    have = piece.part.stat().st_size if piece.part.exists() else 0
    if piece.offset > have:
        return JSONResponse({"have": have}, 409, headers={"cache-control": "no-store"})
    if _free(folder) - (piece.total - have) < RESERVE_BYTES:
        return _refusal(507, "upload.disk_full")
    try:
        await _write(request, piece.part, folder, arriving, offset=piece.offset, most=piece.total)
    except (ClientDisconnect, TimeoutError):
        return _refusal(400, "upload.broken_off")  # what has come stays
    except _RefusedError as error:
        return _refusal(error.status, error.code)
    except OSError:
        return _refusal(507, "upload.disk_full")
    have = piece.part.stat().st_size
    if have < piece.total:
        return JSONResponse({"have": have}, 202, headers={"cache-control": "no-store"})
    os.replace(piece.part, target)
    return JSONResponse({"bytes": have}, 201)


async def _take(request: Request, folder: Path, target: Path, size: int, arriving: Arriving) -> Response:
    await to_thread.run_sync(lambda: target.parent.mkdir(parents=True, exist_ok=True))
    if _free(folder) - size < RESERVE_BYTES:
        return _refusal(507, "upload.disk_full")
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        received = await _write(request, part, folder, arriving, most=MAX_FILE_BYTES)
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


def sweep(workspace: Workspace, waiting: Iterable[Path] = ()) -> None:
    """Remove what earlier servers left, but not what an import is `waiting` for, nor what began to arrive within a day."""
    wanted = {path.relative_to(workspace.uploads).parts[0] for path in waiting if path.is_relative_to(workspace.uploads)}
    for left in workspace.uploads.iterdir():
        if left.name.rpartition(".")[2] == KEPT:
            for part in left.iterdir():
                if time.time() - part.stat().st_mtime > KEPT_SECONDS:
                    part.unlink(missing_ok=True)
        elif left.name not in wanted:
            shutil.rmtree(left, ignore_errors=True)


class _RefusedError(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


async def _write(request: Request, part: Path, folder: Path, arriving: Arriving, *, most: int, offset: int = 0) -> int:
    """Write the body into `part` from `offset` on; gives its bytes. What has come is written even if the rest does not."""
    received, buffer = 0, bytearray()
    part.touch()
    async with await anyio.open_file(part, "r+b") as file:
        await file.seek(offset)
        try:
            async for chunk in _steadily(request.stream()):
                received += len(chunk)
                if offset + received > most:
                    raise _RefusedError(413, "upload.too_big")
                buffer += chunk
                if len(buffer) >= CHUNK_BYTES:
                    if _free(folder) < RESERVE_BYTES:
                        raise _RefusedError(507, "upload.disk_full")
                    await to_thread.run_sync(arriving.more, len(buffer))
                    await file.write(buffer)  # in a worker thread: the event loop stays free
                    buffer.clear()
        finally:
            with anyio.CancelScope(shield=True):
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


def _refusal(status: int, code: str) -> Response:
    """A code; the component in the browser knows its words (`error.<code>.cause`)."""
    return JSONResponse({"code": code}, status, headers={"cache-control": "no-store"})
