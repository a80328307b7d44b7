"""fastai, after its own quick start: `vision_learner`, `Resize`, freezing by parameter groups, `fit_one_cycle`.

As it comes: fastai's own head (two linear layers) upon the common trunk, batch norms of frozen blocks go on learning,
progress bar. Tuned: one linear head as everyone has, frozen batch norms are frozen, bf16 by a callback of ours
(fastai's own is for CUDA only), channels_last by fastai's callback.
"""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import fastai
import torch
from common import MEAN, STD, Marks, backbone, frozen_modules, learning_rate
from fastai.callback.channelslast import ChannelsLast
from fastai.vision.all import (
    Callback,
    CancelFitException,
    CrossEntropyLossFlat,
    FlipItem,
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    accuracy,
    get_image_files,
    set_seed,
    vision_learner,
)

RATE = 1e-3
TRUNK = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
"""Where the parts of a ResNet are in fastai's body."""


class Watch(Callback):
    """Tells when the first loss and each epoch were there; ends early where only a part is measured."""

    order = 80

    def __init__(self, marks: Marks, epochs: int) -> None:
        self.marks, self.epochs = marks, epochs

    def after_batch(self) -> None:
        if self.training:
            self.marks.loss()

    def after_epoch(self) -> None:
        self.marks.epoch(float(self.recorder.values[-1][-1]))
        if self.epoch + 1 >= self.epochs < self.n_epoch:
            raise CancelFitException


class Bf16(Callback):
    """bfloat16 where it is safe, on a CPU."""

    order = 10

    def before_batch(self) -> None:
        self.context = torch.autocast("cpu", torch.bfloat16)
        self.context.__enter__()  # type: ignore[no-untyped-call]

    def after_pred(self) -> None:
        self.context.__exit__(None, None, None)
        self.learn.pred = self.pred.float()


class Hold(Callback):
    """Keeps frozen blocks in evaluation mode."""

    order = 5

    def __init__(self, frozen: list[Any]) -> None:
        self.frozen = frozen

    def before_train(self) -> None:
        for module in self.frozen:
            module.eval()


class Session:
    """DataLoaders that stay, and a new Learner for every training."""

    def __init__(self, spec: dict[str, Any], policy: dict[str, Any], place: Path) -> None:
        self.spec, self.policy, self.place = spec, policy, place
        item = [Resize(spec["size"])]
        if policy["augment"] == "flip":
            item.append(FlipItem(0.5))
        self.loaders = ImageDataLoaders.from_folder(
            spec["root"],
            train="train",
            valid="val",
            item_tfms=item,
            batch_tfms=[Normalize.from_stats(MEAN, STD)],
            bs=spec["batch"],
            num_workers=policy["workers"],
        )
        self.learner: Any = None

    def fit(self, what: dict[str, Any], marks: Marks) -> None:
        policy, spec = self.policy, self.spec
        set_seed(spec["seed"])
        rate = learning_rate(what, policy, RATE)
        learner = self._own(what) if policy["own_recipe"] else self._plain(what)
        if what["trainable"] is None:
            learner.unfreeze()
        else:
            learner.freeze()
        watch = Watch(marks, what["epochs"])
        learner.add_cb(watch)
        with nullcontext() if policy["own_recipe"] else learner.no_bar():
            learner.fit_one_cycle(what["planned"], rate)
        learner.remove_cb(watch)
        self.learner = learner

    def _own(self, what: dict[str, Any]) -> Any:
        """fastai's network; its last group is what learns."""
        trainable = what["trainable"] or []

        def arch(pretrained: bool = True) -> Any:
            return backbone(self.spec)

        def groups(model: Any) -> list[Any]:
            parts = [_inside(model[0], path) for path in trainable if path.split(".")[0] in TRUNK]
            learning = [p for part in [*parts, model[1]] for p in part.parameters()]
            known = {id(p) for p in learning}
            return [[p for p in model.parameters() if id(p) not in known], learning]

        return vision_learner(
            self.loaders, arch, splitter=groups, metrics=accuracy, path=self.place, loss_func=CrossEntropyLossFlat()
        )

    def _plain(self, what: dict[str, Any]) -> Any:
        """The network that everyone has."""
        model = backbone(self.spec)
        frozen = frozen_modules(model, what["trainable"])
        still = {id(p) for module in frozen for p in module.parameters()}

        def groups(model: Any) -> list[Any]:
            parameters = list(model.parameters())
            return [[p for p in parameters if id(p) in still], [p for p in parameters if id(p) not in still]]

        callbacks: list[Callback] = [Hold(frozen)]
        if self.policy["channels_last"]:
            callbacks.append(ChannelsLast())
        if self.policy["bf16"]:
            callbacks.append(Bf16())
        return Learner(
            self.loaders,
            model,
            loss_func=CrossEntropyLossFlat(),
            splitter=groups,
            metrics=accuracy,
            cbs=callbacks,
            path=self.place,
            train_bn=False,
        )

    def score(self) -> float:
        files = get_image_files(Path(self.spec["root"]) / "test")
        batches = self.loaders.test_dl(files)
        with self.learner.no_bar():
            answers: list[int] = self.learner.get_preds(dl=batches)[0].argmax(1).tolist()
        said = [self.loaders.vocab[answer] for answer in answers]
        right = [bool(one == file.parent.name) for one, file in zip(said, files, strict=True)]
        return sum(right) / max(len(files), 1)


def _inside(body: Any, path: str) -> Any:
    first, *rest = path.split(".")
    module: Any = body.get_submodule(".".join([TRUNK[first], *rest]))
    return module


class Contender:
    """fastai."""

    def __init__(self, policy: dict[str, Any], scratch: Path) -> None:
        self.policy = policy

    def versions(self) -> dict[str, str]:
        return {"fastai": fastai.__version__, "torch": torch.__version__}

    def open(self, spec: dict[str, Any], place: Path) -> Session:
        return Session(spec, self.policy, place)

    def decode(self, spec: dict[str, Any], place: Path) -> tuple[int, float, dict[str, Any]]:
        session = Session(spec, self.policy, place)
        begin, images = time.perf_counter(), 0
        for pixels, *_ in session.loaders.test_dl(get_image_files(Path(spec["root"]) / "train")):
            images += len(pixels)
        return images, time.perf_counter() - begin, {}
