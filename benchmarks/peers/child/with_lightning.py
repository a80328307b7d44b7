"""PyTorch Lightning with BaseFinetuning, after its own example of fine-tuning in computer vision.

As it comes: images squeezed to a square and mirrored, Adam, frozen blocks by `BaseFinetuning.freeze` with its default, which
lets batch norms go on learning; sanity check, progress bar, logger and checkpoints of the Trainer. Tuned: frozen batch norms
are frozen and in evaluation mode, and the Trainer does nothing beside the training.
"""

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from common import Marks, backbone, factor, frozen_modules, learning_rate, loader, share_right
from lightning.pytorch.callbacks import BaseFinetuning
from torch import nn

RATE = 1e-3


class Freezing(BaseFinetuning):
    """Freezes what does not learn, once."""

    def __init__(self, frozen: list[Any], train_bn: bool) -> None:
        super().__init__()
        self.frozen, self.train_bn = frozen, train_bn

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(self.frozen, train_bn=self.train_bn)

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        return


class Module(pl.LightningModule):
    """A network that learns to name classes."""

    def __init__(self, model: Any, frozen: list[Any], policy: dict[str, Any], rate: float, steps: int, epochs: int) -> None:
        super().__init__()
        self.model, self.policy, self.rate, self.steps, self.epochs = model, policy, rate, steps, epochs
        self.held = [] if policy["own_recipe"] else frozen
        self.right = self.total = 0
        self.marks: Any = None

    def forward(self, images: Any) -> Any:
        if self.policy["channels_last"]:
            images = images.contiguous(memory_format=torch.channels_last)
        return self.model(images)

    def on_train_epoch_start(self) -> None:
        for module in self.held:
            module.eval()

    def training_step(self, batch: Any, index: int) -> Any:
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.marks.loss()

    def validation_step(self, batch: Any, index: int) -> None:
        outputs = self(batch[0])
        right = (outputs.argmax(1) == batch[1]).sum()
        self.right, self.total = self.right + int(right), self.total + len(batch[1])
        self.log("val_acc", right / len(batch[1]), prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.marks.epoch(self.right / max(self.total, 1))
        self.right = self.total = 0

    def configure_optimizers(self) -> Any:
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if self.policy["own_recipe"]:
            return torch.optim.Adam(learning, lr=self.rate)
        optimizer = torch.optim.AdamW(learning, lr=self.rate, weight_decay=0.01, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step, self.steps, self.epochs))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Session:
    """Loaders that stay, and a new network and Trainer for every training."""

    def __init__(self, spec: dict[str, Any], policy: dict[str, Any], place: Path) -> None:
        self.spec, self.policy, self.place = spec, policy, place
        root, workers, keep = Path(spec["root"]), policy["workers"], policy["persistent"]
        self.train = loader(root / "train", policy["augment"], spec, workers, train=True, persistent=keep)
        self.val = loader(root / "val", "none", spec, workers, train=False, persistent=keep)
        self.model: Any = None

    def fit(self, what: dict[str, Any], marks: Marks) -> None:
        policy = self.policy
        pl.seed_everything(self.spec["seed"])
        model = backbone(self.spec)
        if policy["channels_last"]:
            model = model.to(memory_format=torch.channels_last)
        frozen = frozen_modules(model, what["trainable"])
        module = Module(model, frozen, policy, learning_rate(what, policy, RATE), len(self.train), what["planned"])
        module.marks = marks
        quiet = {} if policy["own_recipe"] else {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
        if not policy["own_recipe"]:
            quiet |= {"enable_progress_bar": False, "enable_model_summary": False}
        trainer = pl.Trainer(
            max_epochs=what["epochs"],
            accelerator="cpu",
            devices=1,
            precision="bf16-mixed" if policy["bf16"] else None,
            callbacks=[Freezing(frozen, train_bn=policy["own_recipe"])] if frozen else [],
            default_root_dir=str(self.place),
            **quiet,
        )
        trainer.fit(module, self.train, self.val)
        self.model = model

    def score(self) -> float:
        test = loader(Path(self.spec["root"]) / "test", "none", self.spec, self.policy["workers"], train=False)
        return share_right(self.model, test, bf16=self.policy["bf16"], channels_last=self.policy["channels_last"])


class Contender:
    """PyTorch Lightning."""

    def __init__(self, policy: dict[str, Any], scratch: Path) -> None:
        self.policy = policy

    def versions(self) -> dict[str, str]:
        return {"lightning": pl.__version__, "torch": torch.__version__}

    def open(self, spec: dict[str, Any], place: Path) -> Session:
        return Session(spec, self.policy, place)

    def decode(self, spec: dict[str, Any], place: Path) -> tuple[int, float, dict[str, Any]]:
        begin, images = time.perf_counter(), 0
        for pixels, _ in loader(Path(spec["root"]) / "train", "none", spec, self.policy["workers"], train=False):
            images += len(pixels)
        return images, time.perf_counter() - begin, {}
