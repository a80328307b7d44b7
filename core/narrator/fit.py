"""What validation says: learned by heart, always the same answer, or well learned."""

from collections.abc import Sequence
from statistics import fmean
from typing import Final

from core.events import EpochDone
from core.narrator.pitfalls import FEW_IMAGES, MOST, NARROW
from core.narrator.remark import Action, Remark, Severity, nats, percent
from core.narrator.seen import NO_BETTER, SHARPLY, Seen, sluggish, val_losses
from core.recipe import AUGMENT_PRESETS, Augment
from core.words import Value

OVERFIT_EPOCHS: Final = 3
"""Since the lowest validation loss: one or two happen by noise (Prechelt 1998, "Early stopping - but when?")."""
OVERFIT_RISE: Final = 0.1
"""Of validation loss over its lowest. Prechelt stops at 1 to 5 per cent; a warning may wait until it is plain."""
OVERFIT_LEAST: Final = 0.03
"""Nats; less is nothing where the loss is almost zero."""
OVERFIT_FALL: Final = 0.95
"""Of training loss since: it is still being driven down."""
ACCURACY_GAIN: Final = 0.01
"""While validation loss rises: the model gets no worse, only too sure (Guo et al. 2017, section 3)."""
GAP: Final = 0.15
"""Between training and validation accuracy: what was learned does not carry over."""
GAP_EPOCH: Final = 3
"""From here on the gap is looked at."""
ONE_CLASS: Final = 1.1
"""Of the macro-F1 that always naming one class has at this accuracy."""
UNEVEN_SHARE: Final = 1.5
"""Of 1/C: the one class is one that is frequent."""
LEARNED: Final = 0.01
"""Of the losses from epoch to epoch: less is no learning well."""
FRAMES: Final = 4
"""Of the film strip at least, before it can contradict."""


def one_class(seen: Seen) -> Remark | None:
    """Accuracy and macro-F1 are those of always naming one class, twice running, and the film does not contradict."""
    last = seen.fresh[-2:]
    if len(last) < 2 or not all(_names_one(epoch, seen) for epoch in last):
        return None
    accuracy, f1 = last[-1].val_accuracy or 0.0, last[-1].val_macro_f1 or 0.0
    values: dict[str, Value] = {"accuracy": percent(accuracy), "f1": f"{f1:.2f}", "classes": seen.classes}
    if accuracy > UNEVEN_SHARE / seen.classes and not seen.recipe.balanced:
        return Remark("one_class_uneven", values, "warning", Action("again", changes=(("balanced", True),)))
    if sluggish(seen) and last[-1].train_loss >= NO_BETTER * seen.chance:
        return None  # it has not begun to learn
    return seen.turned("one_class", values, SHARPLY)


def _names_one(epoch: EpochDone, seen: Seen) -> bool:
    accuracy, f1 = epoch.val_accuracy, epoch.val_macro_f1
    if accuracy is None or f1 is None or f1 > ONE_CLASS * 2 * accuracy / (1 + accuracy) / seen.classes:
        return False
    frames = next((film.frames for film in seen.now.films if film.epoch == epoch.epoch), ())
    return len(frames) < FRAMES or len({frame.said for frame in frames}) == 1


def overfitting(seen: Seen) -> Remark | None:
    """Learning by heart, while it can still be stopped."""
    rise = _rise(seen)
    if not seen.going or rise is None or _better(seen):
        return None
    return Remark("overfitting", rise, "warning", Action("stop"))


def too_little(seen: Seen) -> Remark | None:
    """Everything learns from few images, and it does not carry over."""
    images = seen.now.started.splits.get("train", 0) if seen.now.started else 0
    if seen.share <= MOST or seen.recipe.strategy in NARROW or images >= FEW_IMAGES or not seen.own:
        return None
    last = seen.own[-1]
    if (
        seen.recipe.weights == "random"
        or last.epoch < GAP_EPOCH
        or last.val_accuracy is None
        or last.train_accuracy - last.val_accuracy < GAP
    ):
        return None
    values: dict[str, Value] = {"share": percent(seen.share, 0), "images": images}
    values |= {"train": percent(last.train_accuracy), "val": percent(last.val_accuracy)}
    return Remark("too_little", values, "warning", Action("again", changes=(("strategy", "last-stage"),)))


