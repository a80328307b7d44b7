"""Low-rank adapters beside frozen weights: W + SCALE * up @ down, of which only the two small matrices learn.

The network itself is never changed: its forward pass is given the sums in place of its weights, so this works for linear
layers, convolutions and attention alike. LoRA: Hu et al. 2022, section 4.
"""

import math
from collections.abc import Iterable, Mapping
from zlib import crc32

import torch
from torch import Tensor, nn

from core.plan import Adapter
from core.seeding import number

SCALE = 2.0
"""Of the product: alpha / r, for which alpha = 2 r is the usual choice."""
PURPOSE = 5
"""Of the random numbers of new matrices."""


class Adapters:
    """The matrices of all adapters of one network, by name."""

    def __init__(self, model: nn.Module, seed: int) -> None:
        self._model = model
        self._seed = seed
        self._made: tuple[Adapter, ...] = ()
        self.matrices: dict[str, nn.Parameter] = {}

    def __bool__(self) -> bool:
        return bool(self._made)

    def replan(self, wanted: Iterable[Adapter]) -> None:
        """Have exactly the adapters `wanted`: new ones change nothing yet, those that go are added to their weights."""
        wanted = tuple(wanted)
        weights = dict(self._model.named_parameters())
        with torch.no_grad():
            for gone in set(self._made) - set(wanted):
                weights[gone.parameter].add_(self._product(gone, weights[gone.parameter]))
                for name in gone.names:
                    del self.matrices[name]
        for new in wanted:
            if new in self._made:
                continue
            weight = weights[new.parameter]
            generator = torch.Generator().manual_seed(number(self._seed, PURPOSE, crc32(new.parameter.encode())))
            down = torch.empty(new.rank, new.columns)
            nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
            for name, start in zip(new.names, (down, torch.zeros(new.rows, new.rank)), strict=True):
                self.matrices[name] = nn.Parameter(start.to(weight.device))
        self._made = wanted

    def weights(self) -> dict[str, Tensor]:
        """The sums, by the names of the weights that they stand for. Gradients flow into the matrices."""
        weights = dict(self._model.named_parameters())
        return {one.parameter: weights[one.parameter] + self._product(one, weights[one.parameter]) for one in self._made}

    def state(self) -> dict[str, Tensor]:
        """The matrices on the CPU, as a checkpoint holds them."""
        return {name: matrix.detach().cpu() for name, matrix in self.matrices.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Have exactly the adapters that `state` gave, with their numbers; matrices that are here stay the same objects."""
        made = []
        for name in (key for key in state if key.endswith(".lora_down")):
            parameter = name.removesuffix(".lora_down")
            (rank, columns), rows = state[name].shape, state[f"{parameter}.lora_up"].shape[0]
            made.append(Adapter(parameter, rank, rows, columns))
        device = next(self._model.parameters()).device
        for name in self.matrices.keys() - state.keys():
            del self.matrices[name]
        with torch.no_grad():
            for name, numbers in state.items():
                if name not in self.matrices or self.matrices[name].shape != numbers.shape:
                    self.matrices[name] = nn.Parameter(torch.empty_like(numbers, device=device))
                self.matrices[name].copy_(numbers)
        self._made = tuple(made)

    def _product(self, adapter: Adapter, weight: Tensor) -> Tensor:
        down, up = (self.matrices[name] for name in adapter.names)
        product = (SCALE * (up @ down)).view(weight.shape)
        return product.contiguous(memory_format=torch.channels_last) if weight.dim() == 4 else product
