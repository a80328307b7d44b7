"""Answers: what a model says about each image of a split, as a file for the pages that show right and wrong ones."""

from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from core.checkpoint import write_durably
from core.training.material import Material, Part

LIKELIEST = 3


def write_answers(
    path: Path, material: Material, part: Part, probabilities: NDArray[np.float64], *, split: str, epoch: int
) -> None:
    """Write JSON: `split`, `epoch`, `classes`, and `items` in the order of `part`.

    An item: `index` into the data set, `name`, `sha256`, `label`, `predicted`, `confidence` (probability of the predicted
    class) and `top`, the three likeliest classes with their probabilities. Raises CheckpointError (`checkpoint.*`).
    """
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :LIKELIEST]
    items = [
        {
            "index": index,
            "name": material.dataset.items[index].name,
            "sha256": material.dataset.items[index].sha256,
            "label": material.dataset.items[index].label,
            "predicted": int(best[0]),
            "confidence": float(row[best[0]]),
            "top": [{"class": int(label), "probability": float(row[label])} for label in best],
        }
        for index, row, best in zip(part.indices, probabilities, ranked, strict=True)
    ]
    document = {"split": split, "epoch": epoch, "classes": list(material.dataset.classes), "items": items}
    write_durably(path, lambda file: file.write(orjson.dumps(document)))
