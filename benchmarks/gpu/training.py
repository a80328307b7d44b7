"""H3: a head on many images. H4: everything learns. H8: a sprint from scratch. The engine from files to the tested model."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu import material, reference
from benchmarks.gpu.bench import Bench, Row, captured
from benchmarks.gpu.decoding import WEB, imported
from benchmarks.gpu.nets import learning, ruled, weights_file
from benchmarks.peers.material import CLASSES
from core.augment import Draw, augment, working_size
from core.backbones import build
from core.recipe import Augment, Recipe
from core.training import train
from core.workspace import Workspace

PEER_SECONDS = 20.0
"""Of one policy of the reference; then its epoch is extrapolated."""
MOVING = Augment(crop=0.4, flip_horizontal=True)
FIFTY = 50_000


def fitted(recipe: Recipe, workspace: Workspace, name: str, *, keep: bool = False) -> Row:
    """Carry out `recipe`: seconds until each thing was there, and images a second of the steps of each epoch.

    Raises RuntimeError with the code if it did not finish.
    """
    folder = workspace.root / "bench" / name
    marks: dict[str, float] = {}
    steps: dict[int, list[tuple[float, int]]] = {}
    told: dict[str, Any] = {}
    begin = time.perf_counter()
    for event in train(recipe, workspace=workspace, folder=folder):
        now, kind = time.perf_counter() - begin, event.kind
        if kind == "preparing":
            marks[f"{event.what} done"] = now
        elif kind == "step":
            marks.setdefault("first step read", now)
            steps.setdefault(event.epoch, []).append((now, event.images))
        elif kind == "epoch":
            marks[f"epoch {event.epoch} judged"] = now
            told["val_accuracy"] = event.val_accuracy
        elif kind == "kept":
            told |= {"kept at": event.block, "kept_mib": event.size_bytes / 2**20, "each": event.seconds_per_image}
        elif kind == "first_steps":
            told |= {"step_seconds": event.seconds_per_step, "memory_mib": event.memory_bytes / 2**20}
        elif kind == "started":
            told |= {"precision": event.precision, "splits": event.splits, "steps an epoch": event.steps_per_epoch}
        elif kind == "memory":
            told["images at once"] = event.images_at_once
        elif kind == "glance":
            marks["first number"] = now
        elif kind == "tested":
            marks["tested"] = now
        elif kind == "ended":
            marks["ended"] = now
            if event.outcome != "finished":
                raise RuntimeError(f"{event.outcome}: {event.code} {event.values}")
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    rates = {epoch: rate for epoch, some in steps.items() if (rate := _rate(some)) is not None}
    rounded = {mark: round(second, 3) for mark, second in marks.items()}
    return {"value": marks["ended"], "unit": "s", "marks": rounded, "images/s in steps": rates, **told}


def _rate(steps: list[tuple[float, int]]) -> float | None:
    """Steps are read in groups: from the first group's reading to the last one's."""
    first, last = steps[0][0], steps[-1][0]
    later = [(at, images) for at, images in steps if at - first > 0.005]
    return sum(images for _, images in later) / (last - first) if later else None


@contextmanager
def _reference(bench: Bench, *, random: bool) -> Iterator[reference.Loader | None]:
    made: list[reference.Loader] = []

    def begin() -> Row:
        made.append(reference.loader(bench, material.files(bench.scratch / WEB), random=random))
        return reference.started(made[0])

    bench.attempt(f"DataLoader, {bench.sizes.workers} workers: start", begin)
    yield made[0] if made else None


# H3


def head(bench: Bench) -> None:
    """H3."""
    sizes = bench.sizes
    workspace, dataset = imported(bench)
    recipe = Recipe(
        dataset=dataset, backbone=sizes.backbone, weights=str(weights_file(bench.scratch, sizes.backbone)),
        image_size=sizes.side, batch_size=sizes.batch, epochs=sizes.epochs, val_fraction=0.05, test_fraction=0.05,
        device=str(bench.device),
    )  # fmt: skip
    recipe = ruled(recipe, "head")
    ours = bench.attempt("ours: from files", lambda: fitted(recipe, workspace, "head"))
    again = recipe.changed(lr=recipe.lr / 2)
    second = bench.attempt("ours: again at another rate", lambda: fitted(again, workspace, "head-again"))
    fresh = again.changed(seed=1, split_seed=1)
    bench.attempt("ours: another split, pixels anew", lambda: fitted(fresh, workspace, "head-warm"))
    if ours:
        bench.tell("ours: 50,000 images, extrapolated", value=ours["value"] * FIFTY / sizes.small, unit="s")
    with _reference(bench, random=False) as batches:
        for tuned in (False, True) if batches else ():
            policy = "tuned" if tuned else "plain"

            def work(tuned: bool = tuned) -> Row:
                row = reference.epoch(bench, batches, head_only=True, tuned=tuned, seconds=PEER_SECONDS)
                return {**row, "extrapolated": {f"{sizes.epochs} epochs, s": sizes.epochs * sizes.small / row["value"]}}

            row = bench.attempt(f"reference, {policy}: 1 epoch", work)
            for name, mine in (("from files", ours), ("again", second)):
                if row and mine:
                    ratio = sizes.epochs * sizes.small / row["value"] / mine["value"]
                    bench.tell(f"reference {policy} / ours, {name}, {sizes.epochs} epochs", value=ratio, unit="times")


# H4


def full(bench: Bench) -> None:
    """H4. A step's speed leaves out decoding, validation and checkpoints; seconds to the end have them."""
    sizes = bench.sizes
    workspace, dataset = imported(bench)
    recipe = Recipe(
        dataset=dataset, backbone=sizes.backbone, weights=str(weights_file(bench.scratch, sizes.backbone)),
        image_size=sizes.side, batch_size=sizes.batch, epochs=2, val_fraction=0.05, test_fraction=0.05, augment=MOVING,
        optimizer="sgd", lr=0.05, device=str(bench.device),
    )  # fmt: skip
    recipe = ruled(recipe, "full")
    ours = bench.attempt("ours: 2 epochs from files", lambda: fitted(recipe, workspace, "full"))
    speed = max(ours["images/s in steps"].values(), default=0.0) if ours else 0.0
    if speed:
        bench.tell("ours: steps", value=speed, unit="images/s")
    for size in dict.fromkeys((sizes.batch, 32)):
        bench.attempt(f"bare loop, pixels on the device, batch {size}", lambda size=size: _bare(bench, size, graph=False))
        bench.attempt(f"the same, step as a graph, batch {size}", lambda size=size: _bare(bench, size, graph=True), gpu=True)
    with _reference(bench, random=True) as batches:
        if batches:
            bench.attempt("DataLoader alone", lambda: reference.loading(bench, batches, PEER_SECONDS / 2))
        for tuned in (True, False) if batches else ():
            policy = "tuned" if tuned else "plain"

            def work(tuned: bool = tuned) -> Row:
                return reference.epoch(bench, batches, head_only=False, tuned=tuned, seconds=PEER_SECONDS)

            row = bench.attempt(f"reference, {policy}: 1 epoch", work)
            if row and speed:
                bench.tell(f"ours / reference {policy}, speed of steps", value=speed / row["value"], unit="times")
    bench.tell("timm's loop", skipped="not among the project's packages; its loader's way is in the reference")


