"""timm's training script, from its factories: the script itself is in no wheel, its loop is written anew here.

Data set, loader with prefetcher, model, optimizer and schedule come from timm with the defaults of its script: mirror, crops
of 8 to 100 % of the area, colour jitter 0.4, bicubic or bilinear at random; SGD with momentum 0.9 and decay 2e-5, 0.1
for 256 images; cosine with 5 epochs of warm-up; a checkpoint after every epoch. Blocks are frozen with `timm.utils.freeze`.
"""

import time
from pathlib import Path
from typing import Any

import timm
import torch
from common import STAGES, Marks, factor, frozen_modules, learning_rate, load_weights
from timm.data import create_dataset, create_loader
from timm.models.resnet import BasicBlock, ResNet
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, CheckpointSaver, accuracy
from timm.utils import freeze as timm_freeze
from torch import nn

RATE_OF_256 = 0.1
LOG_EVERY = 50


class Session:
    """Loaders that stay, and a new network for every training."""

    def __init__(self, spec: dict[str, Any], policy: dict[str, Any], place: Path) -> None:
        torch.manual_seed(spec["seed"])
        self.spec, self.policy, self.place = spec, policy, place
        self.train = self.loader("train", train=True)
        self.val = self.loader("val", train=False)
        self.model: Any = None

    def loader(self, part: str, *, train: bool) -> Any:
        policy, size = self.policy, self.spec["size"]
        own = policy["own_recipe"]
        augment = {
            "is_training": True,
            "no_aug": policy["augment"] == "none",
            "hflip": 0.5,
            "color_jitter": 0.4 if own else 0.0,
            "scale": (0.08, 1.0) if own else (1.0, 1.0),
            "ratio": (3 / 4, 4 / 3) if own else (1.0, 1.0),
            "interpolation": "random" if own else "bilinear",
        }
        evaluated = {
            "is_training": False,
            "interpolation": "bicubic" if own else "bilinear",
            "crop_pct": 0.875 if own else 1.0,
        }
        return create_loader(
            create_dataset("", root=self.spec["root"], split=part),
            input_size=(3, size, size),
            batch_size=self.spec["batch"],
            num_workers=policy["workers"],
            persistent_workers=policy["workers"] > 0,
            device=torch.device("cpu"),
            **(augment if train else evaluated),
        )

    def build(self) -> Any:
        spec = self.spec
        if spec["backbone"] == "resnet18":
            model = timm.create_model("resnet18", pretrained=False, num_classes=spec["classes"])
        else:
            model = ResNet(BasicBlock, STAGES[spec["backbone"]], num_classes=spec["classes"])
        load_weights(model, spec["weights"])
        return model

    def fit(self, what: dict[str, Any], marks: Marks) -> None:
        policy, spec = self.policy, self.spec
        torch.manual_seed(spec["seed"])
        model = self.build()
        if what["trainable"] is not None:
            gone = {id(module) for module in frozen_modules(model, what["trainable"])}
            timm_freeze(model, [name for name, module in model.named_modules() if id(module) in gone])
        if policy["channels_last"]:
            model = model.to(memory_format=torch.channels_last)
        rate = learning_rate(what, policy, RATE_OF_256 * spec["batch"] / 256)
        steps, epochs = len(self.train), what["planned"]
        if policy["own_recipe"]:
            optimizer = create_optimizer_v2(model, opt="sgd", lr=rate, weight_decay=2e-5, momentum=0.9)
            warmup = min(5, epochs - 1)
            schedule: Any = create_scheduler_v2(optimizer, "cosine", num_epochs=epochs, warmup_epochs=warmup)[0]
        else:
            optimizer = create_optimizer_v2(model, opt="adamw", lr=rate, weight_decay=0.01, fused=True)
            schedule = None
        saver = None
        if policy["own_recipe"]:
            saver = CheckpointSaver(model=model, optimizer=optimizer, checkpoint_dir=str(self.place), max_history=10)
        criterion = nn.CrossEntropyLoss()
        for epoch in range(what["epochs"]):
            self._epoch(model, criterion, optimizer, (epoch * steps, steps, epochs, rate), marks)
            top1 = self._validated(model, self.val)
            if saver is not None:
                saver.save_checkpoint(epoch, metric=top1)
            if schedule is not None:
                schedule.step(epoch + 1, top1)
            marks.epoch(top1)
        self.model = model

    def _epoch(self, model: Any, criterion: Any, optimizer: Any, at: tuple[int, int, int, float], marks: Marks) -> None:
        policy, losses = self.policy, AverageMeter()
        before, steps, epochs, rate = at
        model.train()
        for step, (images, labels) in enumerate(self.train):
            if policy["channels_last"]:
                images = images.contiguous(memory_format=torch.channels_last)
            if not policy["own_recipe"]:
                for group in optimizer.param_groups:
                    group["lr"] = rate * factor(before + step, steps, epochs)
            with torch.autocast("cpu", torch.bfloat16, enabled=policy["bf16"]):
                loss = criterion(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % LOG_EVERY == 0:
                losses.update(loss.item(), len(labels))
                print(step, losses.val, losses.avg, flush=True)
            marks.loss()

    def _validated(self, model: Any, batches: Any) -> float:
        top1 = AverageMeter()
        model.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.policy["bf16"]):
            for images, labels in batches:
                if self.policy["channels_last"]:
                    images = images.contiguous(memory_format=torch.channels_last)
                top1.update(accuracy(model(images), labels)[0].item(), len(labels))
        return float(top1.avg) / 100

    def score(self) -> float:
        return self._validated(self.model, self.loader("test", train=False))


class Contender:
    """timm."""

    def __init__(self, policy: dict[str, Any], scratch: Path) -> None:
        self.policy = policy

    def versions(self) -> dict[str, str]:
        return {"timm": timm.__version__, "torch": torch.__version__}

    def open(self, spec: dict[str, Any], place: Path) -> Session:
        return Session(spec, self.policy, place)

    def decode(self, spec: dict[str, Any], place: Path) -> tuple[int, float, dict[str, Any]]:
        session = Session(spec, self.policy, place)
        begin, images = time.perf_counter(), 0
        for pixels, _ in session.loader("train", train=False):
            images += len(pixels)
        return images, time.perf_counter() - begin, {}
