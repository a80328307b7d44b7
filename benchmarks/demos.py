"""Do strategies differ on the demo sets? Test accuracy and macro-F1 of each, trained as the door on the start page does it.

    python benchmarks/demos.py [--sets leaves cells ...] [--strategies head last-stage full scratch] [--seeds 2] [--json OUT]

Thaw Small from its bundled weights at 64 pixels, the augmentation and epochs that come with the set. `learns` is the share
of the network. One run on each core at a time; the mean over the seeds.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from core.dataset import open_dataset
from core.dataset.demos import DEMOS
from core.recipe import AUGMENT_PRESETS, Recipe
from core.workspace import open_workspace

SIDE = 64


def trained(root: Path, key: str, strategy: str, seed: int) -> tuple[float, float]:
    """Test accuracy and macro-F1."""
    import torch

    from core.backbones import layer_tree
    from core.strategies import apply_strategy
    from core.training import train

    torch.set_num_threads(1)
    workspace, demo = open_workspace(root), DEMOS[key]
    recipe = Recipe(
        dataset=f"demo:{key}", backbone="thaw-small", weights="random" if strategy == "scratch" else "bundled",
        image_size=SIDE, epochs=demo.epochs, augment=AUGMENT_PRESETS[demo.augment], seed=seed, split_seed=seed, device="cpu",
    )  # fmt: skip
    tree = layer_tree(recipe.backbone, classes=len(demo.classes), image_size=SIDE, workspace=workspace)
    scores = None
    with tempfile.TemporaryDirectory() as folder:
        for event in train(apply_strategy(recipe, strategy, tree), workspace=workspace, folder=Path(folder)):
            if event.kind == "tested":
                scores = event.scores
            if event.kind == "ended" and event.outcome != "finished":
                raise RuntimeError(f"{key}, {strategy}: {event}")
    if scores is None:
        raise RuntimeError(f"{key}, {strategy}: nothing was tested")
    return scores.accuracy, scores.macro_f1


def main() -> None:
    """Print a table, and rows of JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(DEMOS), choices=list(DEMOS))
    parser.add_argument("--strategies", nargs="+", default=["head", "last-stage", "full", "scratch"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print("accuracy (macro-F1), %\n" + f"{'set':10}" + "".join(f"{one:>18}" for one in options.strategies), flush=True)
    with tempfile.TemporaryDirectory() as temporary, ProcessPoolExecutor(options.workers) as pool:
        root = Path(temporary)
        for key in options.sets:
            open_dataset(open_workspace(root), f"demo:{key}")
        jobs = {
            (key, strategy): [pool.submit(trained, root, key, strategy, seed) for seed in range(options.seeds)]
            for key in options.sets
            for strategy in options.strategies
        }
        for key in options.sets:
            told = ""
            for strategy in options.strategies:
                accuracy, f1 = zip(*(job.result() for job in jobs[key, strategy]), strict=True)
                rows.append({"set": key, "strategy": strategy, "accuracy": accuracy, "macro_f1": f1})
                told += f"{100 * np.mean(accuracy):11.1f} ({100 * np.mean(f1):4.1f})"
            print(f"{key:10}{told}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), "utf-8")


if __name__ == "__main__":
    main()
