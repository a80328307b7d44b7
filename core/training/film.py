"""The film strip: what a network says about the same few validation images after each epoch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.evaluation import softmax
from core.events import Film, Frame
from core.training.material import Material

FRAMES = 10
"""Images, where nobody has chosen any."""


def chosen(material: Material, wanted: Sequence[str]) -> NDArray[np.int64]:
    """Places in the validation split of the images to follow: those with the hashes `wanted`, else the classes by turns."""
    val = material.val
    if wanted:
        hashes = [material.dataset.items[index].sha256 for index in val.indices]
        return np.array([hashes.index(one) for one in wanted if one in hashes], np.int64)
    labels = val.labels.numpy()
    rank = np.zeros(len(labels), np.int64)
    for one in np.unique(labels):
        mine = np.flatnonzero(labels == one)
        rank[mine] = np.arange(len(mine))
    return np.lexsort((labels, rank))[:FRAMES]


def pictured(
    logits: NDArray[np.float32], places: NDArray[np.int64], material: Material, *, epoch: int, step: int
) -> Film | None:
    """The strip of an epoch from the scores (N, classes) of all validation images; None if no image is followed."""
    if not len(places):
        return None
    dataset, val = material.dataset, material.val
    frames = []
    for row, place in zip(softmax(logits[places]), places.tolist(), strict=True):
        said, label = int(row.argmax()), int(val.labels[place])
        image = dataset.items[val.indices[place]].sha256
        frames.append(Frame(image=image, label=label, said=said, confidence=float(row[said]), truth=float(row[label])))
    return Film(epoch=epoch, step=step, frames=tuple(frames))
