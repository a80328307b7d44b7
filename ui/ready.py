"""What stands between the draft and a start: each obstacle as a code with its values, and the change that removes it.

Words: `train.block.<code>`, and `train.fix.<fix>` on the button. Knows the draft; nothing of widgets.
"""

from dataclasses import dataclass, field
from pathlib import Path

from core.errors import RecipeError, ThawError
from core.plan import plan
from core.recipe import Recipe
from core.words import Value
from ui import drafting, services


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that is in the way."""

    code: str
    values: dict[str, Value] = field(default_factory=dict)
    fix: str = ""
    """`data` and `model` lead to that page; the others change the draft, see `repair`."""


def obstacle(recipe: Recipe) -> Obstacle | None:
    """The first thing that keeps this draft from being started, or None if it can be."""
    if not recipe.dataset:
        return Obstacle("no_data", fix="data")
    try:
        counts = services.split_counts(recipe)
    except ThawError:
        return Obstacle("data_gone", {"dataset": recipe.dataset}, "data")
    if not sum(counts["train"].values()):
        return Obstacle("nothing_to_learn", fix="data")
    return _network(recipe)


def _network(recipe: Recipe) -> Obstacle | None:
    try:
        card = services.backbone(recipe.backbone)
    except ThawError:
        return Obstacle("backbone_gone", {"backbone": recipe.backbone}, "model")
    if not card.allows(recipe.image_size):
        near = card.nearest_size(recipe.image_size)
        return Obstacle("size", {"size": recipe.image_size, "near": near, "title": card.title}, "size")
    if recipe.weights == "pretrained" and "pretrained" not in card.weights:
        return Obstacle("no_pretrained", {"title": card.title}, "random")
    if recipe.weights not in ("pretrained", "bundled", "random") and not Path(recipe.weights).is_file():
        return Obstacle("no_file", {"path": recipe.weights}, "random")
    try:
        planned = plan(services.tree(recipe), recipe.rules)
    except RecipeError:
        return Obstacle("other_rules", {"title": card.title}, "rules")
    return None if planned.trainable else Obstacle("all_frozen", fix="thaw")


def repair(recipe: Recipe, fix: str) -> Recipe:
    """The draft with one obstacle out of the way. Raises RecipeError for a fix that is no change of the draft."""
    if fix == "size":
        return recipe.changed(image_size=services.backbone(recipe.backbone).nearest_size(recipe.image_size))
    if fix == "random":
        return drafting.with_weights(recipe, "random")
    if fix == "rules":
        return drafting.with_strategy(recipe, "full")
    if fix == "thaw":
        return drafting.with_strategy(recipe, "head")
    raise RecipeError("recipe.unknown_field", field=fix, known="size, random, rules, thaw")
