"""Slow: `thaw ui` where a step, a validation and a save take long enough to aim a signal at, and are told as they begin.

It draws no demos, which would take the cores for half a minute after each start.

`python -m benchmarks.nightly.slow ui …` with the name of a file in `THAW_NIGHT_TOLD`; it gets a line for each.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

TOLD = "THAW_NIGHT_TOLD"
SECONDS = {"step": 0.03, "validation": 0.2, "save": 0.3}


def _main() -> int:
    from core import checkpoint, cli
    from core.training.job import Job
    from ui import services

    told = os.open(os.environ[TOLD], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for owner, name, word in ((Job, "_learn", "step"), (Job, "outputs", "validation"), (checkpoint, "_read_back", "save")):
        setattr(owner, name, _slow(getattr(owner, name), told, word))
    services.prepare_demos = lambda: None
    return cli.main(sys.argv[1:])


def _slow(act: Callable[..., Any], told: int, word: str) -> Callable[..., Any]:
    def slow(*given: Any) -> Any:
        os.write(told, f"{word}\n".encode())
        time.sleep(SECONDS[word])
        return act(*given)

    return slow


if __name__ == "__main__":
    sys.exit(_main())
