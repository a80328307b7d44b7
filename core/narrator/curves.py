"""What the losses say about the steps: too large, too small, or at their end."""

from itertools import pairwise
from statistics import fmean
from typing import Final

from core.narrator.pitfalls import MOST
from core.narrator.remark import Action, Remark, nats, percent
from core.narrator.seen import GENTLY, NO_BETTER, SHARPLY, SOLVED, UP, Seen, guess, sluggish, val_losses
from core.words import Value

LOSS_HIGH: Final = 1.3
"""Worse than guessing, and not by noise."""
FIRST_HIGH: Final = 2.0
"""The same for a first epoch, whose beginning may be rough."""
BATCH_HIGH: Final = 4.0
"""The same for a single batch after SETTLING_STEPS, before any epoch is over."""
SETTLING_STEPS: Final = 20
LOSS_RISE: Final = 1.25
"""Of training loss over its lowest, twice running. It is a mean over a whole epoch and falls in all healthy runs."""
SWING: Final = 0.15
"""Mean change from epoch to epoch, in shares of chance, that is more than the noise of a small validation set..."""
SWING_SHARE: Final = 0.3
"""... and in shares of the mean validation loss."""
SWING_EPOCHS: Final = 5
"""Looked at; each change has to turn back the one before."""
STUCK_EPOCHS: Final = 3
STILL_HIGH: Final = 0.5
"""Of chance: half of what could be known is not."""
LATE_EPOCHS: Final = 3
LATE_FALL: Final = 0.03
"""Of the losses over LATE_EPOCHS: flat."""
SLOW: Final = (0.002, 0.02)
"""Share by which training loss falls each epoch: more than standing still, less than getting anywhere."""
SLOW_EPOCHS: Final = 5
PLATEAU_EPOCHS: Final = 5
"""Without gain; torch's ReduceLROnPlateau waits for 10, which is the whole of a usual fine-tuning run."""
PLATEAU_GAIN: Final = 0.01
"""Of validation loss: less is no gain."""
PLATEAU_FALL: Final = 0.03
"""Of training loss over that time, to either side: it stands still, too."""
RATE_HIGH: Final = 0.3
"""Of the base rate: the schedule has not yet lowered it."""
WIDER: Final = {"head": "last-stage", "last-stage": "last-two-stages", "bias": "last-stage", "norm": "last-stage"}
"""The next strategy that lets more learn; all others: layerwise."""


def not_finite(seen: Seen) -> Remark | None:
    """It failed because a loss or a weight was no number any more."""
    ended = seen.now.ended
    if ended is None or ended.code != "training.not_finite":
        return None
    return seen.turned("not_finite", {"step": ended.values.get("step", ended.step)}, SHARPLY)


def loss_high(seen: Seen) -> Remark | None:
    """Worse than guessing."""
    if not seen.now.epochs:
        loss = seen.now.loss if seen.now.step >= SETTLING_STEPS else None
        limit = BATCH_HIGH
    else:
        loss = seen.fresh[-1].train_loss if seen.fresh else None
        limit = LOSS_HIGH if len(seen.fresh) > 1 else FIRST_HIGH
    if loss is None or loss < limit * seen.chance:
        return None
    return seen.turned("loss_high", {"loss": nats(loss), **guess(seen)}, SHARPLY)


def loss_rising(seen: Seen) -> Remark | None:
    """Training loss is well above its lowest, twice running."""
    if len(seen.fresh) < 3:
        return None
    *before, one, two = seen.fresh
    low = min(before, key=lambda epoch: epoch.train_loss)
    if min(one.train_loss, two.train_loss) < max(LOSS_RISE * low.train_loss, low.train_loss + SOLVED * seen.chance):
        return None
    values: dict[str, Value] = {"epoch": low.epoch, "low": nats(low.train_loss), "high": nats(two.train_loss)}
    return seen.turned("loss_rising", values, SHARPLY)


def loss_swings(seen: Seen) -> Remark | None:
    """Validation loss goes up and down and up, far."""
    losses = val_losses(seen.fresh[-SWING_EPOCHS:])
    if len(losses) < SWING_EPOCHS:
        return None
    steps = [after - before for before, after in pairwise(losses)]
    turns = sum(one * other < 0 for one, other in pairwise(steps))
    if turns < len(steps) - 1 or fmean(map(abs, steps)) < max(SWING * seen.chance, SWING_SHARE * fmean(losses)):
        return None
    values: dict[str, Value] = {"low": nats(min(losses)), "high": nats(max(losses)), "epochs": len(losses)}
    return seen.turned("loss_swings", values, GENTLY)


def stuck(seen: Seen) -> Remark | None:
    """As good as guessing, epoch after epoch: steps far too small, or far too large."""
    if not _at_chance(seen):
        return None
    values: dict[str, Value] = {"epochs": len(seen.fresh), "loss": nats(seen.fresh[-1].train_loss), **guess(seen)}
    return seen.turned("stuck_slow", values, 1 / SHARPLY) if sluggish(seen) else seen.turned("stuck", values, SHARPLY)


