"""An environment of its own for each peer, made with uv from pinned versions. Knows nothing of what is measured in it."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs

REQUIREMENTS = Path(__file__).parent / "requirements"
MARK = "thaw-requirements.sha256"


def default_folder() -> Path:
    """Outside of the repository: a cache of this machine."""
    return Path(platformdirs.user_cache_dir("thaw", appauthor=False)) / "benchmarks"


def python_of(peer: str, folder: Path) -> Path:
    """The interpreter of `peer`, whose environment is made if it is not there or was made from other versions.

    Raises RuntimeError if uv is missing or the installation fails.
    """
    place, wanted = folder / peer, REQUIREMENTS / f"{peer}.txt"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    mark = place / MARK
    if mark.is_file() and mark.read_text() == digest and python.exists():
        return python
    uv = shutil.which("uv")
    if uv is None:
        raise RuntimeError("uv is needed to make the peers' environments, and it is not on the path")
    print(f"making the environment of {peer} in {place}", file=sys.stderr, flush=True)
    _done([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)])
    _done([uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(wanted)])
    mark.write_text(digest)
    return python


def _done(command: list[str]) -> None:
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise RuntimeError(f"{' '.join(command[:3])}: {told.stderr.strip()[-800:]}")
