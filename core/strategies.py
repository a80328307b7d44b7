"""Presets that write rules onto a tree: what most people want to learn, in one click."""

from collections.abc import Callable
from dataclasses import dataclass

from core.errors import RecipeError
from core.layers import Block, LayerTree
from core.recipe import BlockRule, Recipe
from core.words import say

TRUNK_SCALE = 0.1
"""Share of the head's rate at which pretrained blocks learn: the usual factor ten between new and old weights
(Girshick et al. 2014, R-CNN, section 2.3)."""
STAGE_DECAY = 0.65
"""Rate of a stage relative to the one above it: layer-wise decay of BEiT (Bao et al. 2022, table 11) for the base size."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A preset. Its words stand in the catalogues as `strategy.<name>.title` and `.help`."""

    name: str
    rules: Callable[[LayerTree, bool], tuple[BlockRule, ...]]
    """Tree, and whether the trunk already knows something, to rules."""
    weights: str | None = None
    """The weights it starts from; None leaves the person's choice."""

    def title(self, language: str = "en") -> str:
        """A few words."""
        return say(f"strategy.{self.name}.title", language)

    def help(self, language: str = "en") -> str:
        """What it does and when to take it."""
        return say(f"strategy.{self.name}.help", language)


def apply_strategy(recipe: Recipe, strategy: str, tree: LayerTree) -> Recipe:
    """`recipe` with the rules that `strategy` writes onto `tree`, all earlier rules gone.

    Raises RecipeError (`strategy.unknown`).
    """
    if strategy not in STRATEGIES:
        raise RecipeError("strategy.unknown", name=strategy, known=", ".join(STRATEGIES))
    preset = STRATEGIES[strategy]
    weights = preset.weights or recipe.weights
    rules = preset.rules(tree, weights != "random")
    return recipe.changed(strategy=strategy, weights=weights, rules=rules)


def _head(tree: LayerTree, known: bool) -> tuple[BlockRule, ...]:
    return (BlockRule(path="", trainable=False), BlockRule(path=tree.head, trainable=True))


def _last(count: int) -> Callable[[LayerTree, bool], tuple[BlockRule, ...]]:
    def rules(tree: LayerTree, known: bool) -> tuple[BlockRule, ...]:
        rows = [row for stage in tree.stages[-count:] for row in stage if _learns(row)]
        return (
            BlockRule(path="", trainable=False, lr_scale=TRUNK_SCALE if known else None),
            *(BlockRule(path=row.path, trainable=True) for row in rows),
            BlockRule(path=tree.head, trainable=True, lr_scale=1.0 if known else None),
        )

    return rules


def _learns(row: Block) -> bool:
    """It has something that learns, or that must know whether its surroundings do."""
    return row.total > 0 or row.type == "Dropout"


def _layerwise(tree: LayerTree, known: bool) -> tuple[BlockRule, ...]:
    scales = [round(STAGE_DECAY ** (len(tree.stages) - i), 6) for i in range(len(tree.stages))]
    return (
        BlockRule(path="", lr_scale=scales[0]),
        *(
            BlockRule(path=row.path, lr_scale=scale)
            for scale, stage in zip(scales[1:], tree.stages[1:], strict=True)
            for row in stage
            if row.total > 0
        ),
        BlockRule(path=tree.head, lr_scale=1.0),
    )


def _full(tree: LayerTree, known: bool) -> tuple[BlockRule, ...]:
    if not known:
        return ()
    return (BlockRule(path="", lr_scale=TRUNK_SCALE), BlockRule(path=tree.head, lr_scale=1.0))


def _scratch(tree: LayerTree, known: bool) -> tuple[BlockRule, ...]:
    return ()


STRATEGIES: dict[str, Strategy] = {
    preset.name: preset
    for preset in (
        Strategy("head", _head),
        Strategy("last-stage", _last(1)),
        Strategy("last-two-stages", _last(2)),
        Strategy("layerwise", _layerwise),
        Strategy("full", _full),
        Strategy("scratch", _scratch, weights="random"),
    )
}
"""In the order in which they learn more."""
