"""Scene: a small workspace with pictures, and recipes whose runs take a second or two."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.dataset import import_dataset
from core.recipe import Recipe
from core.workspace import Workspace, open_workspace


def picture(label: int, seed: int, side: int = 24) -> bytes:
    """A noisy square whose colour is its class."""
    generator = np.random.default_rng([label, seed])
    pixels = generator.integers(0, 120, (side, side, 3), np.uint8)
    pixels[..., label % 3] += 100
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def workspace_with_pictures(folder: Path, each: int = 20) -> tuple[Workspace, str]:
    """A workspace with three classes of so many pictures; and the id of the set."""
    workspace = open_workspace(folder)
    file = folder / "set.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for label in range(3):
            for seed in range(each):
                archive.writestr(f"{'abc'[label]}/{seed}.png", picture(label, seed))
    return workspace, import_dataset(file, workspace).id


def small(dataset: str, **more: Any) -> Recipe:
    """A run of a second: few images, a small network of which the head learns."""
    plain: dict[str, Any] = {
        "dataset": dataset, "backbone": "squeezenet1_1", "image_size": 32, "epochs": 3, "batch_size": 8, "optimizer": "sgd",
        "lr": 0.01, "device": "cpu", "precision": "fp32", "instruments": False, "warmup_epochs": 0.0,
    }  # fmt: skip
    return Recipe(**{**plain, **more})
