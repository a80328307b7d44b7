"""Model: a trained network with everything needed to use it, as one safetensors file. Knows nothing of how it was trained.

The file names its tensors as torchvision does. Its metadata holds classes, preprocessing, recipe and a digest of the
tensors, since neither safetensors nor a disk notices a flipped bit.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from core.augment import normalised
from core.backbones import Network, build
from core.checkpoint import write_durably
from core.device import measuring_batch
from core.digest import tensors_digest
from core.errors import RecipeError, WeightsError
from core.evaluation import softmax
from core.images import Fit, decode
from core.recipe import Recipe, parse

FORMAT: Final = "1"


@dataclass(frozen=True)
class Model:
    """A network that answers. Its answers come in single precision and in eval."""

    network: Network
    recipe: Recipe
    classes: tuple[str, ...]

    @property
    def image_size(self) -> int:
        """Side of the square that the network sees, in pixels."""
        return self.recipe.image_size

    @property
    def fit(self) -> Fit:
        """How a picture that is not square is made so."""
        return self.recipe.fit

    def logits(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        """Class scores (N, classes) of pixels (N, 3, S, S) uint8, S being `image_size`."""
        parts = list(self.parts(pixels))
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes)), np.float32)

    def parts(self, pixels: torch.Tensor) -> Iterator[NDArray[np.float32]]:
        """As `logits`, `measuring_batch` images at a time."""
        network = self.network
        device = next(network.model.parameters()).device
        network.model.eval()
        for some in torch.split(pixels, measuring_batch(device)) if len(pixels) else ():
            with torch.inference_mode():
                image = normalised(some.to(device), network.mean, network.std)
                outputs = network.model(image.contiguous(memory_format=torch.channels_last))
                part: NDArray[np.float32] = outputs.float().cpu().numpy()
            yield part

    def predict(self, images: Sequence[bytes]) -> NDArray[np.float64]:
        """Probabilities (N, classes) of image files, decoded as in training. Raises DataError (`image.*`)."""
        decoded = [decode(data, self.image_size, self.fit).transpose(2, 0, 1) for data in images]
        if not decoded:
            return np.empty((0, len(self.classes)))
        return softmax(self.logits(torch.from_numpy(np.stack(decoded))))


def save_model(
    path: Path,
    network: Network,
    *,
    recipe: Recipe,
    classes: Sequence[str],
    weights: Mapping[str, torch.Tensor] | None = None,
) -> str:
    """Write the model to `path`, whole or not at all; gives the file's SHA-256. Raises CheckpointError (`checkpoint.*`).

    `weights` stand in for the network's own.
    """
    held = network.model.state_dict() if weights is None else weights
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in held.items()}
    preprocessing = {"size": recipe.image_size, "fit": recipe.fit, "mean": network.mean, "std": network.std}
    metadata = {
        "thaw": FORMAT,
        "backbone": network.name,
        "head": network.head,
        "classes": json.dumps(list(classes), ensure_ascii=False),
        "preprocessing": json.dumps(preprocessing),
        "recipe": recipe.to_json(),
        "tensors_sha256": tensors_digest(tensors),
    }
    data = save(tensors, metadata)
    digest, _ = write_durably(path, lambda file: file.write(data))
    return digest


def load_model(path: Path, device: str | torch.device = "cpu") -> Model:
    """The model in `path`, checked tensor by tensor, on `device` and in eval.

    Raises WeightsError: `model.missing`, `model.damaged`, `model.not_ours`, `model.format`.
    """
    metadata, tensors = _read(path)
    try:
        recipe = parse(metadata["recipe"])
        classes = _texts(json.loads(metadata["classes"]))
        preprocessing = json.loads(metadata["preprocessing"])
        mean, std = (_triple(preprocessing[name]) for name in ("mean", "std"))
        network = build(metadata["backbone"], classes=len(classes), weights="random", image_size=recipe.image_size)
        network.model.load_state_dict(tensors)
    except (RecipeError, RuntimeError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError("model.damaged", name=path.name) from error
    network.mean, network.std = mean, std
    network.model.to(device).to(memory_format=torch.channels_last).eval()
    return Model(network, recipe, classes)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError("no list of class names")
    return tuple(value)


def _triple(value: object) -> tuple[float, float, float]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("not three numbers")
    red, green, blue = (float(one) for one in value)
    return red, green, blue


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors, after their digest was seen."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except FileNotFoundError as error:
        raise WeightsError("model.missing", name=path.name) from error
    except (OSError, SafetensorError) as error:
        raise WeightsError("model.damaged", name=path.name) from error
    if not {"thaw", "backbone", "classes", "preprocessing", "recipe", "tensors_sha256"} <= metadata.keys():
        raise WeightsError("model.not_ours", name=path.name)
    if metadata["thaw"] != FORMAT:
        raise WeightsError("model.format", name=path.name, format=metadata["thaw"], known=FORMAT)
    if metadata["tensors_sha256"] != tensors_digest(tensors):
        raise WeightsError("model.damaged", name=path.name)
    return metadata, tensors
