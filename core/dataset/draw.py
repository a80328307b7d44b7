"""Draw: a demo set made by a process of its own, so that the pages of a first minute need not wait for it.

`python -m core.dataset.draw ID WORKSPACE` writes how far it is, a line "done total" at a time.
"""

import os
import subprocess
import sys
from collections.abc import Callable

from core import sandbox
from core.dataset.apart import Progress
from core.dataset.library import open_dataset
from core.workspace import Workspace, open_workspace

NICE = 10
"""As a training: pages come first."""


def draw_apart(workspace: Workspace, demo: str, progress: Progress, cancelled: Callable[[], bool]) -> bool:
    """True if the demo `demo` (an id) is there now; False if its process ended early, for whatever reason."""
    command = sandbox.command("core.dataset.draw", demo, str(workspace.root))
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(  # noqa: S603 - our own module, in a list
        command, cwd=sandbox.root(), env=sandbox.environment(), stdin=nothing, stdout=pipe, stderr=nothing, text=True
    ) as child:
        told = False
        try:
            for line in child.stdout or ():
                done, total = line.split()
                progress(int(done), int(total))
                if cancelled():
                    return False
            told = True
        finally:
            if not told:
                child.kill()
        return child.wait() == 0


def main(demo: str, root: str) -> int:
    """What the process does."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    open_dataset(open_workspace(root), demo, progress=lambda done, total: print(done, total, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
