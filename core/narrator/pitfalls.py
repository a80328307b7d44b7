"""What may go wrong with a recipe, said before the start."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.narrator.remark import Action, Remark, Severity, percent
from core.narrator.seen import SHARPLY, scale_of
from core.recipe import BlockRule, Recipe
from core.words import Value

MOST: Final = 0.5
"""Of the weights: what learns counts as everything."""
FEW_IMAGES: Final = 1000
"""For training: with fewer than about a thousand, a whole network is easily bent to fit them by heart."""
TRUNK_RATE: Final = {"sgd": 1e-2, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}
"""From here on pretrained features are washed away; SGD, whose steps are not normalised, bears ten times more."""
NARROW: Final = frozenset({"head", "last-stage"})
"""Strategies that are the advice itself: the last stage of a ResNet-18 holds 72 % of its weights."""
SMALL_SHARE: Final = 0.05
"""Of the weights: norms, biases, adapters and heads cannot wash a trunk away, and want large rates."""
TURNED: Final = 45.0
"""Degrees to either side: beyond them up may become sideways."""
UNEVEN: Final = 5.0
"""Of the largest to the smallest class in training."""
FEW_OF_A_CLASS: Final = 5
HEADS: Final = frozenset({"fc", "classifier", "head", "heads"})
"""First part of the path of every head in the catalogue."""
SIDES: Final = ({"left", "right"}, {"左", "右"})


def pitfalls(recipe: Recipe, counts: Mapping[str, Mapping[str, int]], *, total: int, trainable: int) -> tuple[Remark, ...]:
    """What may go wrong with `recipe`, the most important first. An action of kind `again` changes the draft.

    `counts`: images by class by split ("train", "val", "test"). `total`, `trainable`: weights, and those that learn.
    """
    train = counts.get("train", {})
    share = trainable / total if total else 0.0
    found = (
        _no_validation(recipe, sum(counts.get("val", {}).values())),
        _trunk_rate(recipe, share),
        _small_full(recipe, sum(train.values()), share),
        _few(train),
        _uneven(recipe, train),
        _large_batch(recipe, sum(train.values())),
        _mirrored(recipe, sorted({name for split in counts.values() for name in split})),
        _turned(recipe),
        _upside_down(recipe),
    )
    return tuple(remark for remark in found if remark)


def _no_validation(recipe: Recipe, images: int) -> Remark | None:
    if images:
        return None
    possible = recipe.val_fraction < 0.1 and recipe.test_fraction < 0.85
    return Remark("no_validation", {}, "warning", Action("again", changes=(("val_fraction", 0.1),)) if possible else None)


def _trunk_rate(recipe: Recipe, share: float) -> Remark | None:
    limit = TRUNK_RATE[recipe.optimizer]
    scale = _trunk_scale(recipe.rules)
    if recipe.weights != "pretrained" or share < SMALL_SHARE or recipe.lr < 1e-3 or recipe.lr * scale < limit:
        return None
    lr = float(f"{SHARPLY * limit / scale:.2g}")
    values: dict[str, Value] = {"effective": f"{recipe.lr * scale:.2g}", "limit": f"{limit:g}", "rate": f"{lr:g}"}
    return Remark("trunk_rate", values, "warning", Action("again", changes=(("lr", lr),)))


def _trunk_scale(rules: Sequence[BlockRule]) -> float:
    """The largest multiplier at which a block outside the head learns; 0 if none does."""
    root = next((rule for rule in rules if not rule.path), BlockRule(path=""))
    learn = root.trainable is not False
    scales = [scale_of(rules, "")] if learn else []
    for rule in rules:
        if rule.path and rule.path.split(".")[0] not in HEADS and (learn if rule.trainable is None else rule.trainable):
            scales.append(scale_of(rules, rule.path))
    return max(scales, default=0.0)


def _small_full(recipe: Recipe, images: int, share: float) -> Remark | None:
    if recipe.weights == "random" or recipe.strategy in NARROW or share <= MOST or images >= FEW_IMAGES:
        return None
    values: dict[str, Value] = {"share": percent(share, 0), "images": images}
    return Remark("small_full", values, "warning", Action("again", changes=(("strategy", "last-stage"),)))


def _few(train: Mapping[str, int]) -> Remark | None:
    few = sorted(name for name, images in train.items() if images < FEW_OF_A_CLASS)
    if not few:
        return None
    names = ", ".join(few[:3]) + (", …" if len(few) > 3 else "")
    return Remark("few", {"n": len(few), "names": names, "least": FEW_OF_A_CLASS}, "warning")


def _uneven(recipe: Recipe, train: Mapping[str, int]) -> Remark | None:
    some = {name: images for name, images in train.items() if images > 0}
    if recipe.balanced or recipe.loss == "weighted" or not some:
        return None
    most, least = (pick(sorted(some), key=lambda name: some[name]) for pick in (max, min))
    if some[most] <= UNEVEN * some[least]:
        return None
    values: dict[str, Value] = {"most": most, "largest": some[most], "least": least, "smallest": some[least]}
    return Remark("uneven", values, "warning", Action("again", changes=(("balanced", True),)))


def _large_batch(recipe: Recipe, images: int) -> Remark | None:
    """A step would take in the whole training set. A quarter of it, to a power of two, leaves a few steps an epoch."""
    batch = recipe.batch_size * recipe.accumulate
    if not 0 < images < batch:
        return None
    size = 2 ** max(1, (images // 4).bit_length() - 1)
    values: dict[str, Value] = {"batch": batch, "images": images, "size": size}
    smaller = Action("again", changes=(("batch_size", size), ("accumulate", 1))) if size < batch else None
    return Remark("large_batch", values, "note", smaller)


def _mirrored(recipe: Recipe, classes: Sequence[str]) -> Remark | None:
    """Digits, letters or sides would be mirrored."""
    if not recipe.augment.flip_horizontal:
        return None
    signs = [name for name in classes if re.fullmatch(r"[0-9]{1,2}|[A-Za-z]", name)]
    words = {name: set(re.split(r"[^a-z]+", name.lower())) | set(name) for name in classes}
    sides = [name for name in classes if any(words[name] & pair for pair in SIDES)]
    both = any(pair <= set().union(*words.values()) for pair in SIDES)
    telling = signs if len(signs) >= max(2, len(classes) / 2) else sides if both else []
    if not telling:
        return None
    names = ", ".join(telling[:3]) + (", …" if len(telling) > 3 else "")
    return _augmented("mirrored", recipe, {"names": names}, "warning", flip_horizontal=False)


def _turned(recipe: Recipe) -> Remark | None:
    if recipe.augment.rotation < TURNED:
        return None
    return _augmented("turned", recipe, {"degrees": f"{recipe.augment.rotation:g}"}, "note", rotation=10.0)


def _upside_down(recipe: Recipe) -> Remark | None:
    if not recipe.augment.flip_vertical or recipe.augment.rotation >= TURNED:
        return None
    return _augmented("upside_down", recipe, {}, "note", flip_vertical=False)


def _augmented(code: str, recipe: Recipe, values: dict[str, Value], severity: Severity, **said: Any) -> Remark:
    augment = recipe.augment.model_copy(update=said)
    return Remark(code, values, severity, Action("again", changes=(("augment", augment),)))
