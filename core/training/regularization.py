"""Regularization inside the network: blocks skipped by chance, features hidden from the head. Nothing of it is saved."""

from torch import Tensor, nn
from torch.nn import functional as F

from core.eager import torchvision


def set_stochastic_depth(model: nn.Module, last: float) -> bool:
    """Let blocks be skipped with a chance that grows evenly to `last` at the last one (Huang et al. 2016, section 3).

    False if the network has no blocks that can be skipped: nothing is changed then.
    """
    skips = [module for module in model.modules() if isinstance(module, torchvision.ops.StochasticDepth)]
    for number, skip in enumerate(skips, 1):
        skip.p = last * number / len(skips)
    return bool(skips)


def set_head_dropout(head: nn.Module, share: float) -> None:
    """Hide a random `share` of the features from `head` while it learns (Srivastava et al. 2014)."""

    def hide(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (F.dropout(inputs[0], share, module.training), *inputs[1:])

    head.register_forward_pre_hook(hide)