def _bare(bench: Bench, batch: int, *, graph: bool, backbone: str = "", side: int = 0) -> Row:
    """Bytes on the device, our augmentation, forward, backward, update; nothing is read, judged or saved.

    The augmentation stays outside of the graph: it makes small constants on the host.
    """
    sizes, device = bench.sizes, bench.device
    backbone, side = backbone or sizes.backbone, side or sizes.side
    network = build(backbone, classes=CLASSES, weights="random", image_size=side)
    model = network.model.to(device).to(memory_format=torch.channels_last).train()
    count, room = max(batch, min(sizes.small, 4096)), working_size(MOVING, side)
    pixels = torch.randint(0, 256, (count, 3, room, room), dtype=torch.uint8, device=device)
    labels = torch.randint(0, CLASSES, (count,), device=device)
    table = torch.rand(count, len(Draw), device=device)
    inputs = torch.zeros(batch, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    wanted = torch.zeros(batch, dtype=torch.int64, device=device)
    step = learning(bench, model, inputs, wanted)
    learn = captured(step) if graph else step

    def whole() -> None:
        rows = torch.randint(0, count, (batch,), device=device)
        inputs.copy_(augment(pixels[rows], table[rows], MOVING, side, mean=network.mean, std=network.std))
        wanted.copy_(labels[rows])
        learn()

    def changed() -> Tensor:
        return augment(pixels[:batch], table[:batch], MOVING, side, mean=network.mean, std=network.std)

    return {**bench.speed(whole, batch), "augment_ms": 1000 * batch / bench.speed(changed, batch)["value"]}


# H8


def sprint(bench: Bench) -> None:
    """H8: about as many images as Imagenette has (9,469 to learn from), generated, five epochs from scratch."""
    sizes = bench.sizes
    workspace, dataset = imported(bench)
    recipe = Recipe(
        dataset=dataset, backbone=sizes.sprint_backbone, weights="random", image_size=sizes.sprint_side,
        batch_size=sizes.sprint_batch, epochs=5, val_fraction=0.29, test_fraction=0.2365, augment=MOVING, optimizer="sgd",
        lr=0.2, schedule="one-cycle", warmup_epochs=0.0, device=str(bench.device),
    )  # fmt: skip
    recipe = ruled(recipe, "scratch")
    bench.attempt("ours: 5 epochs from files", lambda: fitted(recipe, workspace, "sprint"))
    bench.attempt("ours: again, pixels kept", lambda: fitted(recipe.changed(seed=1), workspace, "sprint-again"))
    size, name, side = sizes.sprint_batch, sizes.sprint_backbone, sizes.sprint_side
    bench.attempt(f"bare loop, batch {size}", lambda: _bare(bench, size, graph=False, backbone=name, side=side))
    bench.attempt(
        f"step as a graph, batch {size}", lambda: _bare(bench, size, graph=True, backbone=name, side=side), gpu=True
    )
