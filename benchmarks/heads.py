"""What a head costs once the features are there: closed form, optimum, a sweep of rates, and a sweep against separate runs.

    python benchmarks/heads.py [--threads 1] [--rounds 3] [--rates 100] [--batch 256] [--quick] [--out FILE]

Features are drawn: 10 classes around centres, directions of falling variance, as networks give them. The two sides of a
ratio take turns in one process (A B A B ...), on the same numbers. A line of JSON for each round, and at the end a table of
medians. Peers: scikit-learn's RidgeClassifierCV (leave-one-out over the same strengths) and LogisticRegression (the same
optimum, to a like slope), and a plain loop of torch.optim.SGD, once for each rate.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import sklearn
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional as F

from core.heads import Rate, decompose, h_score, logme, ridge, softmax, sweep
from core.schedule import lr_factor
from core.training.batches import batches, shuffled

CLASSES, EPOCHS, DECAY = 10, 5, 1e-3
Figures = dict[str, float]
Pair = tuple[Tensor, Tensor]


def drawn(images: int, width: int, seed: int = 0) -> Pair:
    """Features (N, D), none negative, and labels (N,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (images,), generator=generator)
    spread = torch.arange(1, width + 1) ** -0.5
    centres = 0.6 * 512**0.5 / width**0.5 * torch.randn(CLASSES, width, generator=generator)
    return ((0.3 * centres[labels] + torch.randn(images, width, generator=generator)) * spread).relu(), labels


def first_number(data: Pair) -> Figures:
    """Decomposition, ridge path with leave-one-out, and both transfer scores."""
    begin = time.perf_counter()
    spectrum = decompose(data[0])
    decomposed = time.perf_counter()
    found = ridge(spectrum, data[1], CLASSES)
    ridged = time.perf_counter()
    scores = {"logme": logme(spectrum, data[1], CLASSES), "h_score": h_score(spectrum, data[1], CLASSES)}
    parts = {"decompose_s": decomposed - begin, "ridge_s": ridged - decomposed, "scores_s": time.perf_counter() - ridged}
    return {**parts, "accuracy": found.accuracy, **scores}


def peer_ridge(data: Pair) -> Figures:
    strengths = ridge(decompose(data[0][:500]), data[1][:500], CLASSES).strengths.tolist()
    begin = time.perf_counter()
    peer = RidgeClassifierCV(alphas=strengths, scoring="accuracy").fit(data[0].numpy(), data[1].numpy())
    return {"seconds": time.perf_counter() - begin, "accuracy": float(peer.best_score_)}


def optimum(data: Pair) -> Figures:
    found = softmax(decompose(data[0]), data[1], CLASSES, decay=DECAY)
    return {"loss": found.loss, "iterations": found.iterations, "converged": float(found.converged)}


def peer_optimum(data: Pair) -> Figures:
    features, labels = data[0].numpy(), data[1]
    peer = LogisticRegression(C=1 / (len(labels) * DECAY), tol=1e-4, max_iter=1000).fit(features, labels.numpy())
    weight = torch.tensor(peer.coef_)
    logits = data[0].double() @ weight.double().T + torch.tensor(peer.intercept_)
    loss = float(F.cross_entropy(logits, labels) + DECAY / 2 * weight.double().square().sum())
    return {"loss": loss, "iterations": float(peer.n_iter_[0])}


def together(data: Pair, validation: Pair, rates: list[Rate], batch: int) -> Figures:
    found = sweep(*data, CLASSES, rates, validation=validation, epochs=EPOCHS, batch_size=batch)
    return {"best_accuracy": float(found.val_accuracy[-1].max()), "sum_of_losses": float(found.val_loss[-1].sum())}


def apart(data: Pair, validation: Pair, rates: list[Rate], batch: int) -> Figures:
    ends = [single(data, validation, rate, batch) for rate in rates]
    return {"best_accuracy": max(right for _, right in ends), "sum_of_losses": sum(loss for loss, _ in ends)}


