"""A network read into a LayerTree: blocks, head, shapes and costs, from one forward pass on tensors without memory.

Knows modules, not families: the head is what changes shape with the number of classes, the costs are what autograd keeps
and what the dispatcher multiplies.
"""

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.hooks import RemovableHandle

from core.layers import Block, LayerTree, Parameter

BATCH = 2
"""Images of the measuring pass: batch norm over a single pixel refuses one."""


Make = Callable[[int, int], nn.Module]
"""Number of classes and side of the image to a network with fresh weights."""


def read_tree(name: str, make: Make, *, classes: int, image_size: int) -> LayerTree:
    """The tree of the network that `make` builds, its costs for one image of side `image_size`."""
    model = hollow(make, classes, image_size)
    head = find_head(model, hollow(make, classes + 1, image_size))
    tree = LayerTree(name, _read(model, "", _measure(model, image_size)), head, image_size)
    clear = tree
    if image_size < 32:  # too few pixels to see five halvings
        model = hollow(make, classes, 4 * image_size)
        clear = LayerTree(name, _read(model, "", _measure(model, 4 * image_size)), head, 4 * image_size)
    return dataclasses.replace(tree, starts=stage_starts(clear))


def stage_starts(tree: LayerTree) -> tuple[str, ...]:
    """Paths of the rows from which on the network works at a lower resolution; each row's where there are hardly any.

    A network that keeps one resolution throughout (ViT) has a stage in each block.
    """
    starts: list[str] = []
    current = 0.0
    for row in tree.rows:
        if row.path != tree.head and any(p.dims > 1 for p in row.all_parameters()):
            side = _side(row.output_shape) or current  # layers on the pooled vector belong to the last stage
            if not starts or side < 0.75 * current:  # a convolution without padding loses a few pixels, a stride half
                starts.append(row.path)
                current = side
    return tuple(starts) if len(starts) >= 3 else ()


def _side(shape: tuple[int, ...] | None) -> float:
    """Height of a feature map (C, H, W) or (H, W, C), H = W; square root of the number of tokens (N, D); 0 of a vector."""
    if shape is None or len(shape) == 1:
        return 0.0
    if len(shape) == 2:
        return math.sqrt(shape[0])
    return float(shape[0] if shape[0] == shape[1] != shape[2] else shape[2])


def hollow(make: Make, classes: int, image_size: int) -> nn.Module:
    """The network as `make` builds it, but on the meta device: all shapes, no numbers, no memory."""
    with _Hollow():
        model = make(classes, image_size)
    return model.to("meta")


def find_head(model: nn.Module, other: nn.Module) -> str:
    """Path of the block whose parameters have another shape in `other`, the same network for more classes."""
    shapes = {name: p.shape for name, p in other.named_parameters()}
    changed = [name.split(".")[:-1] for name, p in model.named_parameters() if p.shape != shapes[name]]
    path = changed[0]
    for parts in changed[1:]:
        path = path[: sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(path, parts, strict=False)))]
    return ".".join(path)


class _Hollow(TorchFunctionMode):
    """Tensors that layers make for their weights come without memory; arithmetic on plain numbers (RegNet's widths) works.

    `torch.device("meta")` would make that arithmetic fail too. What gives them their first numbers is passed over: torch
    works out in Python what that would be, which takes half of the time.
    """

    FACTORIES = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})
    FILLERS = frozenset(
        {
            *(torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.fill_, torch.Tensor.zero_),
            *(nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_),
        }
    )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in self.FILLERS and (tensor := args[0] if args else kwargs["tensor"]).is_meta:
            return tensor
        if func in self.FACTORIES and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


class _Costs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What each block does itself (not its children), for a batch of BATCH images."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stack: list[str] = [""]
        self.flops: dict[str, int] = defaultdict(int)
        self.kept: dict[str, int] = defaultdict(int)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._seen: dict[int, torch.UntypedStorage] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = _shortcut(func, args)
        if out is None:
            out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops[self.stack[-1]] += formula(*args, **(kwargs or {}), out_val=out)
        return out

    def ignore(self, tensor: torch.Tensor) -> None:
        """`tensor` is there anyway: keeping it costs nothing."""
        storage = tensor.untyped_storage()
        self._seen[storage._cdata] = storage

    def keep(self, tensor: torch.Tensor) -> torch.Tensor:
        """Autograd keeps `tensor` for the backward pass; each storage counts once, in numbers of four bytes."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen:
            self._seen[storage._cdata] = storage
            self.kept[self.stack[-1]] += storage.nbytes() // 4
        return tensor


def _shortcut(func: Any, args: Any) -> Any:
    """What the commonest operations give, known without torch's slow rules in Python for tensors without memory."""
    if func._schema.name.endswith("_") and isinstance(args[0], torch.Tensor):
        return args[0]
    if func._overloadpacket is torch.ops.aten.native_batch_norm:
        images, channels = args[0], args[0].shape[1]
        return torch.empty_like(images), images.new_empty(channels), images.new_empty(channels)
    return None


def _measure(model: nn.Module, image_size: int) -> _Costs:
    costs = _Costs()
    for tensor in (*model.parameters(), *model.buffers()):
        costs.ignore(tensor)
    handles: list[RemovableHandle] = []
    for path, module in model.named_modules():
        if path:
            handles.append(module.register_forward_pre_hook(_enter(costs, path)))
            handles.append(module.register_forward_hook(_leave(costs, path)))
    model.train()
    images = torch.empty(BATCH, 3, image_size, image_size, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(costs.keep, lambda tensor: tensor), costs:
        out = model(images)
    costs.shapes[""] = tuple(out.shape[1:])
    for handle in handles:
        handle.remove()
    return costs


def _enter(costs: _Costs, path: str) -> Callable[[nn.Module, Any], None]:
    def hook(module: nn.Module, args: Any) -> None:
        costs.stack.append(path)

    return hook


def _leave(costs: _Costs, path: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, args: Any, out: Any) -> None:
        costs.stack.pop()
        if isinstance(out, torch.Tensor):
            costs.shapes[path] = tuple(out.shape[1:])

    return hook


def _read(module: nn.Module, path: str, costs: _Costs) -> Block:
    prefix = f"{path}." if path else ""
    children = tuple(_read(child, f"{prefix}{name}", costs) for name, child in module.named_children())
    return Block(
        path=path,
        type=type(module).__name__,
        parameters=tuple(
            Parameter(f"{prefix}{name}", p.numel(), p.dim(), p.shape[0] if p.dim() else 0)
            for name, p in module.named_parameters(recurse=False)
        ),
        children=children,
        statistics="running_mean" in dict(module.named_buffers(recurse=False)),
        output_shape=costs.shapes.get(path),
        flops=costs.flops[path] // BATCH + sum(child.flops for child in children),
        activations=costs.kept[path] // BATCH + sum(child.activations for child in children),
    )
