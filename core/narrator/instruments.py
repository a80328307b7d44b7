"""What the instruments say: gradients that explode or vanish, blocks that rush. A frozen block reads 0 and says nothing."""

from statistics import median
from typing import Final

from core.events import Reading
from core.narrator.remark import Remark, percent
from core.narrator.seen import SHARPLY, SOLVED, Seen, ratios_of, scale_of
from core.words import Value

LARGEST_GRADIENT: Final = 1e3
"""The gradient of the loss by the logits is at most √2 an image; a thousandfold of it is an avalanche."""
GROWTH: Final = 100.0
"""Of a gradient over its own median so far."""
GROWN_GRADIENT: Final = 10.0
"""Less is no avalanche, however small it was before."""
LARGEST_RATIO: Final = 0.1
"""Of update to weight: about 1e-3 is healthy (Karpathy, CS231n, "ratio of weights:updates")."""
RUSHING_READINGS: Final = 3
"""Running; weights that begin at nothing (layer scale, tokens) are moved far by their first steps and calm down."""
FAINT: Final = 1e-3
"""Of the median block, in gradient and in ratio."""
FAINTEST_GRADIENT: Final = 1e-6
FAINTEST_RATIO: Final = 1e-7
"""One step of 32-bit numbers: smaller updates are rounded away."""
FAINT_BLOCKS: Final = 4
"""Fewer have no meaningful median."""


def exploding(seen: Seen) -> Remark | None:
    """A gradient is far too long, or something is no number."""
    if not seen.readings:
        return None
    last = seen.readings[-1]
    for path, reading in last.blocks.items():
        if _broken(reading):
            values: dict[str, Value] = {"block": path or seen.recipe.backbone, "step": last.step}
            return seen.turned("exploding_not_finite", values, SHARPLY)
    gradient, path = max(((r.gradient or 0.0, path) for path, r in last.blocks.items()), default=(0.0, ""))
    before = [readings.blocks[path].gradient or 0.0 for readings in seen.readings[:-1] if path in readings.blocks]
    usual = median(before) if len(before) >= RUSHING_READINGS else 0.0
    if gradient < LARGEST_GRADIENT and not (usual > 0 and gradient >= max(GROWN_GRADIENT, GROWTH * usual)):
        return None
    values = {"block": path or seen.recipe.backbone, "step": last.step, "gradient": f"{gradient:.3g}"}
    return seen.turned("exploding", values, SHARPLY)


def _broken(reading: Reading) -> bool:
    """Something is no finite number. A gradient alone is not enough: with 16 bits its step is skipped and tried smaller."""
    if reading.gradient is None and reading.update == 0.0:
        return None in reading[2:]
    return None in reading


def rushing(seen: Seen) -> Remark | None:
    """Blocks whose weights are moved by too much, reading after reading."""
    runs = [ratios_of(readings) for readings in seen.readings[-RUSHING_READINGS:]]
    if len(runs) < RUSHING_READINGS:
        return None
    fast = {path: ratio for path, ratio in runs[-1].items() if all(run.get(path, 0.0) > LARGEST_RATIO for run in runs)}
    if not fast:
        return None
    path = max(fast, key=lambda path: fast[path])
    values: dict[str, Value] = {"step": seen.readings[-1].step, "ratio": percent(fast[path])}
    if len(fast) == 1 or len(fast) <= len(runs[-1]) / 2:
        return seen.scaled("rushing", path, values, SHARPLY)
    values |= {"n": len(fast), "blocks": len(runs[-1]), "block": path or seen.recipe.backbone}
    return seen.turned("rushing_all", values, SHARPLY)


def vanishing(seen: Seen) -> Remark | None:
    """A block that hardly learns although others do. Each block is measured by the rate that it was given."""
    if not seen.readings or seen.now.loss is None or seen.now.loss < SOLVED * seen.chance:
        return None
    last, rules = seen.readings[-1], seen.recipe.rules
    scales = {path: scale_of(rules, path, last.epoch) for path in last.blocks}
    ratios = {path: ratio / scales[path] for path, ratio in ratios_of(last).items() if scales[path] > 0}
    gradients = {path: last.blocks[path].gradient or 0.0 for path in ratios}
    if len(ratios) < FAINT_BLOCKS or not any(ratios.values()):
        return None
    least_ratio = max(FAINT * median(ratios.values()), FAINTEST_RATIO * seen.annealed)
    least_gradient = max(FAINT * median(gradients.values()), FAINTEST_GRADIENT)
    faint = [path for path in ratios if ratios[path] < least_ratio and gradients[path] < least_gradient]
    if not faint:
        return None
    path = min(faint, key=lambda path: gradients[path])
    values: dict[str, Value] = {"step": last.step, "gradient": f"{gradients[path]:.2g}"}
    values |= {"usual": f"{median(gradients.values()):.2g}", "faint": len(faint), "blocks": len(ratios)}
    return seen.scaled("vanishing", path, values, 1 / SHARPLY)
