"""What the layer tree and its browser half say to each other: a LayerTree as rows, block rules as plain objects.

Pure: no Streamlit here. Rules in, rules out; the browser knows nothing of optimizers, Python nothing of rows.
"""

import hashlib
import json
from collections.abc import Container, Sequence

from core.layers import Block, LayerTree
from core.recipe import BlockRule

Node = list[str | int | None]
"""path, parent path, name, type, own and total parameters, output shape as text, 1 if it keeps running statistics."""
Rules = dict[str, dict[str, bool | float]]
"""path -> {"trainable": bool, "lr_scale": float}, both optional."""

PARAMETER = "parameter"
"""Type of a row that is one tensor of a block's own, such as a ViT's `class_token`."""
MAX_SCALE = 1000.0


def nodes(tree: LayerTree, named: Container[str] = ()) -> list[Node]:
    """The rows of `tree`, parents before children.

    Own parameters of a block that has children get rows of their own, and so do those that `named` holds: then only rows
    without children own something, and each can be frozen by itself.
    """
    rows: list[Node] = []

    def add(block: Block, parent: str | None) -> None:
        apart = bool(block.children) or any(p.name in named for p in block.parameters)
        own = 0 if apart else sum(p.count for p in block.parameters)
        name = block.name or tree.backbone
        shape = "×".join(str(side) for side in block.output_shape or ())
        rows.append([block.path, parent, name, block.type, own, block.total, shape, int(block.statistics)])
        if apart:
            for p in block.parameters:
                rows.append([p.name, block.path, p.name.rpartition(".")[2], PARAMETER, p.count, p.count, "", 0])
        for child in block.children:
            add(child, block.path)

    add(tree.root, None)
    return rows


def opened(tree: LayerTree) -> list[str]:
    """Paths to unfold at first, so that the rows show that a person meets first."""
    first = {row.path for row in tree.rows}
    above = {path[:at] for path in first for at in range(len(path)) if path[at] == "."}
    return sorted((above - first) | {""})


def signature(rows: list[Node]) -> str:
    """Changes when the rows do: another network, or the same one with another head."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12]


def encode(rules: Sequence[BlockRule]) -> Rules:
    """Rules as plain objects; those that say nothing are left out."""
    said = {
        rule.path: {
            field: value
            for field, value in (("trainable", rule.trainable), ("lr_scale", rule.lr_scale))
            if value is not None
        }
        for rule in rules
    }
    return {path: fields for path, fields in said.items() if fields}


def decode(value: object, rows: list[Node]) -> tuple[BlockRule, ...]:
    """What the browser says is a wish: known paths and sane values are kept, in the order of the rows."""
    if not isinstance(value, dict):
        return ()
    rules = []
    for row in rows:
        path = str(row[0])
        said = value.get(path)
        if not isinstance(said, dict):
            continue
        trainable = said.get("trainable")
        rule = BlockRule(
            path=path, trainable=trainable if isinstance(trainable, bool) else None, lr_scale=_scale(said.get("lr_scale"))
        )
        if rule.trainable is not None or rule.lr_scale is not None:
            rules.append(rule)
    return tuple(rules)


def _scale(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MAX_SCALE else None
