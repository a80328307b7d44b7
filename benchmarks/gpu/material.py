"""JPEG files for a GPU's hunger: twenty thousand in seconds on sixteen cores. Free of torch, for its processes' sake.

Each is a window of a larger picture with a planted class (`benchmarks.peers.material.picture`), so that all differ and none
costs more than its encoding.
"""

import math
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.peers.material import CLASSES, QUALITY, picture

WEB = (500, 375)
ROOM = 1.25
"""Sides of the large picture in sides of a window."""
CHUNK = 400
"""Files that one process makes from the same large pictures."""


def generated(root: Path, *, count: int, size: tuple[int, int]) -> Path:
    """A folder CLASS/*.jpg of `count` files of `size` = width and height, classes by turns."""
    for label in range(CLASSES):
        (root / f"class{label}").mkdir(parents=True, exist_ok=True)
    chunk = max(1, min(CHUNK, math.ceil(count / (os.cpu_count() or 1))))
    starts = range(0, count, chunk)
    with ProcessPoolExecutor(min(len(starts), os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        list(pool.map(_some, *zip(*((root, start, min(count, start + chunk), size) for start in starts), strict=True)))
    return root


def files(root: Path) -> list[Path]:
    """Of a folder that `generated` made, classes by turns."""
    return sorted(root.glob("*/*.jpg"), key=lambda file: file.name)


def label_of(file: Path) -> int:
    """The class of a file."""
    return int(file.parent.name.removeprefix("class"))


def _some(root: Path, start: int, stop: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng([start, *size])
    width, height = size
    wide, high = round(ROOM * width), round(ROOM * height)
    larger: dict[int, np.ndarray] = {}
    for at in range(start, stop):
        label = at % CLASSES
        key = label if width <= 2000 else 0  # a picture of 19 megapixels takes seconds: one for all classes of the chunk
        if key not in larger:
            larger[key] = picture(wide, high, label, rng)
        x, y = int(rng.integers(wide - width + 1)), int(rng.integers(high - height + 1))
        window = larger[key][y : y + height, x : x + width]
        if rng.random() < 0.5:
            window = window[:, ::-1]
        file = root / f"class{label}" / f"{at:06}.jpg"
        Image.fromarray(np.ascontiguousarray(window)).save(file, quality=QUALITY)
