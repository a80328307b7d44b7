"""What one choice means for the others: a draft with another data set, backbone, weights or strategy. Draft in, draft out.

Asks `services` for cards and trees; knows no widget and keeps nothing.
"""

from collections.abc import Iterable
from math import log10
from statistics import median
from typing import TYPE_CHECKING

from core.dataset import DEMOS
from core.layers import Block
from core.plan import plan
from core.recipe import Recipe, augment_preset
from core.strategies import STRATEGIES, apply_strategy
from ui import services

if TYPE_CHECKING:
    from core.backbones import Card

SIZES = (32, 48, 64, 96, 128, 160, 192, 224)
"""Image sizes that are proposed, in pixels."""
LITTLE, SMALL_SHARE = 0.15, 0.2
"""Height of a bar of which less than this share of the numbers learns: norms, biases, adapters."""


def with_strategy(recipe: Recipe, strategy: str) -> Recipe:
    """The draft with the rules that a strategy writes onto the tree. Raises RecipeError."""
    return apply_strategy(recipe, strategy, services.tree(recipe))


def with_backbone(recipe: Recipe, name: str) -> Recipe:
    """The draft with another backbone: its best weights on this machine, a size it can see, the strategy written anew.

    With the one that it has, nothing: what a person did to the tree stays, even in the moment in which it is pressed again.
    """
    if name == recipe.backbone:
        return recipe
    chosen = services.backbone(name)
    wanted = recipe.weights == "pretrained" and "pretrained" in chosen.weights
    weights = "pretrained" if wanted else best_weights(chosen)
    new = with_size(recipe.changed(backbone=name, weights=weights, rules=(), strategy="full"), chosen)
    return with_strategy(new, "full" if recipe.strategy in ("custom", "scratch") else recipe.strategy)


def with_dataset(recipe: Recipe, dataset_id: str) -> Recipe:
    """The draft with another data set and an image size that suits it. Raises DataError."""
    services.dataset(dataset_id)
    return with_size(_without_demo(recipe, dataset_id).changed(dataset=dataset_id))


def _without_demo(recipe: Recipe, dataset_id: str) -> Recipe:
    """What a demo has brought along, and nobody has changed since, does not stay for another set: as in a new draft."""
    key = recipe.dataset.removeprefix("demo:").partition("@")[0]
    if not recipe.dataset.startswith("demo:") or key not in DEMOS or dataset_id.partition("@")[0] == f"demo:{key}":
        return recipe
    epochs = services.FIRST_EPOCHS if recipe.epochs == DEMOS[key].epochs else recipe.epochs
    augment = Recipe().augment if recipe.augment == augment_preset(DEMOS[key].augment) else recipe.augment
    return recipe.changed(epochs=epochs, augment=augment)


def with_weights(recipe: Recipe, weights: str) -> Recipe:
    """The draft started from other weights, its size and the rules of its strategy following. Raises RecipeError."""
    new = with_size(recipe.changed(weights=weights))
    if recipe.strategy == "custom":
        return new
    return with_strategy(new, "full" if recipe.strategy == "scratch" and weights != "random" else recipe.strategy)


def stripes(recipe: Recipe) -> dict[str, tuple[float, ...]]:
    """For each strategy what it would let learn, stage by stage and the head last: 0 frozen, 1 at the full rate."""
    made = services.tree(recipe)

    def draw() -> dict[str, tuple[float, ...]]:
        parts = [*made.stages, (made[made.head],)]
        drawn = {}
        for name in STRATEGIES:
            planned = plan(made, apply_strategy(recipe, name, made).rules)
            scales = {parameter: group.lr_scale for group in planned.groups for parameter in group.parameters}
            thin = {adapter.parameter for adapter in planned.adapters}
            drawn[name] = tuple(_height(part, scales, thin) for part in parts)
        return drawn

    return services.remembered(("stripes", made.backbone, made.root.total, recipe.weights == "random"), draw)


def _height(blocks: Iterable[Block], scales: dict[str, float], thin: set[str]) -> float:
    """The highest rate in some blocks on a scale on which a tenth is half; 0 where nothing learns, LITTLE where little."""
    parameters = [p for block in blocks for p in block.all_parameters()]
    learning = [p for p in parameters if scales.get(p.name, 0.0) > 0]
    if not learning:
        return LITTLE if any(p.name in thin for p in parameters) else 0.0
    if sum(p.count for p in learning) < SMALL_SHARE * sum(p.count for p in parameters):
        return LITTLE
    best = max(scales[p.name] for p in learning)
    return round(min(1.0, max(LITTLE, 1 + log10(best) / 2)), 3)


def best_weights(chosen: "Card") -> str:
    """What to start from without asking: weights that lie on this machine, else none."""
    if chosen.local:
        return next((kind for kind in chosen.weights if kind != "random"), "random")
    return "random"


def with_size(recipe: Recipe, chosen: "Card | None" = None) -> Recipe:
    """The draft with an image size that suits its pictures and its backbone.

    Pretrained networks see best at the size they learned at; others as much as the pictures have to show.
    """
    chosen = chosen or services.backbone(recipe.backbone)
    if recipe.weights == "pretrained":
        return recipe.changed(image_size=chosen.image_size)
    side = median_side(recipe.dataset) if recipe.dataset else 64
    size = max((one for one in SIZES if one <= side), default=SIZES[0])
    return recipe.changed(image_size=chosen.nearest_size(size))


def median_side(dataset_id: str) -> float:
    """The shorter side of the median picture, in pixels."""
    return median(min(item.width, item.height) for item in services.dataset(dataset_id).items)
