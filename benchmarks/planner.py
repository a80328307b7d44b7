"""What the planner says before the click against what the run then takes.

    python benchmarks/planner.py [--backbones thaw-small resnet18 mobilenet_v3_small] [--strategies head last-stage full]

On the leaves of the demo set; validation and decoding are not part of either figure. `ratio` is predicted / actual seconds
from the start of training to the last step, validation left out.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1))))
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import argparse
import json
import tempfile
from pathlib import Path

from core.backbones import layer_tree
from core.dataset import open_dataset
from core.dataset.splits import split
from core.estimate import forecast
from core.recipe import AUGMENT_PRESETS, Recipe
from core.strategies import STRATEGIES, apply_strategy
from core.training import train
from core.training.costs import measure_costs
from core.workspace import Workspace, open_workspace


def seconds_of(recipe: Recipe, workspace: Workspace) -> float:
    """From `started` to the last step: working out what frozen blocks say, and the steps."""
    total, mark, at_work = 0.0, 0.0, False
    with tempfile.TemporaryDirectory() as folder:
        for event in train(recipe, workspace=workspace, folder=Path(folder)):
            counted = event.kind in {"step", "readings", "kept"} or (event.kind == "preparing" and event.what == "features")
            if at_work and counted:
                total += event.clock - mark
            at_work |= event.kind == "started"
            mark = event.clock
    return total


def main() -> None:
    """Print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["thaw-small", "resnet18", "mobilenet_v3_small"])
    parser.add_argument("--strategies", nargs="+", default=["head", "last-stage", "full"], choices=list(STRATEGIES))
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    rows = []
    print(f"{'backbone':22}{'strategy':14}{'predicted s':>12}{'actual s':>10}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as root:
        workspace = open_workspace(root)
        dataset = open_dataset(workspace, "demo:leaves")
        images = len(split(dataset, val_fraction=0.1, test_fraction=0.1, seed=0).train)
        for name in options.backbones:
            size = options.image_size
            tree = layer_tree(name, classes=len(dataset.classes), image_size=size, workspace=workspace)
            for strategy in options.strategies:
                recipe = Recipe(
                    dataset="demo:leaves", backbone=name, image_size=size, epochs=options.epochs, device="cpu",
                    augment=AUGMENT_PRESETS["light"], weights="random",
                )  # fmt: skip
                recipe = apply_strategy(recipe, strategy, tree)
                costs = measure_costs(recipe, tree, workspace)
                told = forecast(tree, recipe, images=images, costs=costs)
                predicted, actual = told.seconds(options.epochs) or 0.0, seconds_of(recipe, workspace)
                rows.append({"backbone": name, "strategy": strategy, "predicted": predicted, "actual": actual})
                print(f"{name:22}{strategy:14}{predicted:12.1f}{actual:10.1f}{predicted / actual:8.2f}", flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
