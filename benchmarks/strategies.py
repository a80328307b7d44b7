"""Every strategy, with few images and with many: accuracy with its spread, seconds, and how much of the network learns.

    python benchmarks/strategies.py --data shared/data [--each 10 20 50 0] [--seeds 3] [--json OUT] [--plot OUT]

On the hands of sign-digits.zip at 64 pixels, from the bundled backbone, with the engine itself: `each` images of every class
to learn from (0: all that are left), 10 to validate, 50 to test, divided anew for each seed. All runs make about `--steps`.
What learns little learns faster: the rates stand in RATES. Spread is the standard deviation over the seeds. The seconds are
those of training with validation, one run on each core at a time.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from core.dataset.importing import Labelled, build
from core.recipe import AUGMENT_PRESETS, Recipe
from core.strategies import STRATEGIES
from core.workspace import open_workspace

SIDE, BATCH, VAL, TEST = 64, 32, 10, 50
RATE = 1e-3
RATES = {"head": 1e-2, "norm": 3e-3, "bias": 3e-3, "lora": 3e-3}
COLORS = 10
"""Of plotly; lines beyond are dotted."""


def hands(file: Path, each: int, seed: int) -> Iterator[Labelled]:
    with ZipFile(file) as archive:
        names = sorted(name for name in archive.namelist() if name.lower().endswith(".jpg"))
    rng = np.random.default_rng(seed)
    for label in "0123456789":
        mine = [name for name in names if name.split("/")[-2] == label]
        order = [mine[at] for at in rng.permutation(len(mine))]
        kept = order[: VAL + TEST + each] if each else order
        for at, name in enumerate(kept):
            split = "val" if at < VAL else "test" if at < VAL + TEST else "train"
            yield Labelled(name, label, split, partial(_read, file, name))  # type: ignore[arg-type]


def _read(file: Path, name: str) -> bytes:
    with ZipFile(file) as archive:
        return archive.read(name)


def prepared(file: Path, root: Path, each: int, seed: int) -> str:
    dataset = build(list(hands(file, each, seed)), open_workspace(root), name=f"hands-{each}-{seed}", source="benchmark")
    return dataset.id


def trained(root: Path, dataset: str, strategy: str, seed: int, steps: int) -> tuple[float, float, float]:
    """Test accuracy, seconds, share that learns in the end."""
    import torch

    from core.backbones import layer_tree
    from core.dataset import open_dataset
    from core.dataset.splits import split
    from core.plan import plan
    from core.strategies import apply_strategy
    from core.training import train

    torch.set_num_threads(1)
    workspace = open_workspace(root)
    images = len(split(open_dataset(workspace, dataset), val_fraction=0.1, test_fraction=0.1, seed=0).train)
    epochs = max(3, round(steps * BATCH / images))
    recipe = Recipe(
        dataset=dataset, backbone="thaw-small", weights="bundled", image_size=SIDE, batch_size=BATCH, epochs=epochs,
        augment=AUGMENT_PRESETS["upright"], lr=RATES.get(strategy, RATE), seed=seed, instruments=False, device="cpu",
    )  # fmt: skip
    tree = layer_tree(recipe.backbone, classes=10, image_size=SIDE, workspace=workspace)
    recipe = apply_strategy(recipe, strategy, tree)
    made = plan(tree, recipe.rules)
    begin, end, accuracy = 0.0, 0.0, float("nan")
    with tempfile.TemporaryDirectory() as folder:
        for event in train(recipe, workspace=workspace, folder=Path(folder)):
            if event.kind == "started":
                begin = time.monotonic()
            if event.kind == "epoch":
                end = time.monotonic()
            if event.kind == "tested":
                accuracy = event.scores.accuracy
            if event.kind == "ended" and event.outcome != "finished":
                raise RuntimeError(f"{strategy}: {event}")
    return accuracy, end - begin, made.trainable / made.total


def plotted(rows: list[dict[str, object]], file: Path) -> None:
    """Accuracy against images a class, one line a strategy, as one HTML file that needs no network."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for at, strategy in enumerate(STRATEGIES):
        mine = [row for row in rows if row["strategy"] == strategy]
        figure.add_scatter(
            x=[str(row["each"] or "all") for row in mine],
            y=[np.mean(row["accuracy"]) for row in mine],  # type: ignore[arg-type]
            error_y={"array": [np.std(row["accuracy"], ddof=1) for row in mine]},  # type: ignore[arg-type]
            name=strategy,
            line={"dash": "solid" if at < COLORS else "dot"},
        )
    figure.update_layout(template="plotly_white", xaxis={"title": "images a class", "type": "category"})
    figure.update_yaxes(title="test accuracy", tickformat=".0%")
    figure.write_html(file, include_plotlyjs=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sign-digits.zip")
    parser.add_argument("--each", nargs="+", type=int, default=[10, 20, 50, 0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    print(f"{'strategy':18}{'learns':>8}" + "".join(f"{each or 'all':>18}{'s':>6}" for each in options.each), flush=True)
    with tempfile.TemporaryDirectory() as temporary, ProcessPoolExecutor(options.workers) as pool:
        root = Path(temporary)
        file = options.data / "sign-digits.zip"
        sets = {(each, seed): prepared(file, root, each, seed) for each in options.each for seed in range(options.seeds)}
        jobs = {
            (strategy, each): [
                pool.submit(trained, root, sets[each, seed], strategy, seed, options.steps) for seed in range(options.seeds)
            ]
            for strategy in options.strategies
            for each in options.each
        }
        for strategy in options.strategies:
            told, share = "", 0.0
            for each in options.each:
                found = [job.result() for job in jobs[strategy, each]]
                accuracy, seconds, share = [f[0] for f in found], [f[1] for f in found], found[0][2]
                rows.append({"strategy": strategy, "each": each, "accuracy": accuracy, "seconds": seconds, "learns": share})
                spread = np.std(accuracy, ddof=1) if len(accuracy) > 1 else float("nan")
                told += f"{100 * np.mean(accuracy):11.1f} ± {100 * spread:4.1f}{np.mean(seconds):6.0f}"
            print(f"{strategy:18}{100 * share:7.1f}%{told}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), "utf-8")
    if options.plot:
        plotted(rows, options.plot)


if __name__ == "__main__":
    main()
