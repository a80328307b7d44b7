"""LayerTree and Block: what a network is made of, input to output. Plain data: no tensors, no torch.

A Block owns parameters of its own besides those of its children (a ViT's `class_token`, a Swin's bias table): torchvision's
classifiers hold 382 such blocks, and a tree of leaf modules would lose them.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True, slots=True)
class Parameter:
    """One tensor that can learn."""

    name: str
    """Full dotted name, as in the state dict."""
    count: int
    """Numbers in it."""
    dims: int
    """Its number of dimensions; at most 1 for biases and norms."""
    rows: int = 0
    """Size of its first dimension, which is that of the outputs; 0 where it is not known or has none."""


@dataclass(frozen=True)
class Block:
    """One module of the network."""

    path: str
    """Dotted path; '' is the network itself."""
    type: str
    """Class name of the module."""
    parameters: tuple[Parameter, ...] = ()
    """Its own, not its children's."""
    children: tuple["Block", ...] = ()
    """In the order of the module, which in torchvision is that of the data but for a few blocks."""
    statistics: bool = False
    """It keeps running statistics of its own (BatchNorm)."""
    output_shape: tuple[int, ...] | None = None
    """Without the batch; None where it does not run or gives no single tensor."""
    flops: int = 0
    """Multiply-adds times two of one image's forward pass through this block and all below it."""
    activations: int = 0
    """Numbers of four bytes that training keeps for one image in this block and all below it, until the backward pass."""

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition(".")[2]

    @cached_property
    def total(self) -> int:
        """Numbers that can learn in this block and all below it."""
        return sum(p.count for p in self.parameters) + sum(child.total for child in self.children)

    def walk(self) -> Iterator["Block"]:
        """This block and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def all_parameters(self) -> Iterator[Parameter]:
        """Those of this block and all below it."""
        for block in self.walk():
            yield from block.parameters


@dataclass(frozen=True)
class LayerTree:
    """The blocks of one backbone with its new head."""

    backbone: str
    root: Block
    head: str
    """Path of the block that gives the class scores and is new for each task."""
    image_size: int = 224
    """Side of the image for which shapes, flops and activations were computed."""
    starts: tuple[str, ...] = ()
    """Paths of the rows that begin a stage, input first; empty: every row that holds weights does."""
    _index: dict[str, Block] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._index.update((block.path, block) for block in self.root.walk())

    def __contains__(self, path: object) -> bool:
        return path in self._index

    def __getitem__(self, path: str) -> Block:
        return self._index[path]

    def blocks(self) -> Iterator[Block]:
        """All blocks, parents first; the first is the network itself."""
        return self.root.walk()

    @cached_property
    def rows(self) -> tuple[Block, ...]:
        """The blocks that a person meets first, input first, the head always one of them.

        Top-level ones; mere lists and containers of the head are opened, then the largest until five or more with
        parameters show.
        """
        rows = list(self.root.children)
        while True:
            holders = [b for b in rows if b.children and b.path != self.head and b.total > 0]
            above = [b for b in holders if within(self.head, b.path) or b.type == "ModuleList"]
            if not above and (sum(1 for b in rows if b.total > 0) >= 5 or not holders):
                return tuple(rows)
            opened = above[0] if above else max(holders, key=lambda b: b.total)
            at = rows.index(opened)
            rows[at : at + 1] = opened.children

    @property
    def outside(self) -> tuple[str, ...]:
        """Names of the parameters that belong to no row, such as a ViT's class token."""
        inside = {p.name for row in self.rows for p in row.all_parameters()}
        return tuple(p.name for p in self.root.all_parameters() if p.name not in inside)

    @cached_property
    def stages(self) -> tuple[tuple[Block, ...], ...]:
        """The rows in groups, input first, head left out: what presets count.

        A stage goes from the row that begins it to the row before the next one's, with all norms and pools on the way.
        """
        trunk = [row for row in self.rows if row.path != self.head]
        starts = self.starts or tuple(row.path for row in trunk if any(p.dims > 1 for p in row.all_parameters()))
        stages: list[list[Block]] = [[]]
        for row in trunk:
            if row.path in starts and any(r.total for r in stages[-1]):
                stages.append([])
            stages[-1].append(row)
        return tuple(tuple(stage) for stage in stages if stage)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a JSON file; `from_dict` reads it back."""
        return {
            "backbone": self.backbone,
            "head": self.head,
            "image_size": self.image_size,
            "starts": list(self.starts),
            "root": asdict(self.root),
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> "LayerTree":
        """The inverse of `to_dict`."""
        return LayerTree(data["backbone"], _block(data["root"]), data["head"], data["image_size"], tuple(data["starts"]))


def within(path: str, above: str) -> bool:
    """`path` is the block `above` or lies below it."""
    return path == above or path.startswith(f"{above}.") or above == ""


def _block(data: dict[str, Any]) -> Block:
    shape = data["output_shape"]
    return Block(
        path=data["path"],
        type=data["type"],
        parameters=tuple(Parameter(**p) for p in data["parameters"]),
        children=tuple(_block(child) for child in data["children"]),
        statistics=data["statistics"],
        output_shape=None if shape is None else tuple(shape),
        flops=data["flops"],
        activations=data["activations"],
    )
