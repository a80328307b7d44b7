"""A network cut in two at its freeze boundary: what stays as it is below, what learns above. Knows modules, no data.

The network is read into a graph (torch.fx) of what it does; it can be cut after every operation through which everything has
to pass, with one tensor in and one out. Both halves share their modules and weights with the network.
"""

import hashlib
import math
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.digest import tensors_digest
from core.eager import torchvision
from core.layers import LayerTree

_IN_PLACE = (operator.iadd, operator.imul, operator.isub, operator.itruediv)
_tracing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a network can be cut."""

    path: str
    """Of the topmost block that ends here; of the one it lies in where none does."""
    node: str
    """Name of the operation in the graph: the activation is what it gives."""
    shape: tuple[int, ...]
    """Of one image's activation."""
    dtype: torch.dtype
    channels_last: bool
    """How it lies in memory: what comes out so has to go in so, or each step pays for turning it round."""
    below: float
    """Share of the forward pass of the whole network that lies below."""

    @property
    def size_bytes(self) -> int:
        """Of one image's activation."""
        return math.prod(self.shape) * self.dtype.itemsize


class Cuttable:
    """The graph of one network as its modules stand now (which ones train, which ones are held).

    To be made anew whenever that changes. `moving` names the weights that learn or that something is added to.
    """

    def __init__(self, model: nn.Module, tree: LayerTree, moving: frozenset[str]) -> None:
        self.model = model
        self._moving = moving
        self._modules = dict(model.named_modules())
        self._graph = _Tracer().trace(model)
        self._nodes = [node for node in self._graph.nodes if node.op != "get_attr"]
        self._below = self._work(tree)

    def places(self, images: Tensor) -> tuple[Place, ...]:
        """Where it can be cut so that nothing below ever changes, input first. `images` (B, 3, S, S) are sent through once.

        Empty if something right behind the input learns, or if chance is at work outside of modules, where it could not be
        switched off for measuring.
        """
        if any(_by_chance(node) for node in self._nodes):
            return ()
        last = next((at for at, node in enumerate(self._nodes) if not self._fixed(node)), len(self._nodes)) - 1
        cuts = [
            at
            for at in self._articulations()
            if 0 < at <= last and self._nodes[at].op != "output" and not self._written_over(self._nodes[at])
        ]
        if not cuts:
            return ()
        seen = _Seen(self.model, self._part(self._nodes[: cuts[-1] + 1])).run_and_see(images)
        found = []
        for at in cuts:
            look = seen.get(self._nodes[at].name)
            if look is not None and look.shape[:1] == (len(images),):
                where = self._path(at), self._nodes[at].name
                found.append(Place(*where, look.shape[1:], look.dtype, look.channels_last, self._below[at]))
        return tuple(found)

    def below(self, place: Place, start: Place | None = None) -> fx.GraphModule:
        """Images (B, 3, S, S), or the activations at `start`, to the activations at `place`."""
        first = 0 if start is None else self._at(start) + 1
        nodes = self._nodes[first : self._at(place) + 1]
        return fx.GraphModule(self.model, self._part(nodes, None if start is None else self._nodes[first - 1]))

    def above(self, place: Place) -> fx.GraphModule:
        """Activations at `place` to class scores."""
        at = self._at(place)
        return fx.GraphModule(self.model, self._part(self._nodes[at + 1 :], self._nodes[at]))

    def leads(self, lower: Place, upper: Place) -> bool:
        """There is something between these two, `lower` first."""
        names = [node.name for node in self._nodes]
        known = lower.node in names and upper.node in names
        return known and names.index(lower.node) < names.index(upper.node)

    def _at(self, place: Place) -> int:
        return next(at for at, node in enumerate(self._nodes) if node.name == place.node)

    def _part(self, nodes: Sequence[fx.Node], given: fx.Node | None = None) -> fx.Graph:
        """A graph of `nodes` alone, in their order; `given` is what comes in, and the last one goes out."""
        graph = fx.Graph()
        copies: dict[fx.Node, fx.Node] = {}
        if given is not None:
            copies[given] = graph.placeholder("activations")

        def copied(node: fx.Node) -> fx.Node:
            if node not in copies:  # a weight, the one thing that both halves may use
                copies[node] = graph.node_copy(node)
            return copies[node]

        for node in nodes:
            copies[node] = graph.node_copy(node, copied)
        if nodes[-1].op != "output":
            graph.output(copies[nodes[-1]])
        return graph

    def _articulations(self) -> Iterator[int]:
        """Indices of the operations whose result is the only one that is needed later."""
        at = {node: number for number, node in enumerate(self._nodes)}
        reach = 0
        for number, node in enumerate(self._nodes):
            if reach <= number:
                yield number
            reach = max([reach, *(at[user] for user in node.users)])

    def _fixed(self, node: fx.Node) -> bool:
        """It always gives the same for the same."""
        if node.op == "output":
            return False
        if any(source.op == "get_attr" and source.target in self._moving for source in node.all_input_nodes):
            return False
        if node.op != "call_module":
            return True
        path = str(node.target)
        module = self._modules[path]
        still = all(f"{path}.{name}" not in self._moving for name, _ in module.named_parameters())
        return still and not any(_varies(inner) for inner in module.modules())

    def _written_over(self, node: fx.Node) -> bool:
        """What it gives is changed in place right away: kept, it would be another one after it was used.

        Dropout does so in training alone, where each step has activations of its own.
        """
        for user in node.users:
            module = self._modules.get(str(user.target)) if user.op == "call_module" else None
            function = user.op == "call_function" and (user.kwargs.get("inplace") is True or user.target in _IN_PLACE)
            method = user.op == "call_method" and str(user.target).endswith("_")
            overwrites = getattr(module, "inplace", False) is True and not isinstance(module, _DropoutNd)
            if overwrites or function or method:
                return True
        return False

    def _path(self, at: int) -> str:
        """The highest block that is left with this operation."""
        here, after = _blocks(self._nodes[at]), _blocks(self._nodes[at + 1])
        left = [path for path in here if path not in after]
        return left[0] if left else (here[-1] if here else "")

    def _work(self, tree: LayerTree) -> list[float]:
        """Share of the forward pass that is done with each operation; what a block does itself counts where it begins."""
        seen: set[str] = set()
        done, total = 0, max(tree.root.flops, 1)
        shares = []
        for node in self._nodes:
            for path in _blocks(node):
                if path not in seen and path in tree:
                    seen.add(path)
                    done += tree[path].flops - sum(child.flops for child in tree[path].children)
            shares.append(done / total)
        return shares


