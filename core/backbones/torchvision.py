"""Source of backbones: every classifier of the installed torchvision, read from its own tables.

Knows which names exist, how one is built and which published weights are its best; nothing of files or training.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from torch import Tensor, nn

from core.backbones.facts import Card
from core.eager import torchvision

VISION_TRANSFORMERS = "vision_transformer"
SMALLEST_SWIN = 32
"""torchvision names the size of training as the least, but the windows of Swin adapt: below this they are mostly padding."""
SWAG_LICENCE = "CC-BY-NC-4.0"
"""Of the weights by Singh et al. 2022 (SWAG), as their repository says; all others come under torchvision's own licence."""


@cache
def names() -> tuple[str, ...]:
    """All classifiers: no detection, segmentation, video, flow or quantised models."""
    return tuple(torchvision.models.list_models(module=torchvision.models))


def cards() -> tuple[Card, ...]:
    """A card each, from the tables that torchvision publishes with its weights; nothing is built."""
    return tuple(_card(name) for name in names())


def make(name: str, classes: int, image_size: int) -> nn.Module:
    """The network with fresh weights from torch's global generator: (B, 3, S, S) to logits (B, classes).

    Auxiliary heads are off, so that it gives one tensor while training too, and Inception's own re-normalisation is off.
    """
    model: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes, **_options(name, image_size))
    if _family(name) == "mnasnet":  # refuses tensors without the mark of its version, as every file but torch's own has them
        model._load_from_state_dict = partial(nn.Module._load_from_state_dict, model)  # type: ignore[method-assign]
    return model


def adapt(name: str, tensors: Mapping[str, Tensor], image_size: int) -> "OrderedDict[str, Tensor]":
    """`tensors` of a weights file under today's names and for images of side `image_size`.

    DenseNet's files are older than its names; a ViT has one position embedding a patch, interpolated to another number.
    """
    adapted = OrderedDict((_OLD_DENSENET.sub(r"\1\2", key), tensor) for key, tensor in tensors.items())
    vars(adapted).update(vars(tensors) if isinstance(tensors, OrderedDict) else {})  # the versions of modules lie there
    if _family(name) == VISION_TRANSFORMERS and "encoder.pos_embedding" in adapted:
        adapted = torchvision.models.vision_transformer.interpolate_embeddings(image_size, _patch(name), adapted)
    return adapted


_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)$")


def _options(name: str, image_size: int) -> dict[str, Any]:
    match _family(name):
        case "googlenet" | "inception":
            return {"aux_logits": False, "transform_input": False, "init_weights": True}
        case "vision_transformer":
            return {"image_size": image_size}
        case "maxvit":
            return {"input_size": (image_size, image_size)}
        case _:
            return {}


def _card(name: str) -> Card:
    weights = _weights(name)
    meta = weights.meta
    swag = "SWAG" in weights.name
    least, step = _sizes(name, min(meta["min_size"]))
    return Card(
        name=name,
        source="torchvision",
        family=_family(name),
        title=_title(name),
        parameters=meta["num_params"],
        gflops=meta["_ops"],
        weights_bytes=round(meta["_file_size"] * 2**20),
        top1=meta["_metrics"]["ImageNet-1K"]["acc@1"],
        image_size=weights.transforms.keywords["crop_size"],
        min_size=least,
        licence=SWAG_LICENCE if swag else "BSD-3-Clause",
        weights=("pretrained", "random"),
        size_step=step,
        url=weights.url,
    )


def _weights(name: str) -> Any:
    """The best weights; those that may not be used commercially (SWAG) only where there are no others."""
    table = torchvision.models.get_model_weights(name)
    best = table.DEFAULT
    free = [weights for weights in table if "SWAG" not in weights.name and "FEATURES" not in weights.name]
    return free[-1] if "SWAG" in best.name and free else best


def _sizes(name: str, least: int) -> tuple[int, int]:
    """Smallest side and the step of all allowed ones; `least` is what torchvision says."""
    match _family(name):
        case "vision_transformer":
            return _patch(name), _patch(name)
        case "maxvit":  # windows of 7 x 7 at a 32nd of the resolution
            return 7 * 32, 7 * 32
        case "swin_transformer":
            return SMALLEST_SWIN, 1
        case _:
            return least, 1


def _patch(name: str) -> int:
    return int(name.rpartition("_")[2])


def _family(name: str) -> str:
    """The module of torchvision that builds it: `resnet` for ResNet, ResNeXt and Wide ResNet."""
    module: str = torchvision.models.get_model_builder(name).__module__
    return module.rpartition(".")[2]


def _title(name: str) -> str:
    """The name as its authors write it; a family that this list does not know keeps its own."""
    for pattern, title in _TITLES:
        found = re.fullmatch(pattern, name)
        if found:
            parts = {key: value.replace("_", ".") for key, value in found.groupdict(default="").items()}
            return title.format(**parts, **{key.upper(): _capital(value) for key, value in parts.items()})
    return name


def _capital(part: str) -> str:
    return part.upper() if len(part) == 1 or part[0].isdigit() or part[-1].isdigit() else part.capitalize()


_TITLES = (
    ("alexnet", "AlexNet"),
    ("convnext_(?P<a>.+)", "ConvNeXt {A}"),
    ("densenet(?P<a>.+)", "DenseNet-{a}"),
    ("efficientnet_v2_(?P<a>.+)", "EfficientNetV2-{A}"),
    ("efficientnet_(?P<a>.+)", "EfficientNet-{A}"),
    ("googlenet", "GoogLeNet"),
    ("inception_v3", "Inception v3"),
    ("maxvit_(?P<a>.+)", "MaxViT-{A}"),
    ("mnasnet(?P<a>.+)", "MNASNet {a}"),
    ("mobilenet_v2", "MobileNetV2"),
    ("mobilenet_v3_(?P<a>.+)", "MobileNetV3 {A}"),
    ("regnet_(?P<a>.)_(?P<b>.+)", "RegNet{A}-{B}"),
    ("resnet(?P<a>.+)", "ResNet-{a}"),
    (r"resnext(?P<a>\d+)_(?P<b>\d+)x(?P<c>.+)", "ResNeXt-{a} {b}×{c}"),
    ("shufflenet_v2_x(?P<a>.+)", "ShuffleNetV2 ×{a}"),
    ("squeezenet(?P<a>.+)", "SqueezeNet {a}"),
    ("swin_v2_(?P<a>.+)", "SwinV2-{A}"),
    ("swin_(?P<a>.+)", "Swin-{A}"),
    (r"vgg(?P<a>\d+)", "VGG-{a}"),
    (r"vgg(?P<a>\d+)_bn", "VGG-{a} BN"),
    ("vit_(?P<a>.+)_(?P<b>.+)", "ViT-{A}/{b}"),
    ("wide_resnet(?P<a>.+)_2", "Wide ResNet-{a}-2"),
)
