"""Learner: a network on its device with the plan carried out, that takes one step at a time. Knows tensors, no data set."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from math import ceil, isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from core.augment import augment, normalised
from core.backbones import Network
from core.device import Precision, is_fault
from core.digest import tensors_digest
from core.events import Reading
from core.layers import LayerTree
from core.optim import apply_plan, load_state_by_name, make_optimizer, set_rate, state_by_name, train_mode
from core.plan import Plan
from core.recipe import Recipe
from core.seeding import number, seeded
from core.tasks import Task
from core.training.adapters import Adapters
from core.training.average import Average
from core.training.before import Before, step_unless
from core.training.instruments import Instruments
from core.training.mixing import mixed
from core.training.trunk import Outlook, outlook

NOISE, DROPOUT = 1, 2
"""Purposes of the random numbers of a step."""
PART = 16
"""Between the purposes of two parts of one batch."""
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Stepped(NamedTuple):
    """What one step says; its tensors are single numbers that are still on the device: reading one waits for it."""

    loss: Tensor
    """Mean over the images, before the step."""
    correct: Tensor
    """Right answers, before the step."""
    broken: Tensor
    """1.0 if loss or gradients were no finite numbers and nothing was learned from them, else 0.0."""
    readings: dict[str, Reading]
    """What it did to each block, if that was measured."""


class Learner:
    """What changes while a network learns: weights, their average, the optimizer's memory, the scale of fp16 gradients."""

    def __init__(
        self,
        network: Network,
        plan: Plan,
        task: Task,
        recipe: Recipe,
        *,
        device: torch.device,
        precision: Precision,
        tree: LayerTree | None = None,
        images: int = 0,
    ) -> None:
        """With a `tree` frozen blocks are set apart where that helps; `images` are those of training and validation."""
        self.network = network
        self.device = device
        self.precision = precision
        self.micro = recipe.batch_size
        """Images that go through the network at once; a step may have several such parts."""
        self._task = task
        self._tree = tree
        self._images = images
        self._recipe = recipe
        self._outlook: Outlook | None = None
        self._learning = False
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self._decides = device.type != "cpu"
        """The device says itself whether a step counts: to ask it would be to wait for it."""
        self._one, self._none = torch.ones((), device=device), torch.zeros((), device=device)
        self._adapters = Adapters(network.model, recipe.seed)
        self._start = {name: tensor.detach().clone() for name, tensor in network.model.state_dict().items()}
        self._instruments = Instruments(self._start)
        self._touched: set[str] = set()
        """Names of what has ever been allowed to change; the rest is as it was at the start."""
        self._rest: tuple[int, str] = (-1, "")
        self._average = Average(recipe.ema, self._start)
        self._carry_out(plan, {})

    def replan(self, plan: Plan) -> None:
        """Let other blocks learn, or at other rates. What the optimizer remembers of a parameter goes with its name."""
        self._carry_out(plan, state_by_name(self._optimizer))

    def _carry_out(self, plan: Plan, memory: Mapping[str, Mapping[str, Any]]) -> None:
        recipe, model = self._recipe, self.network.model
        self._plan = plan
        self._adapters.replan(plan.adapters)
        apply_plan(model, plan)
        self._optimizer = make_optimizer(
            model,
            plan,
            kind=recipe.optimizer,
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
            adapters=self._adapters.matrices,
        )
        load_state_by_name(self._optimizer, memory)
        self._learning = False
        self._outlook = None
        parameters = dict(model.named_parameters())
        learning = [name for name, parameter in parameters.items() if parameter.requires_grad]
        held = tuple(f"{path}." for path in plan.held if path)
        self._statistics = {n: b for n, b in model.named_buffers() if not n.startswith(held)} if "" not in plan.held else {}
        """Buffers that training may change."""
        self._changing = [*learning, *(adapter.parameter for adapter in plan.adapters), *self._statistics]
        self._touched |= set(self._changing)
        if self._average:
            self._average.stand_still(self._changing, self._weights())

    @property
    def outlook(self) -> Outlook:
        """What can be set apart now, while this plan holds."""
        if self._outlook is None:
            self._learning = False
            if self._tree is None:
                self._outlook = Outlook(kept=False, views=1, trunk=None)
            else:
                self._outlook = outlook(
                    self.network,
                    self._tree,
                    self._plan,
                    self._recipe,
                    images=self._images,
                    device=self.device,
                    half=HALF.get(self.precision),
                )
        return self._outlook

    def activations(self, pixels: Tensor, draws: Tensor | None) -> Tensor:
        """What the trunk gives for pixels (B, 3, R, R) uint8, changed by `draws` unless they are None. On the device."""
        trunk = self.outlook.trunk
        if trunk is None:
            raise ValueError("nothing is set apart")
        images = self._plain(pixels) if draws is None else self._changed(pixels, draws, None)
        return self.through(trunk.below, images)

    def through(self, half: fx.GraphModule, inputs: Tensor) -> Tensor:
        """`inputs` through a part of the frozen blocks, in the precision of training, without a backward pass."""
        with torch.no_grad(), self._autocast():
            found: Tensor = half(inputs)
        return found

    def set_scale(self, name: str, scale: float) -> None:
        """Let the groups called `name` learn at `scale` times the base rate from the next step on, until the next plan."""
        for group in self._optimizer.param_groups:
            if group["name"] == name:
                group["lr_scale"] = scale

    # learning

    def step(
        self, inputs: Tensor, targets: Tensor, draws: Tensor | None, *, step: int, lr: float, measured: bool = False
    ) -> Stepped:
        """One optimizer step on pixels (B, 3, R, R) uint8, all on the device. `step` (0-based) seeds noise and dropout.

        Without `draws` the inputs are activations of the trunk instead. A step whose loss or gradients are no finite numbers
        leaves weights, statistics, averages and the optimizer's memory as they were. Where memory runs out nothing has
        changed and it can be tried again.
        """
        optimizer, scaler = self._optimizer, self._scaler
        if self.outlook.trunk is None and draws is None:
            raise ValueError("nothing is set apart")
        if not self._learning:
            train_mode(self.network.model, self._plan)
            self._learning = True
        set_rate(optimizer, lr)
        statistics = Before(self._statistics.values())
        try:
            loss, correct = self._gradients(inputs, targets, draws, step)
        except (RuntimeError, MemoryError) as error:
            if is_fault(error):
                raise
            optimizer.zero_grad(set_to_none=True)
            statistics.come_back()
            raise
        if measured or self._recipe.clip_norm:
            scaler.unscale_(optimizer)
        broken = self._broken(loss)
        if measured:
            self._instruments.before(*self._weights_and_gradients())
        if self._decides:
            self._move(lr, statistics, broken)
        elif broken.item():
            self._pass_over(statistics)
        else:
            self._move(lr, None, None)
        optimizer.zero_grad(set_to_none=True)
        readings = {}
        if measured:
            readings = self._instruments.after(self._weights(), (name for name, _ in self.network.model.named_parameters()))
        return Stepped(loss, correct, broken, readings)

    def _broken(self, loss: Tensor) -> Tensor:
        """1.0 if `loss` or a gradient is no finite number, else 0.0, on the device: nobody waits for it.

        Gradients of fp16 overflow now and then in a healthy run: its scaler passes such a step over and lowers the scale, so
        that only the loss is looked at.
        """
        if self._decides:
            broken = loss.isfinite().logical_not().float()
        elif isfinite(loss.item()):  # at hand: a step on kept activations takes a third of a millisecond
            broken = self._none.clone()
        else:
            return self._one
        if not self._scaler.is_enabled():
            gradients = [p.grad for group in self._optimizer.param_groups for p in group["params"] if p.grad is not None]
            if gradients:  # one pass over them, as GradScaler makes it; times 1 they stay what they are
                torch._amp_foreach_non_finite_check_and_unscale_(gradients, broken, self._one)
        return broken

    def _pass_over(self, statistics: Before) -> None:
        """Learn nothing from gradients that are no numbers."""
        statistics.come_back()
        if self._scaler.is_enabled():  # it finds them itself, and lowers its scale
            self._scaler.step(self._optimizer)
            self._scaler.update()

    def _move(self, lr: float, statistics: Before | None, broken: Tensor | None) -> None:
        """Carry out a step whose gradients are there. With `broken` the device passes it over where that is 1.0."""
        optimizer, scaler = self._optimizer, self._scaler
        if self._recipe.clip_norm:
            everything = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(everything, self._recipe.clip_norm)
        sound = None
        if broken is not None and statistics is not None:
            statistics.come_back(broken)
            sound = 1 - broken
        self._pull(lr, sound)
        if broken is None or scaler.is_enabled():
            scaler.step(optimizer)
        else:
            step_unless(broken, optimizer)
        scaler.update()
        if self._average:
            self._average.take(self._changing, self._weights(), sound)

    def _gradients(self, inputs: Tensor, targets: Tensor, draws: Tensor | None, step: int) -> tuple[Tensor, Tensor]:
        """Add up the gradients of all parts of the batch, as if it had gone through at once (but for batch norm)."""
        parts = ceil(len(inputs) / self.micro)
        losses, corrects = [], []
        rows = [None] * parts if draws is None else torch.tensor_split(draws, parts)
        pieces = zip(torch.tensor_split(inputs, parts), torch.tensor_split(targets, parts), rows, strict=True)
        for number_, (some, wanted, changes) in enumerate(pieces):
            share = len(some) / len(inputs)
            mix = None
            if changes is not None:
                some = self._changed(some, changes, (step, number_))
                mix = mixed(
                    some,
                    mixup=self._recipe.mixup,
                    cutmix=self._recipe.cutmix,
                    key=(self._recipe.seed, step, PART * number_),
                )
            with seeded(self._recipe.seed, step, DROPOUT + PART * number_, device=self.device):
                outputs = self._forward(some if mix is None else mix.images, activations=changes is None)
                loss = self._task.loss(outputs, wanted)
                if mix is not None:
                    other = wanted[mix.partner]
                    loss = mix.share * loss + (1 - mix.share) * self._task.loss(outputs, other)
                    wanted = wanted if mix.share >= 0.5 else other
                torch.autograd.backward(self._scaler.scale(loss * share), self._spoilt(loss))
            losses.append(loss.detach() * share)
            corrects.append(self._task.correct(outputs.detach(), wanted))
        return torch.stack(losses).sum(), torch.stack(corrects).sum()

    def _spoilt(self, loss: Tensor) -> Tensor | None:
        """For a scaler, which sees gradients only: 1 to begin the backward pass with, or NaN if `loss` is no number."""
        return (loss - loss).detach() + self._one if self._scaler.is_enabled() else None

    def _forward(self, inputs: Tensor, *, activations: bool = False, averaged: bool = False) -> Tensor:
        """Images, or activations of the trunk, to class scores; below the cut nothing is kept for a backward pass."""
        trunk, half = self.outlook.trunk, self.network.model
        named = self._average.weights if averaged else self._adapters.weights() if self._adapters else {}
        if trunk is not None:
            inputs = inputs if activations else self.through(trunk.below, inputs)
            half, named = trunk.above, trunk.mine(named)
        with self._autocast():
            outputs: Tensor = functional_call(half, named, (inputs,)) if named else half(inputs)
        return outputs

    def _weights_and_gradients(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What learns before a step, adapters seen through the weights they stand for, and its gradients."""
        named = dict(self.network.model.named_parameters())
        learning = {name: p for name, p in named.items() if p.requires_grad}
        gradients = {name: p.grad for name, p in learning.items() if p.grad is not None}
        for adapter in self._plan.adapters:
            matrices = [self._adapters.matrices[name] for name in adapter.names]
            grads = [m.grad.flatten() for m in matrices if m.grad is not None]
            if grads:
                gradients[adapter.parameter] = torch.cat(grads)
        with torch.no_grad():
            return {**learning, **self._adapters.weights()}, gradients

    def _pull(self, lr: float, sound: Tensor | None) -> None:
        """L2-SP (Li, Grandvalet and Davoine 2018), decoupled from the gradient as AdamW decouples weight decay."""
        with torch.no_grad():
            for group in self._optimizer.param_groups:
                if group["pull"]:
                    for name, parameter in zip(group["names"], group["params"], strict=True):
                        share = min(1.0, lr * group["lr_scale"] * group["pull"])
                        parameter.lerp_(self._start[name], share if sound is None else share * sound)

    def _changed(self, pixels: Tensor, draws: Tensor, grain: tuple[int, int] | None) -> Tensor:
        """`grain`: step and part of the batch that seed the noise."""
        recipe, generator = self._recipe, None
        if recipe.augment.noise > 0 and grain is not None:
            step, part = grain
            generator = torch.Generator(self.device).manual_seed(number(recipe.seed, step, NOISE + PART * part))
        mean, std = self.network.mean, self.network.std
        images = augment(pixels, draws, recipe.augment, recipe.image_size, mean=mean, std=std, generator=generator)
        return images.contiguous(memory_format=torch.channels_last)

    def _autocast(self) -> AbstractContextManager[Any]:
        half = HALF.get(self.precision)
        return torch.autocast(self.device.type, dtype=half, enabled=half is not None)

    # answering

    def outputs(self, inputs: Tensor, *, activations: bool = False) -> Tensor:
        """What the network says in eval about pixels (B, 3, S, S) uint8, or about activations of the trunk.

        Class scores (B, classes) float32, on the device, in training's precision.
        """
        if self.outlook.trunk is None and activations:
            raise ValueError("nothing is set apart")
        self.network.model.eval()
        self._learning = False
        with torch.inference_mode():
            images = inputs if activations else self._plain(inputs)
            answer = self._forward(images, activations=activations, averaged=bool(self._average))
        return answer.float()

    def _plain(self, pixels: Tensor) -> Tensor:
        images = normalised(pixels, self.network.mean, self.network.std)
        return images.contiguous(memory_format=torch.channels_last)

    def finite(self) -> bool:
        """Every weight that learns is a number: only then is a state worth keeping."""
        groups = self._optimizer.param_groups
        return all(bool(parameter.isfinite().all()) for group in groups for parameter in group["params"])

    # keeping

    def _weights(self) -> dict[str, Tensor]:
        """Weights and statistics as they work, adapters added."""
        with torch.no_grad():
            return {**self.network.model.state_dict(), **self._adapters.weights()}

    def answering(self) -> dict[str, Tensor]:
        """The weights that answer: averaged, or with the adapters added. On the device, and not to be changed."""
        return dict(self._average.weights) or self._weights()

    def state(self) -> dict[str, Any]:
        """All that ever changed, on the CPU, as a checkpoint holds it. Noise and dropout follow from seed and step."""
        weights = self.network.model.state_dict()
        return {
            "model": {name: weights[name].detach().cpu() for name in weights if name in self._touched},
            "untouched": self.untouched_digest(),
            "adapters": self._adapters.state(),
            "average": {name: tensor.cpu() for name, tensor in self._average.weights.items() if name in self._touched},
            "averaged_steps": self._average.steps,
            "optimizer": {name: _on_cpu(memory) for name, memory in state_by_name(self._optimizer).items()},
            "scaler": self._scaler.state_dict(),
            "micro": self.micro,
        }

    def untouched(self) -> dict[str, Tensor]:
        """Weights and statistics that are as they were at the start, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self._start.items() if name not in self._touched}

    def untouched_digest(self) -> str:
        """SHA-256 of these; a `state` does not hold them."""
        if self._rest[0] != len(self._touched):  # names are only ever added
            self._rest = len(self._touched), tensors_digest(self.untouched())
        return self._rest[1]

    def touch(self, names: Iterable[str]) -> None:
        """These have changed before."""
        self._touched |= set(names)

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take these for what there was at the start. To be called before `load`."""
        for name, tensor in weights.items():
            self._start[name].copy_(tensor)
        self._rest = (-1, "")

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of the same plan. Raises RuntimeError or KeyError if it belongs to another network."""
        model = self.network.model
        self.touch(state["model"])
        weights = {**self._start, **state["model"]}
        if self._outlook is not None and self._outlook.trunk is not None:
            now, above = model.state_dict(), self._outlook.trunk.names
            if any(not torch.equal(now[name].cpu(), weights[name].cpu()) for name in now.keys() - above):
                self._outlook = None
        model.load_state_dict(weights)
        self._adapters.load(state["adapters"])
        self._average.load(state["average"], state["averaged_steps"], self._start)
        load_state_by_name(self._optimizer, state["optimizer"])
        self.micro = state["micro"]
        if self._scaler.is_enabled() and state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])

    def load_final(self, state: dict[str, Any]) -> None:
        """Take over the weights that a `state` would be kept for: averaged, or with the adapters added.

        Afterwards it learns no more. Raises RuntimeError if it belongs to another network.
        """
        model = self.network.model
        model.load_state_dict({**self._start, **(state["average"] or state["model"])})
        if state["adapters"] and not state["average"]:
            self._adapters.load(state["adapters"])
            self._adapters.replan(())

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """Whatever is learned inside is forgotten to the bit: weights, statistics, the optimizer's memory, averages."""
        before, sound = _cloned(self.state()), True
        try:
            yield
        except RuntimeError as error:
            sound = not is_fault(error)
            raise
        finally:
            if sound:
                self._optimizer.state.clear()
                self.load(before)


def _cloned(thing: Any) -> Any:
    if isinstance(thing, Tensor):
        return thing.clone()
    return {key: _cloned(value) for key, value in thing.items()} if isinstance(thing, dict) else thing


def _on_cpu(memory: dict[str, Any]) -> dict[str, Any]:
    return {key: value.detach().cpu() if isinstance(value, Tensor) else value for key, value in memory.items()}
