"""Weights from files into a network: published ones verified before they are opened, a person's own as safetensors only.

Knows tensors and their names; nothing of where a published file is downloaded from.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from core.backbones import bundled, download
from core.backbones.facts import Card
from core.errors import WeightsError
from core.layers import within
from core.workspace import Workspace

LARGEST_HEADER = 16 * 2**20
"""Bytes of a safetensors header; that of torchvision's largest classifier has 0.1 MiB."""
PICKLES = frozenset({".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar"})
"""Suffixes of files that may hold program code."""
COUNTER = "num_batches_tracked"
"""Of batch norm: older files lack it, and nothing here needs it."""


def read_weights(
    card: Card,
    weights: str,
    workspace: Workspace | None,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> "Mapping[str, Tensor] | None":
    """The tensors that `weights` names for the backbone of `card`; None for 'random'. Raises WeightsError (`weights.*`)."""
    if weights == "random":
        return None
    if weights == "bundled":
        return _bundled(card)
    if weights == "pretrained":
        if "pretrained" not in card.weights or workspace is None:
            raise WeightsError("weights.no_pretrained", name=card.name, kinds=", ".join(card.weights))
        return read_published(download.fetch(card, workspace, progress=progress, cancelled=cancelled))
    return read_safetensors(Path(weights).expanduser())


def read_published(path: Path) -> "Mapping[str, Tensor]":
    """The tensors of a file by torch.save that `download.fetch` has verified. Raises WeightsError (`weights.unreadable`)."""
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for a file that it cannot read
        raise WeightsError("weights.unreadable", file=path.name, reason=_first_line(error)) from error
    return cast("Mapping[str, Tensor]", tensors)


def check_file(path: Path) -> None:
    """Raises WeightsError (`weights.pickle`, `.not_safetensors`, `.missing_file`) by name alone: nothing is opened."""
    kind = path.suffix.lower()
    if kind in PICKLES and path.exists():
        raise WeightsError("weights.pickle", file=path.name)
    if kind not in PICKLES and kind != ".safetensors":
        raise WeightsError("weights.not_safetensors", file=path.name)
    if not path.is_file():
        raise WeightsError("weights.missing_file", file=str(path))


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a person's file, on the CPU, every number of them finite.

    Raises WeightsError (`weights.pickle`, `.not_safetensors`, `.missing_file`, `.damaged_file`, `.not_finite`).
    """
    check_file(path)
    try:
        _check_header(path)
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise WeightsError("weights.damaged_file", file=path.name, reason=_first_line(error)) from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise WeightsError("weights.not_finite", file=path.name, tensor=name)
    return tensors


def load_into(model: nn.Module, tensors: "OrderedDict[str, Tensor]", *, head: str, backbone: str) -> tuple[int, int]:
    """Copy `tensors` into `model`; a head of another shape stays fresh. Gives how many were taken and how many were not.

    Raises WeightsError (`weights.no_match`, `weights.wrong_shape`, `weights.missing_tensors`).
    """
    own = model.state_dict()
    kept = OrderedDict(tensors)
    vars(kept).update({"_metadata": own._metadata, **vars(tensors)})  # type: ignore[attr-defined]
    for name in [name for name in kept if within(name, head) and (name not in own or own[name].shape != kept[name].shape)]:
        del kept[name]
    strange = [name for name in kept if name in own and own[name].shape != kept[name].shape]
    if strange:
        first = strange[0]
        there, here = _shape(kept[first]), _shape(own[first])
        raise WeightsError("weights.wrong_shape", name=first, there=there, here=here, n=len(strange), backbone=backbone)
    result = model.load_state_dict(kept, strict=False)
    missing = [name for name in result.missing_keys if not within(name, head) and not name.endswith(COUNTER)]
    wanted = sum(1 for name in own if not within(name, head) and not name.endswith(COUNTER))
    if len(missing) == wanted:
        raise WeightsError("weights.no_match", backbone=backbone, here=next(iter(own)), there=next(iter(tensors), "–"))
    if missing:
        raise WeightsError("weights.missing_tensors", backbone=backbone, names=", ".join(missing[:3]), n=len(missing))
    taken = len(kept) - len(result.unexpected_keys)
    return taken, len(tensors) - taken


def _bundled(card: Card) -> dict[str, Tensor]:
    if card.source != "bundled":
        raise WeightsError("weights.not_bundled", name=card.name, kinds=", ".join(card.weights))
    file = bundled.weights_file(card.name)
    if not file.is_file():
        raise WeightsError("weights.none_bundled", name=card.name)
    return read_safetensors(file)


def _check_header(path: Path) -> None:
    """Raises ValueError unless the file begins with a JSON object of a sane size."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 2 <= size <= min(LARGEST_HEADER, path.stat().st_size - 8):
            raise ValueError("its header does not fit")
        if not isinstance(json.loads(file.read(size)), dict):
            raise ValueError("its header is no table")


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(side) for side in tensor.shape) or "1"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
