"""Folders: the places of this machine from which a page may be told to import. Knows paths; reads no file.

The command line asks nothing here: there a person's own shell says what may be read.
"""

import os
from pathlib import Path

from core.errors import AccessError
from core.workspace import Workspace

ROOTS = "THAW_FOLDERS"
"""Environment variable: folders apart as in PATH, instead of the usual ones; empty for none."""


def roots(workspace: Workspace) -> tuple[Path, ...]:
    """The person's home and the folder that the workspace lies in, unless ROOTS says others; never a whole disk unasked."""
    said = os.environ.get(ROOTS)
    if said is not None:
        return tuple(Path(place).expanduser().resolve() for place in said.split(os.pathsep) if place)
    usual = [Path(os.path.expanduser("~")).resolve(), workspace.root.parent.resolve()]
    return tuple(place for place in usual if place != place.parent)


def checked(source: Path, workspace: Workspace) -> Path:
    """`source` with every link followed: that, and no link, is what may be read.

    Raises AccessError (`gate.outside_folders`) if it lies in none of the roots, whether it exists or not.
    """
    try:
        place = source.expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, no such person, a null character
        place = Path("/")
    inside = roots(workspace)
    if not any(place.is_relative_to(root) for root in inside):
        raise AccessError("gate.outside_folders", path=str(source), folders=", ".join(map(str, inside)) or "–")
    return place
