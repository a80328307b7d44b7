"""Before: copies of tensors from before a step, which come back if the step did not count. Knows no network.

Whether it counted may be a number that only a GPU knows: then the GPU chooses, and nobody waits for it.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor


class Before:
    """What `tensors` of one device hold now. Tensors of one kind lie in one copy: many small ones cost as much as one."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._tensors: dict[torch.dtype, list[Tensor]] = defaultdict(list)
        for tensor in tensors:
            self._tensors[tensor.dtype].append(tensor.detach())
        self._copies = {dtype: _flat(some) for dtype, some in self._tensors.items()}

    def come_back(self, broken: Tensor | None = None) -> None:
        """Put all of it back to the bit; with `broken`, one number on the device, only where that is not 0."""
        with torch.no_grad():
            for dtype, some in self._tensors.items():
                kept = self._copies[dtype]
                if broken is not None:
                    kept = torch.where(broken != 0, kept, _flat(some))
                pieces = torch.split(kept, [tensor.numel() for tensor in some])
                torch._foreach_copy_(some, [piece.view(to.shape) for piece, to in zip(pieces, some, strict=True)])


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def step_unless(broken: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """A step of `optimizer` that changes nothing where `broken`, one number on the device of its weights, is not 0."""
    if optimizer.defaults.get("fused"):  # its kernels look at it, as they do for a GradScaler
        optimizer.found_inf = broken  # type: ignore[attr-defined]
        optimizer.step()
        del optimizer.found_inf  # type: ignore[attr-defined]
        return
    weights = [parameter for group in optimizer.param_groups for parameter in group["params"] if parameter.grad is not None]
    remembered = _memory(optimizer, broken.device)
    before = Before([*weights, *remembered.values()])
    optimizer.step()
    before.come_back(broken)
    for key, tensor in _memory(optimizer, broken.device).items():
        if key not in remembered:  # of a first step: what it began from was 0
            tensor.masked_fill_(broken != 0, 0)


def _memory(optimizer: torch.optim.Optimizer, device: torch.device) -> dict[int, Tensor]:
    """What the optimizer remembers there. Steps that it counts elsewhere go on."""
    found = [value for memory in optimizer.state.values() for value in memory.values() if isinstance(value, Tensor)]
    return {id(value): value for value in found if value.device == device}
