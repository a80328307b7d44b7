"""When each stage begins to learn: rules to a timeline and back. Pure; a stage is known by the path of its first block."""

from collections.abc import Mapping, Sequence

from core.layers import LayerTree, within
from core.plan import plan, thawing
from core.recipe import BlockRule

Since = Mapping[str, int | None]
"""First block of a stage, or the head -> the epoch, 1-based, from which something in it learns; None: never."""


def begins(tree: LayerTree, rules: Sequence[BlockRule]) -> dict[str, int | None]:
    """The timeline that `rules` make, input first, the head last. Raises RecipeError as `plan` does."""
    parts = _parts(tree)
    found: dict[str, int | None] = dict.fromkeys(parts)
    for epoch in (1, *thawing(rules)):
        made = plan(tree, rules, epoch)
        learning = {name for group in made.groups for name in group.parameters}
        learning |= {adapter.parameter for adapter in made.adapters}
        for key, paths in parts.items():
            inside = (p.name for path in paths for p in tree[path].all_parameters())
            if found[key] is None and any(name in learning for name in inside):
                found[key] = epoch
    return found


def with_timeline(tree: LayerTree, rules: Sequence[BlockRule], since: Since) -> tuple[BlockRule, ...]:
    """`rules` under which each stage learns from its epoch on, and what belongs to no stage with the first of them.

    Rates, adapters and pulls stay; so do rules of blocks inside a stage.
    """
    kept = {rule.path: rule for rule in rules}
    parts = _parts(tree)
    wanted: dict[str, int | None] = {path: since.get(key) for key, paths in parts.items() for path in paths}
    trunk = [epoch for key, epoch in since.items() if key != tree.head and epoch is not None]
    wanted |= dict.fromkeys(tree.outside, max(trunk, default=None))
    made = [_changed(kept.pop("", None), "", None)]
    for path, epoch in wanted.items():
        made.append(_changed(kept.pop(path, None), path, epoch))
    known = set(wanted)
    above = {path for path in kept if any(within(inner, path) for inner in known)}
    made += [rule if rule.path not in above else rule.model_copy(update={"trainable": None}) for rule in kept.values()]
    return tuple(rule for rule in made if rule.path == "" or rule.model_dump(exclude={"path", "since"}, exclude_none=True))


def _changed(rule: BlockRule | None, path: str, since: int | None) -> BlockRule:
    said = rule or BlockRule(path=path)
    return said.model_copy(update={"trainable": since is not None, "since": since or 1})


def _parts(tree: LayerTree) -> dict[str, list[str]]:
    """First block of each stage, and the head, to all its blocks that hold weights."""
    parts: dict[str, list[str]] = {}
    for stage in tree.stages:
        paths = [row.path for row in stage if row.total > 0]
        if paths:
            parts[paths[0]] = paths
    return {**parts, tree.head: [tree.head]}
