"""Thaw as `thaw` starts it, but for its demos, which take a core 40 s a server: twelve pictures a class, when asked for.

Usage: python house.py WHOLE ARGUMENTS OF THAW, where WHOLE names the demo that is drawn to its end ('' for none).
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from core.cli import main
from core.dataset import DEMOS, draw
from core.dataset.taking import Labelled
from ui import services

FEW = 12


def few(files: Callable[[], Iterator[Labelled]]) -> Iterator[Labelled]:
    taken: Counter[tuple[str, str | None]] = Counter()
    for one in files():
        taken[one.label, one.split] += 1
        if taken[one.label, one.split] <= FEW:
            yield one


def shorten(whole: str) -> None:
    for key, demo in list(DEMOS.items()):
        if key != whole:
            files = partial(few, demo.files)
            DEMOS[key] = replace(demo, files=files, images=sum(1 for _ in files()))


if __name__ == "__main__":
    shorten(sys.argv.pop(1))
    services.prepare_demos = lambda: None
    draw.draw_apart = lambda *_: True  # a process of its own knows the whole demos: the server draws them when it reads them
    sys.exit(main())