def overfitted(seen: Seen) -> Remark | None:
    """It was learned by heart: next time something against it."""
    rise = _rise(seen)
    if seen.going or rise is None or _better(seen):
        return None
    if seen.recipe.augment == Augment():
        upright = Action("again", changes=(("augment", AUGMENT_PRESETS["upright"]),))
        return Remark("overfitted", rise, "warning", upright)
    dropout = Action("again", changes=(("dropout", 0.3),)) if seen.recipe.dropout < 0.3 else None
    return Remark("overfitted_still", {**rise, "dropout": "0.3"}, "warning", dropout)


def overconfident(seen: Seen) -> Remark | None:
    """Validation loss rises although accuracy grows."""
    rise = _rise(seen)
    if rise is None or not _better(seen):
        return None
    smooth = Action("again", changes=(("label_smoothing", 0.1),)) if seen.recipe.label_smoothing < 0.1 else None
    accuracy = percent(seen.own[-1].val_accuracy or 0.0)
    return Remark("overconfident", {**rise, "accuracy": accuracy, "smoothing": "0.1"}, "note", smooth)


def _lowest(epochs: Sequence[EpochDone]) -> EpochDone:
    return min(epochs, key=lambda epoch: epoch.val_loss if epoch.val_loss is not None else float("inf"))


def _rise(seen: Seen) -> dict[str, Value] | None:
    """The figures of a validation loss that has been rising since its lowest while training loss fell."""
    losses = val_losses(seen.own)
    if len(losses) <= OVERFIT_EPOCHS or len(losses) < len(seen.own):
        return None
    low, last = _lowest(seen.own), seen.own[-1]
    n = last.epoch - low.epoch
    limit = max(min(losses) * (1 + OVERFIT_RISE), min(losses) + OVERFIT_LEAST)
    if n < OVERFIT_EPOCHS or losses[-1] < limit or fmean(losses[-OVERFIT_EPOCHS:]) < limit:
        return None
    if last.train_loss > OVERFIT_FALL * low.train_loss:
        return None
    figures = {"low": nats(min(losses)), "high": nats(losses[-1]), "train": nats(last.train_loss)}
    return {"n": n, "epoch": low.epoch, **figures, "train_before": nats(low.train_loss)}


def _better(seen: Seen) -> bool:
    """Accuracy has grown although validation loss has risen since its lowest."""
    return (seen.own[-1].val_accuracy or 0.0) >= (_lowest(seen.own).val_accuracy or 0.0) + ACCURACY_GAIN


def best(seen: Seen) -> Remark | None:
    """Where the best weights are, if there is something to judge by."""
    best, last = seen.now.best, seen.now.epochs[-1] if seen.now.epochs else None
    if best is None or last is None or best.val_accuracy is None or best.val_loss is None or seen.now.state == "discarded":
        return None
    values: dict[str, Value] = {"epoch": best.epoch, "accuracy": percent(best.val_accuracy), "loss": nats(best.val_loss)}
    values["f1"] = f"{best.val_macro_f1 or 0.0:.2f}"
    severity: Severity = "good" if best.val_loss < NO_BETTER * seen.chance else "note"
    if seen.now.stage == "ended":
        return Remark("kept", values, severity)
    if last.epoch == best.epoch:
        return Remark("best", values, severity)
    return Remark("no_gain", {**values, "n": last.epoch - best.epoch}, "note")


def learning(seen: Seen) -> Remark | None:
    """Both losses fell, or the one there is."""
    if len(seen.now.epochs) < 2 or seen.now.stage == "ended":
        return None
    before, last = seen.now.epochs[-2:]
    if last.train_loss > (1 - LEARNED) * before.train_loss:
        return None
    values: dict[str, Value] = {"epoch": last.epoch, "before": nats(before.train_loss), "train": nats(last.train_loss)}
    if last.val_loss is None or before.val_loss is None:
        return Remark("learning_blind", values, "note")
    if last.val_loss > min((1 - LEARNED) * before.val_loss, NO_BETTER * seen.chance):
        return None
    return Remark("learning", {**values, "val_before": nats(before.val_loss), "val": nats(last.val_loss)}, "good")
