"""Block rules to parameter groups. Pure: names in, names out; no tensors here.

The page draws the same Plan that the optimizer receives, so what a person sees is what learns.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.errors import RecipeError
from core.layers import Block, LayerTree, Parameter
from core.recipe import BlockRule

ADAPTED = {"weight": (2, 4), "in_proj_weight": (2,)}
"""Names of the parameters that can have an adapter, and how many dimensions they then have: linear layers, convolutions and
the projections of attention. Tables of positions and the like are no maps from inputs to outputs."""


@dataclass(frozen=True, slots=True)
class ParamGroup:
    """Parameters that learn at one rate."""

    name: str
    """Path of the block whose rule sets the rate; '' where no rule does."""
    lr_scale: float
    """Multiplier of the base learning rate."""
    decay: bool
    """Weight decay applies. Biases and norms (at most one dimension) are left out, as in every recipe since ResNet's."""
    parameters: tuple[str, ...]
    count: int
    """Numbers in them."""
    pull: float = 0.0
    """Strength of the pull back to the weights that they started from (L2-SP)."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """Two small matrices beside one frozen weight, whose product is added to it (LoRA, Hu et al. 2022)."""

    parameter: str
    """Name of the weight."""
    rank: int
    rows: int
    """Outputs: the weight is seen as `rows` times `columns`."""
    columns: int

    @property
    def names(self) -> tuple[str, str]:
        """Of the matrices: `down` (rank, columns) and `up` (rows, rank)."""
        return f"{self.parameter}.lora_down", f"{self.parameter}.lora_up"

    @property
    def count(self) -> int:
        """Numbers in both."""
        return self.rank * (self.rows + self.columns)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which names learn, at what rate, and which blocks are held."""

    groups: tuple[ParamGroup, ...]
    frozen: frozenset[str]
    """Names of the parameters that stay as they are; they never enter the optimizer."""
    held: tuple[str, ...]
    """Topmost blocks that are frozen throughout: they run in eval (statistics fixed, dropout off) while others learn."""
    trainable: int
    total: int
    boundary: str | None
    """Path of the first block, input to output, that has something of its own that learns; None if nothing learns."""
    adapters: tuple[Adapter, ...] = ()
    """Beside frozen weights; their matrices stand in `groups` under names of their own."""

    def rates(self) -> dict[str, float]:
        """lr_scale by group name, weight-decay twins merged: the lines of the learning-rate chart."""
        return {group.name: group.lr_scale for group in self.groups}


@dataclass(frozen=True, slots=True)
class _Said:
    """What holds at one place of the tree."""

    trainable: bool = True
    scale: float = 1.0
    setter: str = ""
    """Path of the rule that set the scale."""
    adapter: int = 0
    pull: float = 0.0

    def under(self, rule: BlockRule | None) -> "_Said":
        if rule is None:
            return self
        said = self
        if rule.trainable is not None:
            said = replace(said, trainable=rule.trainable)
        if rule.lr_scale is not None:
            said = replace(said, scale=rule.lr_scale, setter=rule.path)
        if rule.adapter is not None:
            said = replace(said, adapter=rule.adapter)
        if rule.pull is not None:
            said = replace(said, pull=rule.pull)
        return said


def plan(tree: LayerTree, rules: Sequence[BlockRule], epoch: int | None = None) -> Plan:
    """What `rules` mean on `tree`, in that epoch (1-based); None: once all of them hold. Without a rule everything learns.

    A rule's path names a block or one parameter; the nearest ancestor that sets a field wins, field by field.
    Raises RecipeError (`recipe.unknown_block`) naming the path and its nearest match.
    """
    known = {block.path for block in tree.blocks()} | {p.name for p in tree.root.all_parameters()}
    for rule in rules:
        if rule.path not in known:
            near = difflib.get_close_matches(rule.path, known, n=1, cutoff=0.0)
            raise RecipeError("recipe.unknown_block", path=rule.path, backbone=tree.backbone, near=near[0] if near else "-")
    said = {rule.path: rule for rule in rules if epoch is None or rule.since <= epoch}
    learning: dict[tuple[str, float, bool, float], list[tuple[str, int]]] = {}
    frozen: set[str] = set()
    held: list[str] = []
    first: list[str] = []
    adapters: list[Adapter] = []

    def visit(block: Block, above: _Said) -> bool:
        """True if something in `block` learns, or would if it had parameters."""
        here = above.under(said.get(block.path))
        alive = here.trainable and not block.children and not block.parameters
        for parameter in block.parameters:
            own = here.under(said.get(parameter.name))
            adapter = None if own.trainable else _adapter(parameter, own.adapter)
            if own.trainable:
                key = (own.setter, own.scale, parameter.dims > 1, own.pull)
                learning.setdefault(key, []).append((parameter.name, parameter.count))
            else:
                frozen.add(parameter.name)
            if adapter is not None:
                adapters.append(adapter)
                sizes = adapter.rank * adapter.columns, adapter.rank * adapter.rows
                learning.setdefault((own.setter, own.scale, True, 0.0), []).extend(zip(adapter.names, sizes, strict=True))
            if own.trainable or adapter is not None:
                first.append(block.path)
                alive = True
        mark = len(held)
        for child in block.children:
            alive |= visit(child, here)
        if not alive:
            held[mark:] = [block.path]
        return alive

    visit(tree.root, _Said())
    groups = tuple(
        ParamGroup(name, scale, decay, tuple(n for n, _ in members), sum(count for _, count in members), pull)
        for (name, scale, decay, pull), members in learning.items()
    )
    return Plan(
        groups=groups,
        frozen=frozenset(frozen),
        held=tuple(held),
        trainable=sum(group.count for group in groups),
        total=tree.root.total,
        boundary=first[0] if first else None,
        adapters=tuple(adapters),
    )


def _adapter(parameter: Parameter, rank: int) -> Adapter | None:
    """An adapter of at most `rank` for a weight, where it can have one and that is smaller than the weight itself."""
    if not rank or not adaptable(parameter):
        return None
    columns = parameter.count // parameter.rows
    adapter = Adapter(parameter.name, min(rank, parameter.rows, columns), parameter.rows, columns)
    return adapter if adapter.count < parameter.count else None


def adaptable(parameter: Parameter) -> bool:
    """It is a weight that can have an adapter."""
    return parameter.rows > 0 and parameter.dims in ADAPTED.get(parameter.name.rpartition(".")[2], ())


def thawing(rules: Sequence[BlockRule]) -> tuple[int, ...]:
    """Epochs with which other rules begin to hold, ascending; the first is not one of them."""
    return tuple(sorted({rule.since for rule in rules if rule.since > 1}))


def head_alone(tree: LayerTree, rules: Sequence[BlockRule]) -> bool:
    """Nothing but the head learns, whatever the epoch, and it is one linear layer: a head on features that never change.

    Raises RecipeError as `plan` does.
    """
    head = {p.name for p in tree[tree.head].parameters}
    return tree[tree.head].type == "Linear" and all(
        head == {name for group in plan(tree, rules, epoch).groups for name in group.parameters}
        for epoch in (1, *thawing(rules))
    )
