"""Likeness: which images show one picture, by the sketch that was made of each while it was read. Pure; numpy only.

It sees copies that were saved anew, made smaller, brighter or darker. One that was cut by 2 % it may miss: `core.examine`
looks closer. Measured on the six demos and 2,062 photographs of hands: such copies are alike by 0.97 and more, unrelated
pictures by 0.95 and less; but where all have one layout (boards, digits) by up to 0.995, so that an image with many that are
much like it asks for more.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.images import HUES_SIDE, SKETCH_BYTES, SKETCH_SIDE

Floats = NDArray[np.float32]
SIGMA = 1.5
"""Of the blur that is taken away from a sketch: large areas of light say little."""
ALIKE, STRICTEST = 0.97, 0.9975
"""Likeness that two images need at least, and at most."""
ROOM, NEIGHBOURS = 0.1, 6
"""Of the way from its NEIGHBOURS-th neighbour to equality that a copy of an image must lie within."""
PLAIN = 16.0
"""Length of the details of a sketch that shows nothing: pictures lie above 60."""
HUES = 0.08
"""How much the colour of two copies may differ at one of 4 x 4 places, in shares of red and green."""
FEW, MAIN = 4096, 40
"""Images that are all compared with all at once; and axes of a larger set along which most of what differs lies."""
ROUNDING = 1e-3
"""More than single precision loses in a product."""
TOGETHER = 2**24
"""Likenesses in memory at a time."""


def groups(sketches: Sequence[bytes], cancelled: Callable[[], bool] = lambda: False) -> list[list[int]]:
    """Indices of the images that show one picture, sorted, two or more each. Raises DataError (`data.cancelled`)."""
    known = np.array([at for at, sketch in enumerate(sketches) if len(sketch) == SKETCH_BYTES], np.int64)
    if len(known) < 2:
        return []
    noted = np.frombuffer(b"".join(sketches[at] for at in known), np.uint8).reshape(len(known), SKETCH_BYTES)
    fine, shows = _details(noted[:, : SKETCH_SIDE**2])
    known, fine, hues = known[shows], fine[shows], _hues(noted[shows, SKETCH_SIDE**2 :])
    asked = _asked(fine, cancelled)
    labels = _hanging_together(fine, hues, asked, cancelled)
    order = np.argsort(labels, kind="stable")
    parts = np.split(known[order], np.flatnonzero(np.diff(labels[order])) + 1)
    return sorted(part.tolist() for part in parts if len(part) > 1)


def _details(greys: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.bool_]]:
    """What is finer than SIGMA, of length one (N, SKETCH_SIDE²); and which show anything (N,)."""
    at = np.arange(SKETCH_SIDE)
    bell = np.exp(-((at[:, None] - at) ** 2) / (2 * SIGMA**2))
    bell = (bell / bell.sum(axis=1, keepdims=True)).astype(np.float32)
    images = greys.reshape(-1, SKETCH_SIDE, SKETCH_SIDE).astype(np.float32)
    fine = (images - bell @ images @ bell.T).reshape(len(images), -1)
    fine -= fine.mean(axis=1, keepdims=True)
    length = np.linalg.norm(fine, axis=1, keepdims=True)
    return fine / np.maximum(length, 1e-6), length[:, 0] > PLAIN


def _hues(colours: NDArray[np.uint8]) -> Floats:
    """Red and green as shares of the light (N, HUES_SIDE² * 2)."""
    light = colours.reshape(-1, HUES_SIDE**2, 3).astype(np.float32) + 8
    shares: Floats = light[..., :2] / light.sum(axis=2, keepdims=True)
    return shares.reshape(len(light), 2 * HUES_SIDE**2)


def _asked(fine: Floats, cancelled: Callable[[], bool]) -> Floats:
    """The likeness that each image asks of a copy (N,); infinity if there is none."""
    many = len(fine)
    asked = np.full(many, np.inf, np.float32)
    near = np.arange(many) if many <= FEW else _perhaps(_bounds(fine), cancelled)
    for start, alike in _products(fine[near], fine, cancelled):
        rows = near[start : start + len(alike)]
        alike[np.arange(len(rows)), rows] = -1.0
        usual = np.zeros(len(rows), np.float32)
        if many > NEIGHBOURS:
            usual = np.partition(alike, many - NEIGHBOURS, axis=1)[:, many - NEIGHBOURS]
        found = alike.max(axis=1) >= ALIKE
        asked[rows[found]] = np.clip(1 - ROOM * (1 - usual[found]), ALIKE, STRICTEST)
    return asked


def _bounds(fine: Floats) -> Floats:
    """(N, MAIN + 1), of which the products are never below the likenesses, and six times sooner worked out.

    What lies along the main axes of the set is multiplied as it is; of the rest, only the lengths.
    """
    _, axes = np.linalg.eigh(fine.T @ fine)
    along: Floats = fine @ axes[:, -MAIN:]
    rest = np.sqrt(np.maximum(1 - (along**2).sum(axis=1, keepdims=True), 0))
    return np.hstack([along, rest])


def _perhaps(bounds: Floats, cancelled: Callable[[], bool]) -> NDArray[np.int64]:
    """The images that may have a copy."""
    found = [np.empty(0, np.int64)]
    for start, most in _products(bounds, bounds, cancelled):
        most[np.arange(len(most)), np.arange(start, start + len(most))] = -1.0
        found.append(start + np.flatnonzero(most.max(axis=1) >= ALIKE - ROUNDING))
    return np.concatenate(found)


def _hanging_together(fine: Floats, hues: Floats, asked: Floats, cancelled: Callable[[], bool]) -> NDArray[np.int64]:
    """A number for each image (N,), the same for all that hang together by pairs of copies."""
    labels = np.arange(len(fine))
    near = np.flatnonzero(np.isfinite(asked))
    for start, alike in _products(fine[near], fine[near], cancelled):
        for at, row in zip(near[start:], alike, strict=False):
            copies = near[row >= np.maximum(asked[near], asked[at])]
            copies = copies[np.abs(hues[copies] - hues[at]).max(axis=1, initial=0.0) < HUES]
            if len(copies) > 1:  # one is itself
                joined = np.unique(labels[copies])
                labels[np.isin(labels, joined)] = joined[0]
    return labels


def _products(some: Floats, others: Floats, cancelled: Callable[[], bool]) -> Iterator[tuple[int, Floats]]:
    """Rows of the products of all to all, as many as fit into memory at a time, each time with the number of the first."""
    rows = max(1, TOGETHER // max(1, len(others)))
    for start in range(0, len(some), rows):
        if cancelled():
            raise DataError("data.cancelled")
        yield start, some[start : start + rows] @ others.T
