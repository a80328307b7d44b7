"""Backup: a whole workspace in one file, and back again. What can be computed anew (the cache) and uploads stay behind.

The file is a zip without packing: images and weights do not shrink. Its list of contents holds the SHA-256 of each file. A
backup comes from outside: no name in it becomes a path that has not the form of one of ours.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from core import rescue
from core.durable import flush_folder
from core.errors import StoreError
from core.schema import APPLICATION
from core.store import RunStore
from core.workspace import Workspace

FORMAT = 1
CONTENTS = "thaw-backup.json"
DATABASE = "thaw.sqlite"
ACCOUNTS = "accounts.sqlite"
"""Who may come in, where anybody has to sign in; core/gate knows what is in it."""
FOLDERS = ("datasets", "runs", "weights")
MAX_CONTENTS_BYTES = 256 * 2**20
MAX_FILES = 2_000_000
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,149}")
"""Of names in a workspace: ids, hashes and names of ours; never hidden, never `..`."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
CHUNK = 1 << 20

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds."""

    path: Path
    files: int
    size_bytes: int
    """Of the files in it."""
    runs: int


def back_up(store: RunStore, target: Path, *, progress: Progress | None = None) -> Backup:
    """Copy the workspace of `store` into the new file `target`, then read it again. Runs may go on meanwhile.

    The database is a copy of one moment, taken first; a file that goes away meanwhile (an old checkpoint) is left out.
    Raises StoreError (`backup.exists`, `backup.unwritable`).
    """
    target = target.absolute()
    if target.exists():
        raise StoreError("backup.exists", path=str(target))
    if not target.parent.is_dir():
        raise StoreError("backup.unwritable", path=str(target), reason=os.strerror(errno.ENOENT))
    if not os.access(target.parent, os.W_OK):
        raise StoreError("backup.unwritable", path=str(target), reason=os.strerror(errno.EACCES))
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    copy = draft.with_suffix(".sqlite")
    contents: dict[str, Any] = {"format": FORMAT, "runs": len(store.owners()), "files": {}}
    try:
        store.copy_to(copy)
        files = [(copy, DATABASE), *_files(store.workspace)]
        if (accounts := store.workspace.root / ACCOUNTS).is_file():
            _copy_database(accounts, copy.with_suffix(".accounts"))
            files.append((copy.with_suffix(".accounts"), ACCOUNTS))
        total = sum(path.stat().st_size for path, _ in files if path.exists())
        done = 0
        with zipfile.ZipFile(draft, "x", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for path, name in files:
                with suppress(FileNotFoundError):
                    contents["files"][name] = _put(archive, path, name)
                    done += contents["files"][name]["bytes"]
                    if progress:
                        progress(min(done, total), total)
            archive.writestr(CONTENTS, json.dumps(contents))
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        made = _verify(draft)
        os.replace(draft, target)
        flush_folder(target.parent)
    except OSError as error:
        raise StoreError("backup.unwritable", path=str(target), reason=error.strerror or str(error)) from error
    except sqlite3.Error as error:
        raise StoreError("backup.unwritable", path=str(target), reason=str(error)) from error
    finally:
        for left in (draft, copy, copy.with_suffix(".accounts")):
            with suppress(OSError):
                left.unlink(missing_ok=True)
    return Backup(target, len(made["files"]), sum(one["bytes"] for one in made["files"].values()), made["runs"])


def restore(source: Path, workspace: Workspace, *, progress: Progress | None = None) -> Backup:
    """Bring the backup at `source` into `workspace`, which must hold no runs and no data sets; all of it or nothing.

    Raises StoreError (`backup.missing`, `backup.not_ours`, `backup.not_empty`, `backup.no_space`, `backup.unwritable`).
    """
    if not source.is_file():
        raise StoreError("backup.missing", path=str(source))
    if not _is_empty(workspace):
        raise StoreError("backup.not_empty", path=str(workspace.root))
    contents = _verify(source)
    size = sum(one["bytes"] for one in contents["files"].values())
    free = shutil.disk_usage(workspace.root).free
    if size > free:
        amounts = {"need": f"{size / 2**30:.1f} GB", "free": f"{free / 2**30:.1f} GB"}
        raise StoreError("backup.no_space", path=str(workspace.root), **amounts)
    staging = workspace.root / f".restore-{secrets.token_hex(4)}"
    try:
        staging.mkdir()
        done = 0
        with zipfile.ZipFile(source) as archive:
            for name, said in contents["files"].items():
                place = staging.joinpath(*PurePosixPath(name).parts)
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as inside, place.open("xb") as out:
                    if _copy(inside, out, said["bytes"]) != said["sha256"]:
                        raise _not_ours(source, f"{name} is damaged")
                    out.flush()
                    os.fsync(out.fileno())
                done += said["bytes"]
                if progress:
                    progress(done, size)
        if not rescue.is_sound(staging / DATABASE, APPLICATION):
            raise _not_ours(source, f"{DATABASE} is damaged")
        _move(staging, workspace.root)
        if (staging / ACCOUNTS).is_file():
            os.replace(staging / ACCOUNTS, workspace.root / ACCOUNTS)
        for ending in ("", "-wal", "-shm"):
            Path(f"{workspace.database}{ending}").unlink(missing_ok=True)
        os.replace(staging / DATABASE, workspace.database)  # last: until then the workspace is empty
        flush_folder(workspace.root)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise _not_ours(source, str(error)) from error
    except OSError as error:
        raise StoreError("backup.unwritable", path=str(workspace.root), reason=error.strerror or str(error)) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Backup(source, len(contents["files"]), size, int(contents["runs"]))


def allowed(name: str) -> bool:
    """`name` has the form of a file of a workspace, so that it can become a path inside one."""
    if name in {DATABASE, ACCOUNTS}:
        return True
    folder, *parts = name.split("/")
    good = all(PART.fullmatch(part) and not part.endswith(".") and not RESERVED.fullmatch(part) for part in parts)
    return folder in FOLDERS and 1 <= len(parts) <= 6 and good


def _files(workspace: Workspace) -> Iterator[tuple[Path, str]]:
    """Every file of ours; what is half written, or linked, is none."""
    for folder in FOLDERS:
        root = workspace.root / folder
        for above, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = Path(above, name)
                said = path.relative_to(workspace.root).as_posix()
                if allowed(said) and path.is_file() and not path.is_symlink():
                    yield path, said


def _move(staging: Path, root: Path) -> None:
    """Put the folders of `staging` in their places in `root`, and see every name in them to the disk."""
    for above, _, _ in os.walk(staging):
        flush_folder(Path(above))
    for folder in FOLDERS:
        if (staging / folder).is_dir():
            for inner in (staging / folder).iterdir():
                os.replace(inner, root / folder / inner.name)
            flush_folder(root / folder)


def _copy_database(source: Path, target: Path) -> None:
    """A whole copy of a database that others may have open."""
    db = sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        db.execute("VACUUM INTO ?", (str(target),))
    finally:
        db.close()


def _put(archive: zipfile.ZipFile, path: Path, name: str) -> dict[str, Any]:
    with path.open("rb") as file, archive.open(name, "w", force_zip64=True) as out:
        size = os.fstat(file.fileno()).st_size
        digest = _copy(file, out, size)
        return {"bytes": size, "sha256": digest}


def _copy(file: IO[bytes], out: IO[bytes] | None, size: int) -> str:
    """Copy exactly `size` bytes; gives their SHA-256. Raises OSError if there are fewer."""
    digest = hashlib.sha256()
    left = size
    while left:
        data = file.read(min(CHUNK, left))
        if not data:
            raise OSError("a file is shorter than it was")
        digest.update(data)
        if out is not None:
            out.write(data)
        left -= len(data)
    return digest.hexdigest()


def _verify(path: Path) -> dict[str, Any]:
    """The list of contents, after every file was compared with it. Raises StoreError (`backup.not_ours`)."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            sizes = {info.filename: info.file_size for info in infos}
            if (
                len(sizes) != len(infos)
                or len(infos) > MAX_FILES
                or sizes.get(CONTENTS, -1) not in range(MAX_CONTENTS_BYTES)
            ):
                raise _not_ours(path, "its list of contents does not fit")
            if any(info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size for info in infos):
                raise _not_ours(path, "it is packed")
            contents = json.loads(archive.read(CONTENTS))
            files = contents["files"]
            if contents["format"] != FORMAT or not isinstance(contents["runs"], int) or DATABASE not in files:
                raise _not_ours(path, "another format")
            if {CONTENTS, *files} != sizes.keys():
                raise _not_ours(path, "it holds other files than it lists")
            for name, said in files.items():
                if not allowed(name) or not isinstance(said["sha256"], str) or said["bytes"] != sizes[name]:
                    raise _not_ours(path, f"{name[:80]!r} is no file of a workspace")
                with archive.open(name) as file:
                    if _copy(file, None, said["bytes"]) != said["sha256"]:
                        raise _not_ours(path, f"{name} is damaged")
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, EOFError, NotImplementedError) as error:
        raise _not_ours(path, str(error) or type(error).__name__) from error
    except (OSError, RuntimeError, RecursionError, OverflowError) as error:
        raise _not_ours(path, str(error)) from error
    return dict(contents)


def _is_empty(workspace: Workspace) -> bool:
    """No run and no data set lies there; a database without rows does not count."""
    if (workspace.root / ACCOUNTS).exists():
        return False
    if any(any(folder.iterdir()) for folder in (workspace.datasets, workspace.runs) if folder.is_dir()):
        return False
    if not workspace.database.exists():
        return True
    store = RunStore(workspace)
    try:
        store.serve()  # or another server works here
        return not store.owners()
    finally:
        store.close()


def _not_ours(path: Path, reason: str) -> StoreError:
    return StoreError("backup.not_ours", path=str(path), reason=reason[:160])
