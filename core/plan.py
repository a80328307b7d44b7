"""Block rules to parameter groups. Pure: names in, names out; no tensors here.

The page draws the same Plan that the optimizer receives, so what a person sees is what learns.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import RecipeError
from core.layers import Block, LayerTree, Parameter
from core.recipe import BlockRule


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
    """Path of the first block, input to output, that has a parameter of its own that learns; None if nothing learns."""

    def rates(self) -> dict[str, float]:
        """lr_scale by group name, weight-decay twins merged: the lines of the learning-rate chart."""
        return {group.name: group.lr_scale for group in self.groups}


def plan(tree: LayerTree, rules: Sequence[BlockRule]) -> Plan:
    """What `rules` mean on `tree`. Without a rule everything learns at scale 1.

    A rule's path names a block or one parameter; the nearest ancestor that sets a field wins, field by field.
    Raises RecipeError (`recipe.unknown_block`) naming the path and its nearest match.
    """
    said = {rule.path: rule for rule in rules}
    known = {block.path for block in tree.blocks()} | {p.name for p in tree.root.all_parameters()}
    for path in said:
        if path not in known:
            near = difflib.get_close_matches(path, known, n=1, cutoff=0.0)
            raise RecipeError("recipe.unknown_block", path=path, backbone=tree.backbone, near=near[0] if near else "-")
    learning: dict[tuple[str, float, bool], list[Parameter]] = {}
    frozen: set[str] = set()
    held: list[str] = []
    first: list[str] = []

    def visit(block: Block, trainable: bool, scale: float, setter: str) -> bool:
        """True if something in `block` learns, or would if it had parameters."""
        trainable, scale, setter = _obey(said.get(block.path), trainable, scale, setter)
        alive = trainable and not block.children and not block.parameters
        for parameter in block.parameters:
            learns, own_scale, own_setter = _obey(said.get(parameter.name), trainable, scale, setter)
            if learns:
                learning.setdefault((own_setter, own_scale, parameter.dims > 1), []).append(parameter)
                first.append(block.path)
                alive = True
            else:
                frozen.add(parameter.name)
        mark = len(held)
        for child in block.children:
            alive |= visit(child, trainable, scale, setter)
        if not alive:
            held[mark:] = [block.path]
        return alive

    visit(tree.root, True, 1.0, "")
    groups = tuple(
        ParamGroup(name, scale, decay, tuple(p.name for p in members), sum(p.count for p in members))
        for (name, scale, decay), members in learning.items()
    )
    return Plan(
        groups=groups,
        frozen=frozenset(frozen),
        held=tuple(held),
        trainable=sum(group.count for group in groups),
        total=tree.root.total,
        boundary=first[0] if first else None,
    )


def _obey(rule: BlockRule | None, trainable: bool, scale: float, setter: str) -> tuple[bool, float, str]:
    if rule is None:
        return trainable, scale, setter
    if rule.trainable is not None:
        trainable = rule.trainable
    if rule.lr_scale is not None:
        scale, setter = rule.lr_scale, rule.path
    return trainable, scale, setter
