"""Learner: a network on its device with the plan carried out, that takes one step at a time. Knows tensors, no data set."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from core.augment import augment, normalised
from core.backbones import Network
from core.device import Precision
from core.optim import load_state_by_name, set_rate, state_by_name, train_mode
from core.plan import Plan
from core.recipe import Augment
from core.seeding import number, seeded
from core.tasks import Task

NOISE, DROPOUT = 1, 2
"""Purposes of the random numbers of a step."""
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Learner:
    """What changes while a network learns: its weights, the optimizer's memory, the scale of fp16 gradients."""

    def __init__(
        self,
        network: Network,
        plan: Plan,
        task: Task,
        optimizer: torch.optim.Optimizer,
        *,
        device: torch.device,
        precision: Precision,
        choice: Augment,
        image_size: int,
        seed: int,
    ) -> None:
        self.network = network
        self.device = device
        self.precision = precision
        self._plan = plan
        self._task = task
        self._optimizer = optimizer
        self._choice = choice
        self._size = image_size
        self._seed = seed
        self._learning = False
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def step(self, pixels: Tensor, targets: Tensor, draws: Tensor, *, step: int, lr: float) -> tuple[Tensor, Tensor]:
        """One optimizer step on pixels (B, 3, R, R) uint8, all on the device. `step` (0-based) seeds noise and dropout.

        Gives loss and number of right answers, both before the step and still on the device: reading them waits for it.
        """
        network, optimizer, scaler = self.network, self._optimizer, self._scaler
        if not self._learning:
            train_mode(network.model, self._plan)
            self._learning = True
        set_rate(optimizer, lr)
        images = self._changed(pixels, draws, step)
        with seeded(self._seed, step, DROPOUT, device=self.device):
            with self._autocast():
                outputs = network.model(images)
            loss = self._task.loss(outputs, targets)
            torch.autograd.backward(scaler.scale(loss))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach(), self._task.correct(outputs.detach(), targets)

    def outputs(self, pixels: Tensor) -> Tensor:
        """What the network says in eval about pixels (B, 3, S, S) uint8: float32, on the device, in training's precision."""
        self.network.model.eval()
        self._learning = False
        with torch.inference_mode(), self._autocast():
            images = normalised(pixels, self.network.mean, self.network.std)
            answer: Tensor = self.network.model(images.contiguous(memory_format=torch.channels_last)).float()
        return answer

    def finite(self) -> bool:
        """Every weight that learns is a number: only then is a state worth keeping."""
        groups = self._optimizer.param_groups
        return all(bool(parameter.isfinite().all()) for group in groups for parameter in group["params"])

    def state(self) -> dict[str, Any]:
        """All of it, on the CPU, as a checkpoint holds it. Noise and dropout follow from seed and step."""
        return {
            "model": {name: tensor.detach().cpu() for name, tensor in self.network.model.state_dict().items()},
            "optimizer": {name: _on_cpu(memory) for name, memory in state_by_name(self._optimizer).items()},
            "scaler": self._scaler.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state`. Raises RuntimeError if it belongs to another network."""
        self.load_weights(state)
        load_state_by_name(self._optimizer, state["optimizer"])
        if self._scaler.is_enabled() and state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])

    def load_weights(self, state: dict[str, Any]) -> None:
        """Only the weights and statistics of a `state`. Raises RuntimeError if it belongs to another network."""
        self.network.model.load_state_dict(state["model"])

    def _changed(self, pixels: Tensor, draws: Tensor, step: int) -> Tensor:
        generator = None
        if self._choice.noise > 0:
            generator = torch.Generator(self.device).manual_seed(number(self._seed, step, NOISE))
        mean, std = self.network.mean, self.network.std
        images = augment(pixels, draws, self._choice, self._size, mean=mean, std=std, generator=generator)
        return images.contiguous(memory_format=torch.channels_last)

    def _autocast(self) -> AbstractContextManager[Any]:
        half = HALF.get(self.precision)
        return torch.autocast(self.device.type, dtype=half, enabled=half is not None)


def _on_cpu(memory: dict[str, Any]) -> dict[str, Any]:
    return {key: value.detach().cpu() if isinstance(value, Tensor) else value for key, value in memory.items()}