def folded(half: fx.GraphModule, dtype: torch.dtype | None = None) -> fx.GraphModule:
    """`half` (in eval) with each BatchNorm worked into the convolution before it, and weights of its own as `dtype`.

    y = g (w x - m) / s + b is a convolution with w g / s: a third of the passes over memory fall away. Rounding differs.
    """
    modules = dict(half.named_modules())
    graph = half.graph
    owned: dict[str, nn.Module] = {}
    for node in list(graph.nodes):
        before = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(before, fx.Node):
            continue
        module = modules[str(node.target)]
        path = str(before.target)
        if isinstance(module, nn.BatchNorm2d) and before.op == "call_module" and len(before.users) == 1:
            conv = owned.get(path, modules[path])
            if isinstance(conv, nn.Conv2d) and _called(graph, path) == 1 and _called(graph, str(node.target)) == 1:
                owned[path] = fuse_conv_bn_eval(conv.eval(), module.eval())
                node.replace_all_uses_with(before)
                graph.erase_node(node)
    for path, module in modules.items():
        if dtype is not None and isinstance(module, nn.Conv2d | nn.Linear) and _called(graph, path):
            owned[path] = _copied(owned.get(path, module)).to(dtype)
    for path, module in owned.items():
        parent, _, name = path.rpartition(".")
        setattr(half.get_submodule(parent), name, module.requires_grad_(False))
    half.delete_all_unused_submodules()  # the norms
    half.recompile()
    return half


def digest(half: fx.GraphModule) -> str:
    """SHA-256 of what `half` does: its operations, weights and statistics."""
    found = hashlib.sha256(half.code.encode())
    found.update(tensors_digest(half.state_dict()).encode())
    for name, module in half.named_modules():
        found.update(f"{name} {module.extra_repr()}\n".encode())
    return found.hexdigest()


class _Tracer(fx.Tracer):
    """Modules without children are single operations, whoever wrote them.

    While torch.fx traces it changes what a call of any module means, in every thread of the process: a page that predicts, a
    run on another device. Those pass here; and one traces at a time, for two would not undo what they changed.
    """

    _thread = 0

    def trace(self, root: nn.Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        with _tracing:
            self._thread = threading.get_ident()
            return super().trace(root, concrete_args)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, fx.Proxy]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return next(m.children(), None) is None or super().is_leaf_module(m, module_qualified_name)


@dataclass(frozen=True, slots=True)
class _Look:
    shape: tuple[int, ...]
    dtype: torch.dtype
    channels_last: bool


class _Seen(fx.Interpreter):
    """Notes what every tensor on the way is like."""

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        super().__init__(fx.GraphModule(model, graph))
        self._found: dict[str, _Look] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            turned = (
                value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last) and not value.is_contiguous()
            )
            self._found[n.name] = _Look(tuple(value.shape), value.dtype, turned)
        return value

    def run_and_see(self, images: Tensor) -> dict[str, _Look]:
        with torch.no_grad():
            self.run(images)
        return self._found


def _blocks(node: fx.Node) -> list[str]:
    """Paths of the blocks that an operation lies in, outermost first; of itself last if it is one."""
    if node.op == "output":
        return []
    stack = node.meta.get("nn_module_stack") or {}
    paths = [str(entry[0]) for entry in stack.values()]
    if node.op == "call_module" and str(node.target) not in paths:
        paths.append(str(node.target))
    return [path for path in paths if path]


def _varies(module: nn.Module) -> bool:
    """In training it gives something else each time, or changes by itself."""
    if not module.training:
        return False
    if isinstance(module, nn.MultiheadAttention):
        return bool(module.dropout > 0)
    if isinstance(module, _DropoutNd | torchvision.ops.StochasticDepth):
        return module.p > 0
    return isinstance(module, _BatchNorm | nn.modules.instancenorm._InstanceNorm)


def _by_chance(node: fx.Node) -> bool:
    """A function, not a module, that drops something while it trains."""
    if node.op != "call_function" or node.kwargs.get("training") is False:
        return False
    chances = [value for name, value in node.kwargs.items() if name in {"p", "dropout", "attention_dropout"}]
    return any(isinstance(value, float) and value > 0 for value in chances)


def _called(graph: fx.Graph, path: str) -> int:
    return sum(1 for node in graph.nodes if node.op == "call_module" and node.target == path)


def _copied(module: nn.Module) -> nn.Module:
    """A module of its own with the same weights."""
    twin = module.__class__.__new__(module.__class__)
    twin.__dict__ = dict(module.__dict__)
    twin._parameters = {name: None if p is None else nn.Parameter(p.detach()) for name, p in module._parameters.items()}
    return twin
