"""What the instruments cost: the same training with and without them, by turns.

    python benchmarks/instruments.py [--backbone thaw-small] [--side 64] [--epochs 4] [--rounds 5]

On the demo of leaves. A round is one run with and one without; the figure is images a second from the first step to the
last, validation included, and the share is that of the medians.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from core.recipe import Recipe
from core.training import train
from core.workspace import Workspace, open_workspace


def speed(recipe: Recipe, workspace: Workspace) -> float:
    """Images a second of one run."""
    begin, end, images = 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        for event in train(recipe, workspace=workspace, folder=Path(folder)):
            if event.kind == "preflight":
                begin = event.clock
            if event.kind == "step":
                images += event.images
            if event.kind in ("step", "readings"):
                end = event.clock
    return images / (end - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="thaw-small")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        workspace = open_workspace(Path(root))
        recipe = Recipe(
            dataset="demo:leaves", backbone=options.backbone, image_size=options.side, epochs=options.epochs, device="cpu"
        )
        speed(recipe.changed(epochs=1), workspace)  # the set is made, the pixels are read
        found: dict[bool, list[float]] = {True: [], False: []}
        for number in range(options.rounds):
            for on in (True, False) if number % 2 else (False, True):
                found[on].append(speed(recipe.changed(instruments=on), workspace))
                print(f"{'with' if on else 'without':8}{found[on][-1]:8.1f} images/s", flush=True)
    with_them, without = (statistics.median(found[on]) for on in (True, False))
    print(
        f"with instruments {with_them:.1f}, without {without:.1f} images/s: {100 * (1 - with_them / without):.1f} % slower"
    )


if __name__ == "__main__":
    main()
