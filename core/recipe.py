"""Recipe: everything a person chooses for one run, as one frozen JSON document.

Pure choices: nothing here knows whether the data set, the backbone or the device exists.
"""

import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import RecipeError

Fraction = Annotated[float, Field(ge=0.0, lt=1.0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BlockRule(_Frozen):
    """What a click on one block says. For each field the nearest block above (or itself) that has a value wins."""

    path: str = Field(description="Dotted module path such as 'layer3.1.bn2', or a parameter's own name; '' is the network.")
    trainable: bool | None = None
    lr_scale: float | None = Field(default=None, ge=0.0, le=1000.0)


class Augment(_Frozen):
    """Random changes of a training image, each switched off by its zero. Validation and test images are never changed."""

    crop: float = Field(
        default=0.0, ge=0.0, le=0.95, description="Random resized crop: the part of the area that may be lost."
    )
    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotation: float = Field(default=0.0, ge=0.0, le=180.0, description="Degrees to either side.")
    translation: float = Field(default=0.0, ge=0.0, le=0.5, description="Share of the side, to either side.")
    scale: float = Field(default=0.0, ge=0.0, le=0.9, description="0.2 draws a zoom between 0.8 and 1.2.")
    color: float = Field(
        default=0.0, ge=0.0, le=1.0, description="Brightness, contrast, saturation: ± this share; hue ± a tenth."
    )
    noise: float = Field(
        default=0.0, ge=0.0, le=0.5, description="Standard deviation of Gaussian noise, of the range 0 to 1."
    )
    blur: float = Field(default=0.0, ge=0.0, le=5.0, description="Largest sigma of a Gaussian blur, in pixels.")
    erasing: float = Field(default=0.0, ge=0.0, le=1.0, description="Probability that a random rectangle is erased.")


AUGMENT_PRESETS: dict[str, Augment] = {
    "none": Augment(),
    "light": Augment(flip_horizontal=True, translation=0.05, scale=0.05),
    "standard": Augment(crop=0.4, flip_horizontal=True, rotation=10, color=0.2),
    "strong": Augment(crop=0.6, flip_horizontal=True, rotation=20, translation=0.1, scale=0.1, color=0.4, erasing=0.25),
    "upright": Augment(rotation=8, translation=0.08, scale=0.1, color=0.15),
    "any-direction": Augment(flip_horizontal=True, flip_vertical=True, rotation=180, scale=0.1, color=0.1),
}
"""`upright`: for signs, digits and hands, where a mirror image means something else. `any-direction`: for pictures without
an up, such as microscopy."""


class Recipe(_Frozen):
    """Everything a person chooses. Two equal recipes on one machine give equal runs."""

    # data
    dataset: str = Field(default="", description="Id of a data set in the workspace, or 'demo:NAME'.")
    val_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1
    split_seed: int = Field(default=0, ge=0, lt=2**32)
    image_size: int = Field(default=224, ge=16, le=1024, description="Side of the square that the network sees, in pixels.")
    fit: Literal["crop", "stretch", "pad"] = Field(
        default="crop", description="How a picture that is not square is made so."
    )
    augment: Augment = AUGMENT_PRESETS["none"]
    # model
    backbone: str = "resnet18"
    weights: str = Field(
        default="random", description="'pretrained', 'bundled', 'random' or the path of a .safetensors file."
    )
    strategy: str = Field(default="full", description="Name of the preset that wrote the rules; 'custom' after an edit.")
    rules: tuple[BlockRule, ...] = ()
    # training
    epochs: int = Field(default=10, ge=1, le=10_000)
    batch_size: int = Field(default=32, ge=1, le=8192)
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0.0, le=10.0)
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0, description="SGD only.")
    weight_decay: float = Field(default=0.01, ge=0.0, le=10.0)
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    step_epochs: int = Field(default=5, ge=1, le=10_000, description="Step decay: epochs between two steps.")
    step_factor: float = Field(default=0.1, gt=0.0, le=1.0, description="Step decay: factor at each step.")
    warmup_epochs: float = Field(default=0.5, ge=0.0, le=1000.0)
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    metric: Literal["accuracy", "macro_f1", "loss"] = Field(default="accuracy", description="Of the validation images.")
    patience: int = Field(
        default=0, ge=0, le=10_000, description="Early stopping after so many epochs without gain; 0: off."
    )
    # machine
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    threads: int = Field(default=0, ge=0, le=1024, description="CPU threads; 0: what the launcher chose.")
    seed: int = Field(default=0, ge=0, lt=2**32)
    name: str = Field(default="", max_length=200)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.val_fraction + self.test_fraction >= 0.95:
            raise ValueError("val_fraction and test_fraction leave nothing to learn from")
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0 and self.epochs > 1:
            raise ValueError(f"warmup_epochs {self.warmup_epochs:g} must be shorter than epochs {self.epochs}")
        paths = [rule.path for rule in self.rules]
        if len(paths) != len(set(paths)):
            raise ValueError("rules name a block twice")
        return self

    def changed(self, **changes: Any) -> "Recipe":
        """A new recipe with some fields replaced. Raises RecipeError (`recipe.invalid`) naming field, value and way out."""
        return _checked({**self.model_dump(), **changes})

    def with_rule(self, path: str, *, trainable: bool | None = None, lr_scale: float | None = None) -> "Recipe":
        """A new recipe in which `path` says what is given here; fields left None keep what the block said before."""
        kept = {rule.path: rule for rule in self.rules}
        old = kept.get(path, BlockRule(path=path))
        kept[path] = BlockRule(
            path=path,
            trainable=old.trainable if trainable is None else trainable,
            lr_scale=old.lr_scale if lr_scale is None else lr_scale,
        )
        return self.changed(rules=tuple(kept.values()), strategy="custom")

    def assigned(self, assignments: Sequence[str]) -> "Recipe":
        """A new recipe after `key=value` texts such as `lr=0.01` or `augment.rotation=15`; values are JSON or plain words.

        Raises RecipeError (`recipe.assignment`, `recipe.unknown_field`, `recipe.invalid`).
        """
        document = self.model_dump(mode="json")
        for text in assignments:
            key, equals, value = text.partition("=")
            if not equals:
                raise RecipeError("recipe.assignment", text=text)
            *above, last = key.strip().split(".")
            place: Any = document
            for part in above:
                place = place.get(part) if isinstance(place, dict) else None
            if not isinstance(place, dict) or last not in place:
                raise RecipeError("recipe.unknown_field", field=key, known=", ".join(sorted(document)))
            place[last] = _value(value)
            if key == "augment" and isinstance(place[last], str):
                place[last] = augment_preset(place[last]).model_dump()
        return _checked(document)

    def to_json(self) -> str:
        """One line of JSON that `parse` reads back to an equal recipe."""
        return self.model_dump_json()


def parse(text: str) -> Recipe:
    """The recipe in `text` (JSON). Raises RecipeError (`recipe.not_json`, `recipe.invalid`)."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise RecipeError("recipe.not_json", reason=str(error)) from error
    if not isinstance(document, dict):
        raise RecipeError("recipe.not_json", reason="not an object")
    return _checked(document)


def augment_preset(name: str) -> Augment:
    """The preset called `name`. Raises RecipeError (`recipe.unknown_augment`)."""
    if name not in AUGMENT_PRESETS:
        raise RecipeError("recipe.unknown_augment", name=name, known=", ".join(AUGMENT_PRESETS))
    return AUGMENT_PRESETS[name]


def augment_name(augment: Augment) -> str:
    """The name of the preset equal to `augment`, or 'custom'."""
    return next((name for name, preset in AUGMENT_PRESETS.items() if preset == augment), "custom")


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip()
    return text.strip() if isinstance(value, float) and not math.isfinite(value) else value


def _checked(document: dict[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "recipe"
        raise RecipeError("recipe.invalid", field=field, value=repr(first["input"])[:80], reason=first["msg"]) from error