def _at_chance(seen: Seen) -> bool:
    last = seen.fresh[-STUCK_EPOCHS:]
    losses = [epoch.train_loss for epoch in last] + val_losses(last)
    return (
        len(last) == STUCK_EPOCHS
        and min(losses) >= NO_BETTER * seen.chance
        and last[-1].train_loss < LOSS_HIGH * seen.chance
    )


def underfitting(seen: Seen) -> Remark | None:
    """Late in the run both losses are high, and flat."""
    last = seen.fresh[-LATE_EPOCHS - 1 :]
    if not seen.late or len(last) <= LATE_EPOCHS or _at_chance(seen):
        return None
    curves = [epoch.train_loss for epoch in last], val_losses(last)
    if any(len(c) <= LATE_EPOCHS or min(c) < STILL_HIGH * seen.chance or 1 - c[-1] / c[0] > LATE_FALL for c in curves):
        return None
    values: dict[str, Value] = {"epoch": last[-1].epoch, "epochs": seen.now.epochs_total, "share": percent(seen.share)}
    values |= {"train": nats(curves[0][-1]), "val": nats(curves[1][-1])}
    if seen.share > MOST and seen.recipe.strategy not in WIDER:
        return seen.turned("underfitting_rate", values, UP)
    wider = WIDER.get(seen.recipe.strategy, "layerwise") if seen.recipe.weights != "random" else "full"
    return Remark("underfitting", values, "warning", Action("again", changes=(("strategy", wider),)))


def rate_low(seen: Seen) -> Remark | None:
    """Training loss falls with every epoch, but so slowly that the run will be over before it is low."""
    losses = [epoch.train_loss for epoch in seen.fresh[-SLOW_EPOCHS:]]
    if len(losses) < SLOW_EPOCHS or seen.late or seen.annealed < RATE_HIGH or _at_chance(seen):
        return None
    pace = 1 - (losses[-1] / losses[0]) ** (1 / (len(losses) - 1)) if losses[0] > 0 else 0.0
    left = seen.now.epochs_total - seen.fresh[-1].epoch
    if any(after >= before for before, after in pairwise(losses)) or not SLOW[0] <= pace <= SLOW[1]:
        return None
    if losses[-1] * (1 - pace) ** left < STILL_HIGH * seen.chance:
        return None
    values: dict[str, Value] = {"epochs": len(losses), "first": nats(losses[0]), "last": nats(losses[-1])}
    return seen.turned("rate_low", {**values, "pace": percent(pace)}, UP)


def plateau(seen: Seen) -> Remark | None:
    """Nothing moves, at a rate that is still high: with smaller steps it goes on."""
    flat = _flat(seen)
    if (
        flat is None
        or seen.annealed < RATE_HIGH
        or seen.recipe.schedule == "plateau"
        or underfitting(seen)
        or _at_chance(seen)
    ):
        return None
    losses = val_losses(seen.fresh)
    if (losses[-1] if losses else seen.fresh[-1].train_loss) < SOLVED * seen.chance:
        return None
    return seen.turned("plateau" if losses else "plateau_blind", flat, GENTLY, "note")


def settled(seen: Seen) -> Remark | None:
    """Nothing moves, and the rate is low already: the rest of the run is a waste of time."""
    flat = _flat(seen)
    if flat is None or not seen.going or seen.annealed >= RATE_HIGH or underfitting(seen) or _at_chance(seen):
        return None
    if seen.now.epoch <= seen.recipe.warmup_epochs or (seen.recipe.schedule == "one-cycle" and not seen.late):
        return None  # the rate is still rising
    code = "settled" if "val" in flat else "settled_blind"
    return Remark(code, {**flat, "rate": f"{seen.now.lr or 0.0:.2g}"}, "note", Action("stop"))


def _flat(seen: Seen) -> dict[str, Value] | None:
    """The figures of PLATEAU_EPOCHS in which neither loss has moved."""
    last, before = seen.fresh[-PLATEAU_EPOCHS:], seen.fresh[:-PLATEAU_EPOCHS]
    losses, earlier = val_losses(last), val_losses(before)
    if not before or (losses and earlier and min(losses) < (1 - PLATEAU_GAIN) * min(earlier)):
        return None
    if abs(last[-1].train_loss - before[-1].train_loss) > PLATEAU_FALL * before[-1].train_loss:
        return None
    values: dict[str, Value] = {"epochs": len(last), "train": nats(last[-1].train_loss)}
    return {**values, "val": nats(losses[-1])} if losses else values


def begun(seen: Seen) -> Remark | None:
    """The first epoch is under way."""
    if seen.now.epochs or seen.now.step < 1 or seen.now.loss is None or not seen.going:
        return None
    return Remark("begun", {"step": seen.now.step, "loss": nats(seen.now.loss), **guess(seen)}, "note")
