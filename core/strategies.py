"""Presets that write rules onto a tree: what most people want to learn, in one click."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.errors import RecipeError
from core.layers import Block, LayerTree
from core.recipe import BlockRule, Recipe

TRUNK_SCALE = 0.1
"""Share of the head's rate at which pretrained blocks learn: the usual factor ten between new and old weights
(Girshick et al. 2014, R-CNN, section 2.3)."""
STAGE_DECAY = 0.65
"""Rate of a stage relative to the one above it: layer-wise decay of BEiT (Bao et al. 2022, table 11) for the base size."""
RANK = 8
"""Of adapters: LoRA (Hu et al. 2022, table 6) finds that 4 to 8 are enough."""

Rules = tuple[BlockRule, ...]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A preset. Its words stand in the catalogues as `strategy.<name>.title`, `.help` and `.source`."""

    name: str
    rules: Callable[[LayerTree, Recipe], Rules]
    weights: str | None = None
    """The weights it starts from; None leaves the person's choice."""


def apply_strategy(recipe: Recipe, strategy: str, tree: LayerTree) -> Recipe:
    """`recipe` with the rules that `strategy` writes onto `tree`, all earlier rules gone.

    Raises RecipeError (`strategy.unknown`).
    """
    if strategy not in STRATEGIES:
        raise RecipeError("strategy.unknown", name=strategy, known=", ".join(STRATEGIES))
    preset = STRATEGIES[strategy]
    recipe = recipe.changed(weights=preset.weights or recipe.weights)
    return recipe.changed(strategy=strategy, rules=preset.rules(tree, recipe))


def _trunk_scale(recipe: Recipe) -> float | None:
    """TRUNK_SCALE where large steps would destroy what the trunk knows.

    What the bundled backbone learned from drawings must move further: with hands and 10 images a class everything at the
    full rate finds 95 %, the last two stages at a tenth 85 % (`benchmarks/strategies.py`).
    """
    return None if recipe.weights in ("random", "bundled") else TRUNK_SCALE


def _frozen_but(tree: LayerTree, recipe: Recipe, paths: Iterable[str], since: int = 1) -> Rules:
    """Everything is frozen but the head and, from epoch `since` on, `paths`; these at the rate of a trunk."""
    scale = _trunk_scale(recipe)
    return (
        BlockRule(path="", trainable=False, lr_scale=scale),
        *(BlockRule(path=path, trainable=True, since=since) for path in paths),
        BlockRule(path=tree.head, trainable=True, lr_scale=None if scale is None else 1.0),
    )


def _head(tree: LayerTree, recipe: Recipe) -> Rules:
    return (BlockRule(path="", trainable=False), BlockRule(path=tree.head, trainable=True))


def _learning(blocks: Iterable[Block]) -> list[str]:
    """Those that have something that learns, or that must know whether their surroundings do."""
    return [block.path for block in blocks if block.total > 0 or block.type == "Dropout"]


def _stages(tree: LayerTree, start: int, stop: int) -> list[str]:
    return _learning(block for stage in tree.stages[start:stop] for block in stage)


def _last(count: int) -> Callable[[LayerTree, Recipe], Rules]:
    return lambda tree, recipe: _frozen_but(tree, recipe, _stages(tree, len(tree.stages) - count, len(tree.stages)))


def _first_stages(tree: LayerTree, recipe: Recipe) -> Rules:
    """The first third of the stages, rounded up."""
    return _frozen_but(tree, recipe, _stages(tree, 0, -(-len(tree.stages) // 3)))


def _middle(tree: LayerTree, recipe: Recipe) -> Rules:
    """All but the first and the last third of the stages, rounded down."""
    third = len(tree.stages) // 3
    return _frozen_but(tree, recipe, _stages(tree, third, len(tree.stages) - third))


def _gradual(tree: LayerTree, recipe: Recipe) -> Rules:
    """One stage more at a time, the last one first, so that all learn in the last third of the epochs."""
    stages = len(tree.stages)
    span = max(1, round(recipe.epochs * 2 / 3))
    scale = _trunk_scale(recipe)
    late = {at: min(recipe.epochs, 1 + max(1, round((stages - at) * span / stages))) for at in range(stages)}
    return (
        BlockRule(path="", trainable=False, lr_scale=scale),
        *(BlockRule(path=name, trainable=True, since=late[0]) for name in tree.outside),
        *(
            BlockRule(path=path, trainable=True, since=late[at])
            for at, stage in enumerate(tree.stages)
            for path in _learning(stage)
        ),
        BlockRule(path=tree.head, trainable=True, lr_scale=None if scale is None else 1.0),
    )


def _lp_ft(tree: LayerTree, recipe: Recipe) -> Rules:
    """The head alone for a third of the epochs, then everything."""
    since = min(recipe.epochs, 1 + max(1, recipe.epochs // 3))
    return _frozen_but(tree, recipe, [*tree.outside, *_stages(tree, 0, len(tree.stages))], since)


def _norm(tree: LayerTree, recipe: Recipe) -> Rules:
    norms = [block.path for block in tree.blocks() if "Norm" in block.type and block.parameters]
    return (BlockRule(path="", trainable=False), *(BlockRule(path=path, trainable=True) for path in norms), *_new(tree))


def _bias(tree: LayerTree, recipe: Recipe) -> Rules:
    names = [p.name for p in tree.root.all_parameters() if p.name.endswith("bias")]
    head = {p.name for p in tree[tree.head].all_parameters()}
    biases = (BlockRule(path=name, trainable=True) for name in names if name not in head)
    return (BlockRule(path="", trainable=False), *biases, *_new(tree))


def _lora(tree: LayerTree, recipe: Recipe) -> Rules:
    return (BlockRule(path="", trainable=False, adapter=RANK), *_new(tree))


def _new(tree: LayerTree) -> Rules:
    return (BlockRule(path=tree.head, trainable=True),)


def _layerwise(tree: LayerTree, recipe: Recipe) -> Rules:
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


def _everything(tree: LayerTree, recipe: Recipe) -> Rules:
    """One rate, a tenth where a large one would wash pretrained weights away."""
    scale = _trunk_scale(recipe)
    return () if scale is None else (BlockRule(path="", lr_scale=scale),)


def _scratch(tree: LayerTree, recipe: Recipe) -> Rules:
    return ()


STRATEGIES: dict[str, Strategy] = {
    preset.name: preset
    for preset in (
        Strategy("head", _head),
        Strategy("last-stage", _last(1)),
        Strategy("last-two-stages", _last(2)),
        Strategy("layerwise", _layerwise),
        Strategy("full", _everything),
        Strategy("first-stages", _first_stages),
        Strategy("middle", _middle),
        Strategy("gradual", _gradual),
        Strategy("lp-ft", _lp_ft),
        Strategy("norm", _norm),
        Strategy("bias", _bias),
        Strategy("lora", _lora),
        Strategy("scratch", _scratch, weights="random"),
    )
}
"""The common ones in the order in which they learn more, then the special ones, then the baseline."""
