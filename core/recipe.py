"""Recipe: everything a person chooses for one run, as one frozen JSON document.

Pure choices: nothing here knows whether the data set, the backbone or the device exists.
"""

import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from core.errors import RecipeError

ALLOWED = {
    "greater_than": "> {gt:g}",
    "greater_than_equal": "≥ {ge:g}",
    "less_than": "< {lt:.10g}",
    "less_than_equal": "≤ {le:g}",
    "finite_number": "0.1, 0.2, …",
    "float_parsing": "0.1, 0.2, …",
    "float_type": "0.1, 0.2, …",
    "int_parsing": "1, 2, 3, …",
    "int_type": "1, 2, 3, …",
    "int_from_float": "1, 2, 3, …",
    "bool_parsing": "true, false",
    "bool_type": "true, false",
    "string_pattern_mismatch": "auto, cpu, cuda, cuda:1, mps",
    "string_too_long": "… ≤ {max_length}",
    "string_unicode": "Unicode",
    "too_long": "… ≤ {max_length}",
    "tuple_type": "[…, …]",
    "dict_type": "{{…}}",
    "model_type": "{{…}}",
    "string_type": "“…”",
}
"""What a field may be, by the kind of a mistake, in signs that need no translation. Only the device has a pattern."""
WHOLE = {"nothing_left", "warmup_too_long", "rule_twice"}
"""Mistakes of no single field, with sentences of their own (`recipe.<kind>`)."""

MOST_CHARACTERS = 2**18
"""Of a recipe as text; the longest that people write, with a rule for every block of a large network, is a tenth of it."""

