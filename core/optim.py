"""Plan to optimizer. Knows parameters by name; nothing of images."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from core.eager import torch
from core.plan import Plan

Kind = Literal["sgd", "adam", "adamw", "rmsprop"]


def apply_plan(model: nn.Module, plan: Plan) -> None:
    """Set `requires_grad` of every parameter as `plan` says. Raises ValueError if the two do not name the same ones."""
    learning = {name for group in plan.groups for name in group.parameters}
    learning -= {name for adapter in plan.adapters for name in adapter.names}
    named = dict(model.named_parameters())
    if odd := named.keys() ^ (learning | plan.frozen):
        raise ValueError(f"plan and network disagree about {sorted(odd)[:5]}")
    for name, parameter in named.items():
        parameter.requires_grad_(name in learning)


def train_mode(model: nn.Module, plan: Plan) -> None:
    """Training mode everywhere but in the held blocks: their running statistics stay and their dropout is off.

    `requires_grad=False` alone would let the statistics of a frozen BatchNorm drift with every batch.
    """
    model.train()
    for path in plan.held:
        model.get_submodule(path).eval()


def make_optimizer(
    model: nn.Module,
    plan: Plan,
    *,
    kind: Kind,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool = False,
    adapters: Mapping[str, nn.Parameter] | None = None,
) -> torch.optim.Optimizer:
    """An optimizer over exactly the parameters that learn, in the groups of `plan`; frozen ones never enter it.

    Each group keeps `name`, `names`, `lr_scale` and `pull`; weight decay applies only where the group says so. For AdamW it
    is decoupled (Loshchilov & Hutter 2019), for the others the L2 term of the gradient. `adapters` are the matrices that the
    plan names and the model does not hold. The fused kernels take a third of the loop's time on a CPU, too.
    """
    named = {**dict(model.named_parameters()), **(adapters or {})}
    groups: list[dict[str, Any]] = [
        {
            "params": [named[name] for name in group.parameters],
            "name": group.name,
            "names": list(group.parameters),
            "lr_scale": group.lr_scale,
            "pull": group.pull,
            "lr": lr * group.lr_scale,
            "weight_decay": weight_decay if group.decay else 0.0,
        }
        for group in plan.groups
    ]
    fused = next(model.parameters()).device.type in {"cpu", "cuda"}
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov and momentum > 0, fused=fused)
    if kind == "rmsprop":
        return torch.optim.RMSprop(groups, lr=lr, momentum=momentum)
    if kind == "adam":
        return torch.optim.Adam(groups, lr=lr, fused=fused)
    return torch.optim.AdamW(groups, lr=lr, fused=fused)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group `lr` times its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def state_by_name(optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    """The optimizer's memory of each parameter under the parameter's name: tensors that are its own, not copies."""
    return {
        name: dict(optimizer.state[parameter])
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
        if parameter in optimizer.state
    }


def load_state_by_name(optimizer: torch.optim.Optimizer, state: Mapping[str, Mapping[str, Any]]) -> None:
    """Put back what `state_by_name` gave; names that the optimizer does not hold are left out.

    SGD cannot go on with memories of some parameters only: the others get a momentum of 0, with which they begin anyway. So
    do all of a new one, for torch leaves a momentum unwritten memory where a GPU passes over the first step.
    """
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            if name in state:
                optimizer.state[parameter] = {key: _placed(key, value, parameter) for key, value in state[name].items()}
            elif isinstance(optimizer, torch.optim.SGD) and group["momentum"]:
                optimizer.state[parameter] = {"momentum_buffer": torch.zeros_like(parameter, requires_grad=False)}


def _placed(key: str, value: Any, parameter: torch.Tensor) -> Any:
    """Moments lie as their parameter does; the step counter stays a float32 number, on the device only when fused there."""
    if not isinstance(value, torch.Tensor):
        return value
    if key == "step":
        return value.clone().to(parameter.device if parameter.is_cuda else "cpu")
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
