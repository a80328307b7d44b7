"""The model as one ONNX file that needs neither Thaw nor torch: normalisation and softmax inside, what to know beside them.

Input `image`: float32 (N, 3, S, S), RGB in [0, 1]; a user resizes and divides by 255. Outputs `logits` and `probabilities`,
(N, classes). The batch N is free. Knows nothing of runs but their folder.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.export import Dim

from core.backbones import Network
from core.dataset import Dataset, open_dataset
from core.errors import DataError, ExportError, StoreError
from core.evaluation import softmax
from core.export import MODEL_FILE, Check
from core.images import PAD_COLOR, decode
from core.model import Model, load_model
from core.recipe import Recipe
from core.workspace import Workspace

OPSET = 18
"""Of 2023: layer norm is one operator (17), and every runtime of the last years reads it."""
IMAGES = 32
TOLERANCE = 1e-3
"""Of a probability. Arithmetic in another order differs by 1e-7 to 1e-5; a wrong mean or a wrong resize by 1e-2 and more."""
LARGEST_BYTES = 2_000_000_000
"""One protobuf message ends at 2 GiB; beyond it ONNX needs a second file, which is easily lost."""


class Served(nn.Module):
    """What goes into the file: pixels in [0, 1] to logits and probabilities."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.model
        self.mean = nn.Buffer(torch.tensor(network.mean).view(1, 3, 1, 1))
        self.std = nn.Buffer(torch.tensor(network.std).view(1, 3, 1, 1))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`image`: (N, 3, S, S) float in [0, 1]. Logits and probabilities, (N, classes) each."""
        logits = self.network((image - self.mean) / self.std)
        return logits, torch.softmax(logits, dim=1)


def write(run_folder: Path, part: Path) -> Check:
    """Convert the model of the run into `part` and compare both on pictures of the run's data set.

    Raises ExportError (`export.unsupported`, `export.too_large`, `export.disagrees`).
    """
    model = load_model(run_folder / MODEL_FILE)
    convert(model, part, properties(model, run_folder.name))
    pixels, source = samples(model, Workspace(run_folder.parent.parent))
    check = compare(part, model, pixels, source)
    if not check.largest_difference <= TOLERANCE:
        raise ExportError("export.disagrees", difference=f"{check.largest_difference:.2g}", tolerance=f"{TOLERANCE:g}")
    return check


def convert(model: Model, part: Path, said: dict[str, str]) -> None:
    """Write the ONNX file, with the texts of `said` in its properties and no trace of this machine."""
    served = Served(model.network).eval().requires_grad_(False)
    if sum(tensor.nbytes for tensor in served.state_dict().values()) > LARGEST_BYTES:
        raise ExportError("export.too_large", backbone=model.recipe.backbone)
    example = torch.zeros(2, 3, model.image_size, model.image_size)
    try:
        program = torch.onnx.export(
            served,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits", "probabilities"],
            dynamic_shapes=({0: Dim("batch", min=1)},),
        )
    except torch.onnx.errors.OnnxExporterError as error:  # the exporter's own family: an operator or a shape it cannot do
        raise ExportError("export.unsupported", backbone=model.recipe.backbone, reason=_last_line(error)) from error
    assert program is not None  # noqa: S101 - None only from the old exporter
    graph = program.model.graph
    for thing in (graph, *graph.inputs, *graph.initializers.values(), *graph.all_nodes()):
        _hush(thing)
    program.model.metadata_props.clear()
    program.model.metadata_props.update(said)
    program.model.doc_string = said["preprocessing"]
    graph.name = f"thaw {model.recipe.backbone}"
    program.save(part, external_data=False)


def properties(model: Model, run: str) -> dict[str, str]:
    """What a user of the file must know, as texts in its `metadata_props`."""
    return {
        "classes": json.dumps(list(model.classes), ensure_ascii=False),
        "image_size": str(model.image_size),
        "fit": model.fit,
        "preprocessing": (
            "RGB, upright as its EXIF says, transparency on white, deep grey as 8 bits, "
            f"{_FIT[model.fit]} to {model.image_size}x{model.image_size} pixels (bilinear), divided by 255, "
            "as float32 (N, 3, height, width). Normalisation and softmax are inside."
        ),
        "backbone": model.recipe.backbone,
        "recipe": recipe_id(model.recipe),
        "run": run,
        "made_by": f"Thaw {version('thaw')}",
    }


_FIT = {
    "crop": "the largest centred square, resized",
    "stretch": "resized without regard to its shape",
    "pad": f"the whole picture, centred on a square of the colour {PAD_COLOR}, resized",
}


def recipe_id(recipe: Recipe) -> str:
    """Twelve hex digits that stand for every choice of the run."""
    return hashlib.sha256(recipe.to_json().encode()).hexdigest()[:12]


def samples(model: Model, workspace: Workspace) -> tuple[np.ndarray, str]:
    """Up to 32 pictures (N, 3, S, S) uint8 spread over the run's data set; noise if it is gone or unreadable.

    The second value says which: 'dataset' or 'generated'.
    """
    try:
        dataset = open_dataset(workspace, model.recipe.dataset)
        pictures = [_picture(dataset, at, model) for at in _spread(len(dataset.items))]
    except (DataError, StoreError, OSError):
        side = model.image_size
        return np.random.default_rng(0).integers(0, 256, (IMAGES, 3, side, side), np.uint8), "generated"
    return np.stack(pictures), "dataset"


def compare(file: Path, model: Model, pixels: np.ndarray, source: str) -> Check:
    """Ask the ONNX file (in onnxruntime) and the app's model about `pixels` (N, 3, S, S) uint8."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(os.fspath(file), options, providers=["CPUExecutionProvider"])
    largest, same = 0.0, 0
    for batch in _batches(pixels):
        (theirs,) = session.run(["probabilities"], {"image": batch.astype(np.float32) / 255})
        ours = softmax(model.logits(torch.from_numpy(batch)))
        largest = float(np.maximum(largest, np.abs(theirs - ours).max()))  # np.maximum: a NaN stays
        same += int((theirs.argmax(1) == ours.argmax(1)).sum())
    return Check(images=len(pixels), source=source, largest_difference=largest, same_top1=same)


def _batches(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """One picture, then four at a time: the free batch size is tried too."""
    yield pixels[:1]
    for start in range(1, len(pixels), 4):
        yield pixels[start : start + 4]


def _spread(count: int) -> list[int]:
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, IMAGES))})


def _picture(dataset: Dataset, at: int, model: Model) -> np.ndarray:
    return decode(dataset.image(dataset.items[at]), model.image_size, model.fit).transpose(2, 0, 1)


def _hush(thing: Any) -> None:
    """Take the exporter's notes (source lines and paths of this machine) out of a graph, a node or a value."""
    thing.metadata_props.clear()
    for value in getattr(thing, "outputs", ()):
        value.metadata_props.clear()


def _last_line(error: Exception) -> str:
    return (str(error.__cause__ or error).strip().rpartition("\n")[2])[:300]