Fraction = Annotated[float, Field(ge=0.0, lt=1.0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _text(cls, value: Any) -> Any:
        """JSON can spell half a character (a surrogate alone), which no file can hold."""
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise PydanticCustomError("half_character", "Unicode")
        return value


class BlockRule(_Frozen):
    """What a click on one block says. For each field the nearest block above (or itself) that has a value wins."""

    path: str = Field(description="Dotted module path such as 'layer3.1.bn2', or a parameter's own name; '' is the network.")
    trainable: bool | None = None
    lr_scale: float | None = Field(default=None, ge=0.0, le=1000.0)
    adapter: int | None = Field(
        default=None, ge=0, le=1024, description="Rank of a low-rank adapter beside each frozen weight; 0: none."
    )
    pull: float | None = Field(
        default=None, ge=0.0, le=10.0, description="L2-SP: strength of the pull back to the weights it started from."
    )
    since: int = Field(default=1, ge=1, le=10_000, description="Epoch from which on this rule holds, 1-based.")


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
    dataset: str = Field(
        default="", description="Id of a data set in the workspace, or 'demo:NAME'; with '@VERSION' as it was then."
    )
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
    accumulate: int = Field(
        default=1, ge=1, le=1024, description="Batches whose gradients make one step: it learns from their images together."
    )
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = "adamw"
    lr: float = Field(default=1e-3, gt=0.0, le=10.0)
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0, description="SGD and RMSprop only.")
    nesterov: bool = Field(default=False, description="SGD only.")
    weight_decay: float = Field(default=0.01, ge=0.0, le=10.0)
    clip_norm: float = Field(default=0.0, ge=0.0, le=1e6, description="Gradients longer than this are cut to it; 0: never.")
    schedule: Literal["cosine", "one-cycle", "step", "plateau", "constant"] = "cosine"
    step_epochs: int = Field(default=5, ge=1, le=10_000, description="Step decay: epochs between two steps.")
    step_factor: float = Field(default=0.1, gt=0.0, le=1.0, description="Step decay and plateau: factor at each step.")
    plateau_epochs: int = Field(default=2, ge=1, le=10_000, description="Plateau: epochs without gain before a step.")
    warmup_epochs: float = Field(default=0.5, ge=0.0, le=1000.0)
    # what is made small, and what keeps it from learning by heart
    loss: Literal["cross-entropy", "weighted", "focal"] = Field(
        default="cross-entropy", description="'weighted': every class counts equally, however rare."
    )
    focal_gamma: float = Field(default=2.0, ge=0.0, le=10.0, description="Focal loss: how little easy images count.")
    balanced: bool = Field(default=False, description="Each class is drawn equally often in an epoch, however rare.")
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    mixup: float = Field(default=0.0, ge=0.0, le=10.0, description="Alpha of the share in which images are mixed; 0: off.")
    cutmix: float = Field(
        default=0.0, ge=0.0, le=10.0, description="Alpha of the area in which one image is pasted into another; 0: off."
    )
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Share of the features hidden from the head.")
    stochastic_depth: float | None = Field(
        default=None,
        ge=0.0,
        lt=1.0,
        description="Chance to skip the last block, less before; null: the network's own.",
    )
    ema: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Decay of a moving average of the weights, which is what is kept; 0: off."
    )
    metric: Literal["accuracy", "macro_f1", "loss"] = Field(default="accuracy", description="Of the validation images.")
    patience: int = Field(
        default=0, ge=0, le=10_000, description="Early stopping after so many epochs without gain; 0: off."
    )
    # what is watched
    instruments: bool = Field(default=True, description="Gradients, updates and distances of every block are measured.")
    film: tuple[str, ...] = Field(
        default=(), max_length=12, description="SHA-256 of the validation images to follow; none: Thaw picks some."
    )
    # how it is computed
    cache: bool = Field(
        default=True, description="What frozen blocks say about an image is worked out once for each view, and kept."
    )
    views: int = Field(
        default=4, ge=1, le=64, description="Random changes of each image that take turns while frozen blocks are kept."
    )
    reference: bool = Field(
        default=False, description="Nothing is kept or folded, in single precision: the plain path, to compare with."
    )
    # machine
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    threads: int = Field(default=0, ge=0, le=1024, description="CPU threads; 0: what the launcher chose.")
    max_hours: float = Field(
        default=0.0,
        ge=0.0,
        le=10_000.0,
        description="After so many hours at a stretch the run is saved and pauses; 0: never.",
    )
    seed: int = Field(default=0, ge=0, lt=2**32)
    name: str = Field(default="", max_length=200)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.val_fraction + self.test_fraction >= 0.95:
            shares = {"val_fraction": self.val_fraction, "test_fraction": self.test_fraction}
            raise PydanticCustomError("nothing_left", "val_fraction and test_fraction leave nothing to learn from", shares)
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0 and self.epochs > 1:
            lengths = {"warmup_epochs": self.warmup_epochs, "epochs": self.epochs}
            raise PydanticCustomError("warmup_too_long", "warmup_epochs must be shorter than epochs", lengths)
        paths = [rule.path for rule in self.rules]
        if twice := [path for path in paths if paths.count(path) > 1]:
            raise PydanticCustomError("rule_twice", "rules name a block twice", {"path": twice[0]})
        return self

    def changed(self, **changes: Any) -> "Recipe":
        """A new recipe with some fields replaced. Raises RecipeError as `parse` does."""
        return _checked({**self.model_dump(), **changes})

    def with_rule(self, path: str, **said: Any) -> "Recipe":
        """A new recipe in which `path` says what is given here; fields left None keep what the block said before."""
        kept = {rule.path: rule.model_dump() for rule in self.rules}
        kept[path] = {"path": path, **kept.get(path, {}), **{key: value for key, value in said.items() if value is not None}}
        return self.changed(rules=tuple(kept.values()), strategy="custom")

    def assigned(self, assignments: Sequence[str]) -> "Recipe":
        """A new recipe after `key=value` texts such as `lr=0.01` or `augment.rotation=15`; values are JSON or plain words.

        Raises RecipeError (`recipe.assignment`, and as `parse` does).
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
                known = sorted(place if isinstance(place, dict) and above else document)
                raise RecipeError("recipe.unknown_field", field=key, known=", ".join([".".join((*above, k)) for k in known]))
            place[last] = _value(value, text=isinstance(place[last], str))
            if key == "augment" and isinstance(place[last], str):
                place[last] = augment_preset(place[last]).model_dump()
        return _checked(document)

    def to_json(self) -> str:
        """One line of JSON that `parse` reads back to an equal recipe."""
        return self.model_dump_json()


def parse(text: str) -> Recipe:
    """The recipe in `text` (JSON).

    Raises RecipeError (`recipe.not_json`, `recipe.unknown_field`, `recipe.invalid` naming field, value and what is allowed,
    `recipe.nothing_left`, `recipe.warmup_too_long`, `recipe.rule_twice`).
    """
    if len(text) > MOST_CHARACTERS:
        raise RecipeError("recipe.not_json", reason=f"> {MOST_CHARACTERS:,} characters")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
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


def _value(said: str, *, text: bool) -> Any:
    """JSON or plain words; where a `text` is wanted, a number or a word of JSON is one too."""
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return said.strip()
    plain = (text and not isinstance(value, str)) or (isinstance(value, float) and not math.isfinite(value))
    return said.strip() if plain else value


def _checked(document: dict[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise _spoken(error.errors(include_url=False)[0]) from error


def _spoken(mistake: ErrorDetails) -> RecipeError:
    kind, details = mistake["type"], mistake.get("ctx", {})
    if kind in WHOLE:
        return RecipeError(f"recipe.{kind}", **details)
    field = ".".join(str(part) for part in mistake["loc"])
    if kind == "extra_forbidden":
        return RecipeError("recipe.unknown_field", field=field, known=", ".join(sorted(Recipe.model_fields)))
    allowed = ALLOWED[kind].format(**details) if kind in ALLOWED else mistake["msg"]
    if kind == "literal_error":
        allowed = details["expected"].replace(" or ", ", ").replace("'", "")
    return RecipeError("recipe.invalid", field=field, value=repr(mistake["input"])[:80], allowed=allowed)
