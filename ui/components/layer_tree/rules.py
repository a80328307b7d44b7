"""What the layer tree and its browser half say to each other: a LayerTree as rows, block rules as plain objects.

Pure: no Streamlit here. Rules in, rules out; the browser knows nothing of optimizers, Python nothing of rows.
"""

import hashlib
import json
from collections.abc import Container, Sequence

from core.layers import Block, LayerTree, Parameter
from core.plan import adaptable
from core.recipe import BlockRule

Node = list[str | int | list[int] | None]
"""path, parent path, name, type, own and total parameters, output shape as text, 1 if it keeps running statistics, and rows
and columns of each own weight that can have an adapter."""
Rules = dict[str, dict[str, bool | float | int]]
"""path -> the fields of a BlockRule that say something, by name."""
FIELDS = ("trainable", "lr_scale", "adapter", "pull")

PARAMETER = "parameter"
"""Type of a row that is one tensor of a block's own, such as a ViT's `class_token`."""
MAX_SCALE, MAX_PULL = 1000.0, 10.0
MAX_RANK, MAX_EPOCHS = 1024, 10_000


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
        shapes = [] if apart else _shapes(block.parameters)
        rows.append([block.path, parent, name, block.type, own, block.total, shape, int(block.statistics), shapes])
        if apart:
            for p in block.parameters:
                rows.append(
                    [p.name, block.path, p.name.rpartition(".")[2], PARAMETER, p.count, p.count, "", 0, _shapes([p])]
                )
        for child in block.children:
            add(child, block.path)

    add(tree.root, None)
    return rows


def _shapes(parameters: Sequence[Parameter]) -> list[int]:
    return [side for p in parameters if adaptable(p) for side in (p.rows, p.count // p.rows)]


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
    said: Rules = {}
    for rule in rules:
        fields = {field: getattr(rule, field) for field in FIELDS if getattr(rule, field) is not None}
        if fields:
            said[rule.path] = fields | ({"since": rule.since} if rule.since > 1 else {})
    return said


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
            path=path,
            trainable=trainable if isinstance(trainable, bool) else None,
            lr_scale=_number(said.get("lr_scale"), 0, MAX_SCALE),
            adapter=_whole(said.get("adapter"), 0, MAX_RANK),
            pull=_number(said.get("pull"), 0, MAX_PULL),
            since=_whole(said.get("since"), 1, MAX_EPOCHS) or 1,
        )
        if any(getattr(rule, field) is not None for field in FIELDS):
            rules.append(rule)
    return tuple(rules)


def _number(value: object, low: float, high: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if low <= value <= high else None


def _whole(value: object, low: int, high: int) -> int | None:
    number = _number(value, low, high)
    return int(number) if number is not None and number == int(number) else None
