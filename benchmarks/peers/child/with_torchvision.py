"""torchvision's reference recipe for classification, from its documented defaults: the script itself is in no wheel.

RandomResizedCrop and mirror; SGD with momentum 0.9 and decay 1e-4, a tenth of the rate every 30 epochs; loss and accuracy
read and shown at every step; evaluation and a checkpoint after every epoch. Its rate of 0.1 is meant for 8 x 32 images and
is scaled to 32. Blocks are frozen by `requires_grad`, as in torchvision's tutorial on transfer learning.
"""

import time
from collections import deque
from pathlib import Path
from typing import Any

import torch
import torchvision
from common import Marks, backbone, factor, frozen_modules, learning_rate, loader, share_right
from torch import nn

RATE, PRINT_EVERY = 0.1 / 8, 10


class Session:
    """Loaders that stay, and a new network for every training."""

    def __init__(self, spec: dict[str, Any], policy: dict[str, Any], place: Path) -> None:
        torch.manual_seed(spec["seed"])
        self.spec, self.policy, self.place = spec, policy, place
        root, workers, keep = Path(spec["root"]), policy["workers"], policy["persistent"]
        evaluated = "margin" if policy["own_recipe"] else "none"
        self.train = loader(root / "train", policy["augment"], spec, workers, train=True, persistent=keep)
        self.val = loader(root / "val", evaluated, spec, workers, train=False, persistent=keep)
        self.evaluated = evaluated
        self.model: Any = None

    def fit(self, what: dict[str, Any], marks: Marks) -> None:
        policy = self.policy
        torch.manual_seed(self.spec["seed"])
        model = backbone(self.spec)
        if policy["channels_last"]:
            model = model.to(memory_format=torch.channels_last)
        frozen = frozen_modules(model, what["trainable"])
        for module in frozen:
            module.requires_grad_(False)
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        rate, steps = learning_rate(what, policy, RATE), len(self.train)
        if policy["own_recipe"]:
            optimizer: Any = torch.optim.SGD(learning, lr=rate, momentum=0.9, weight_decay=1e-4)
            schedule: Any = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)
        else:
            optimizer = torch.optim.AdamW(learning, lr=rate, weight_decay=0.01, fused=True)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step, steps, what["planned"]))
        criterion = nn.CrossEntropyLoss()
        for epoch in range(what["epochs"]):
            self._epoch(model, frozen, criterion, optimizer, schedule, marks)
            if policy["own_recipe"]:
                schedule.step()
            marks.epoch(share_right(model, self.val, bf16=policy["bf16"], channels_last=policy["channels_last"]))
            if policy["own_recipe"]:
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
                torch.save(state, self.place / "checkpoint.pth")
        self.model = model

    def _epoch(self, model: Any, frozen: list[Any], criterion: Any, optimizer: Any, schedule: Any, marks: Marks) -> None:
        policy = self.policy
        model.train()
        if not policy["own_recipe"]:
            for module in frozen:
                module.eval()
        window: deque[tuple[float, float]] = deque(maxlen=20)
        begin = time.time()
        for step, (images, labels) in enumerate(self.train):
            if policy["channels_last"]:
                images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=policy["bf16"]):
                output = model(images)
                loss = criterion(output, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if not policy["own_recipe"]:
                schedule.step()
            right = float((output.argmax(1) == labels).float().mean())
            window.append((loss.item(), right))
            marks.loss()
            if step % PRINT_EVERY == 0:
                print(step, window[-1], len(labels) / max(time.time() - begin, 1e-9), flush=True)

    def score(self) -> float:
        test = loader(Path(self.spec["root"]) / "test", self.evaluated, self.spec, self.policy["workers"], train=False)
        return share_right(self.model, test, bf16=self.policy["bf16"], channels_last=self.policy["channels_last"])


class Contender:
    """torchvision's reference recipe."""

    def __init__(self, policy: dict[str, Any], scratch: Path) -> None:
        self.policy = policy

    def versions(self) -> dict[str, str]:
        return {"torchvision": torchvision.__version__, "torch": torch.__version__}

    def open(self, spec: dict[str, Any], place: Path) -> Session:
        return Session(spec, self.policy, place)

    def decode(self, spec: dict[str, Any], place: Path) -> tuple[int, float, dict[str, Any]]:
        begin, images = time.perf_counter(), 0
        kind = "margin" if self.policy["own_recipe"] else "none"
        for pixels, _ in loader(Path(spec["root"]) / "train", kind, spec, self.policy["workers"], train=False):
            images += len(pixels)
        return images, time.perf_counter() - begin, {}