def single(data: Pair, validation: Pair, rate: Rate, batch: int) -> tuple[float, float]:
    """Validation loss and accuracy of one plain run."""
    features, labels = data
    layer = nn.Linear(features.shape[1], CLASSES)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    groups = [{"params": [layer.weight], "weight_decay": rate.weight_decay}, {"params": [layer.bias], "weight_decay": 0.0}]
    optimizer, step = torch.optim.SGD(groups, lr=rate.lr, momentum=0.9), 0
    right, loss = 0.0, torch.zeros(())
    for epoch in range(1, EPOCHS + 1):
        parts = batches(shuffled(0, epoch, len(features)), batch)
        for rows in map(torch.from_numpy, parts):
            for group in optimizer.param_groups:
                group["lr"] = rate.lr * lr_factor(step, steps_per_epoch=len(parts), epochs=EPOCHS, schedule="cosine")
            optimizer.zero_grad()
            F.cross_entropy(layer(features[rows]), labels[rows]).backward()
            optimizer.step()
            step += 1
        with torch.inference_mode():
            logits = layer(validation[0])
            loss = F.cross_entropy(logits, validation[1])
            right = float((logits.argmax(dim=1) == validation[1]).double().mean())
    return float(loss), right


def rows(options: argparse.Namespace) -> list[tuple[str, Callable[[], Figures]]]:
    """What is measured, in the order of one round; the sides of a ratio stand side by side."""
    all_small, large = drawn(11_000, 512), drawn(10_000, 2048)
    small, validation = ((all_small[0][part], all_small[1][part]) for part in (slice(10_000), slice(10_000, None)))
    rates = [Rate(10 ** (-3 + 3 * at / max(options.rates - 1, 1)), 1e-4) for at in range(options.rates)]
    found: list[tuple[str, Callable[[], Figures]]] = [
        ("ridge path, 10k x 512", lambda: first_number(small)),
        ("ridge path, 10k x 512: scikit-learn", lambda: peer_ridge(small)),
        ("ridge path, 10k x 2048", lambda: first_number(large)),
        ("optimum, 10k x 512", lambda: optimum(small)),
        ("optimum, 10k x 512: scikit-learn", lambda: peer_optimum(small)),
        (
            f"sweep of {len(rates)} rates, batches of {options.batch}",
            lambda: together(small, validation, rates, options.batch),
        ),
        (f"{len(rates)} separate runs, batches of {options.batch}", lambda: apart(small, validation, rates, options.batch)),
    ]
    return [row for row in found if not (options.quick and "scikit" in row[0])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=int, default=100)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--quick", action="store_true", help="without scikit-learn")
    parser.add_argument("--out", type=Path, help="rows as JSON lines go here, too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.machine(), "threads": options.threads,
        "torch": torch.__version__, "sklearn": sklearn.__version__,
    }  # fmt: skip
    seconds: dict[str, list[float]] = {}
    with threadpool_limits(options.threads):
        works = rows(options)
        for number in range(options.rounds):
            for name, work in works:
                begin = time.perf_counter()
                figures = work()
                took = figures.pop("seconds", time.perf_counter() - begin)
                seconds.setdefault(name, []).append(took)
                load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
                line = json.dumps({"row": name, "round": number, "seconds": took, **figures, "load": load, **about})
                print(line, flush=True)
                if options.out:
                    with options.out.open("a", encoding="utf-8") as file:
                        file.write(line + "\n")
    print(f"\n{'seconds':>44}{'median':>9}{'least':>9}{'most':>9}{'peer / ours':>13}")
    names = list(seconds)
    for at, name in enumerate(names):
        took = seconds[name]
        other = names[at + 1] if at + 1 < len(names) and ("scikit" in names[at + 1] or "separate" in names[at + 1]) else None
        ratio = f"{statistics.median(b / a for a, b in zip(took, seconds[other], strict=True)):12.1f}x" if other else ""
        print(f"{name:>44}{statistics.median(took):9.3f}{min(took):9.3f}{max(took):9.3f}{ratio}")


if __name__ == "__main__":
    main()
