"""What the instruments cost: the same training with and without them, by turns.

    python benchmarks/instruments.py [--backbone thaw-small] [--side 64] [--epochs 8] [--rounds 6]

On the demo of leaves. A round is one run with and one without; the figure is images a second from the first step to the
last, validation included. Machines change their pace within seconds, by more than the instruments cost; so two things are
told: the median over the rounds of what each gives by itself, with its quartiles, and the share of the time with instruments
that is spent in their own code, which needs no second run to compare with.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.recipe import Recipe
from core.training import train
from core.training.instruments import Instruments
from core.workspace import Workspace, open_workspace


class Watch:
    """Seconds spent in the instruments."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """The same method, its time added up."""

        def call(*arguments: Any) -> Any:
            begin = time.perf_counter()
            try:
                return method(*arguments)
            finally:
                self.seconds += time.perf_counter() - begin

        return call


def speed(recipe: Recipe, workspace: Workspace, watch: Watch) -> tuple[float, float]:
    """Images a second of one run, and the share of its time that was spent in the instruments."""
    begin, end, images = 0.0, 0.0, 0
    watch.seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for event in train(recipe, workspace=workspace, folder=Path(folder)):
            if event.kind == "step" and not begin:  # the first one has more to set up than to do
                begin, watch.seconds = event.clock, 0.0
            elif event.kind == "step":
                images += event.images
            if event.kind in ("step", "readings"):
                end = event.clock
    return images / (end - begin), watch.seconds / (end - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="thaw-small")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        workspace = open_workspace(Path(root))
        recipe = Recipe(
            dataset="demo:leaves", backbone=options.backbone, image_size=options.side, epochs=options.epochs, device="cpu"
        )
        watch = Watch()
        Instruments.before = watch.timed(Instruments.before)  # type: ignore[method-assign]
        Instruments.after = watch.timed(Instruments.after)  # type: ignore[method-assign]
        speed(recipe.changed(epochs=1), workspace, watch)  # the set is made, the pixels are read
        costs, shares = [], []
        for number in range(options.rounds):
            found = {}
            for on in (True, False) if number % 2 else (False, True):
                found[on], share = speed(recipe.changed(instruments=on), workspace, watch)
                shares += [100 * share] if on else []
            costs.append(100 * (1 - found[True] / found[False]))
            print(
                f"with {found[True]:7.1f}, without {found[False]:7.1f} images/s: {costs[-1]:5.1f} % slower; "
                f"{shares[-1]:.2f} % in the instruments",
                flush=True,
            )
    low, middle, high = statistics.quantiles(costs, n=4)
    print(f"{len(costs)} rounds: {middle:.1f} % slower ({low:.1f} to {high:.1f})")
    print(f"{statistics.median(shares):.2f} % of the time in the instruments ({min(shares):.2f} to {max(shares):.2f})")


if __name__ == "__main__":
    main()
