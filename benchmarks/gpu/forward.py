"""H2: the frozen forward pass in five ways. H5: learning the last stage from activations that lie on the GPU."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from benchmarks.gpu.bench import Bench, Row, captured
from benchmarks.gpu.nets import frozen, halved, learning, ready, ruled
from benchmarks.peers.material import CLASSES
from core.backbones import Network, build, layer_tree
from core.plan import plan
from core.recipe import Recipe
from core.tasks.classification import Classification
from core.training.learner import Learner
from core.training.trunk import Trunk

FLOORS = {"resnet18": 272_000, "resnet50": 108_000, "vit_b_16": 28_000, "mobilenet_v3_small": 840_000}
"""Images/s of an H200 that arithmetic or memory would allow (989 TFLOP/s, 4.8 TB/s), whichever is less."""
COMPILED = "resnet50"


def forward(bench: Bench) -> None:
    """H2."""
    for backbone in bench.sizes.networks:
        made: list[tuple[Network, Trunk]] = []

        def cut(backbone: str = backbone, made: list[tuple[Network, Trunk]] = made) -> Row:
            begin = time.perf_counter()
            made.append(frozen(bench, backbone, bench.sizes.side))
            return {"value": time.perf_counter() - begin, "unit": "s", "cut": made[0][1].place.path}

        bench.attempt(f"{backbone}: cut and fold", cut)
        for batch in bench.sizes.batches if made else ():
            _ways(bench, backbone, *made[0], batch)


def _ways(bench: Bench, backbone: str, network: Network, trunk: Trunk, batch: int) -> None:
    side, model, below = bench.sizes.side, network.model.eval(), trunk.below.eval()
    pixels = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, device=bench.device)
    images = ready(pixels, network)
    plain = images.contiguous(memory_format=torch.contiguous_format)

    def run(half: nn.Module | Callable[[Tensor], Tensor], inputs: Tensor) -> Callable[[], Tensor]:
        def once() -> Tensor:
            with halved(bench):
                found: Tensor = half(inputs)
            return found

        return once

    def measured(work: Callable[[], object]) -> Row:
        row = bench.speed(work, batch)
        return {**row, "of floor": round(row["value"] / FLOORS[backbone], 3)}

    def searched() -> Row:
        torch.backends.cudnn.benchmark = True
        try:
            return measured(run(below, images))
        finally:
            torch.backends.cudnn.benchmark = False

    def compiled() -> Row:
        fast = torch.compile(below)
        seconds = bench.seconds(run(fast, images))
        return {**measured(run(fast, images)), "compile_seconds": seconds}

    def nchw() -> Row:
        model.to(memory_format=torch.contiguous_format)
        try:
            return measured(run(model, plain))
        finally:
            model.to(memory_format=torch.channels_last)

    title = f"{backbone}, batch {batch}"
    if batch == bench.sizes.batches[0]:
        bench.attempt(
            f"{title}: folded against single precision", lambda: _likeness(bench, trunk, images, run(below, images))
        )
    bench.attempt(f"{title}: eager nchw", nchw)
    bench.attempt(f"{title}: eager nhwc", lambda: measured(run(model, images)))
    bench.attempt(f"{title}: nhwc, norms folded", lambda: measured(run(below, images)))
    bench.attempt(f"{title}: folded, cuDNN searches", searched, gpu=True)
    bench.attempt(f"{title}: folded, graph", lambda: measured(captured(run(below, images))), gpu=True)
    if backbone == COMPILED and batch == bench.sizes.batches[0]:
        bench.attempt(f"{title}: folded, compiled", compiled, gpu=True, least=20.0)


def _likeness(bench: Bench, trunk: Trunk, images: Tensor, folded: Callable[[], Tensor]) -> Row:
    """A fast wrong answer is none: cosine of what both say about the same images."""
    whole = trunk.cuttable.below(trunk.place)
    with torch.no_grad():
        true, found = whole(images).float().flatten(1), folded().float().flatten(1)
    return {"value": float(F.cosine_similarity(true, found).min()), "unit": "least cosine"}


# H5


def tail(bench: Bench) -> None:
    """H5."""
    sizes, made = bench.sizes, []

    def begin() -> Row:
        made.append(_tail(bench))
        place = made[0][1].place
        return {"value": made[0][2].nbytes / 2**20, "unit": "MiB kept", "cut": place.path, "shape": list(place.shape)}

    bench.attempt("activations of the last stage", begin)
    for batch in sizes.tail_batches if made else ():
        _tail_ways(bench, *made[0], batch)


def _tail_ways(bench: Bench, learner: Learner, trunk: Trunk, kept: Tensor, labels: Tensor, batch: int) -> None:
    rows = torch.randint(0, len(kept), (batch,), device=bench.device)
    bench.attempt(f"batch {batch}: the engine's step", lambda: _engine(bench, learner, kept, labels, batch))
    for norms in ("learn", "are held"):
        rates: list[float] = []
        for way in ("eager", "graph"):

            def work(norms: str = norms, way: str = way) -> Row:
                return _tail_step(bench, trunk.above, kept, labels, rows, held=norms == "are held", graph=way == "graph")

            row = bench.attempt(f"batch {batch}: norms {norms}, {way}", work, gpu=way == "graph")
            rates += [row["value"]] if row else []
        if len(rates) == 2:
            bench.tell(f"batch {batch}: graph / eager, norms {norms}", value=rates[1] / rates[0], unit="times")


def _tail(bench: Bench) -> tuple[Learner, Trunk, Tensor, Tensor]:
    """A learner whose last stage learns, and activations at its cut, as they lie in memory."""
    sizes = bench.sizes
    tree = layer_tree(sizes.backbone, classes=CLASSES, image_size=sizes.side)
    recipe = ruled(Recipe(backbone=sizes.backbone, image_size=sizes.side, instruments=False), "last-stage")
    network = build(sizes.backbone, classes=CLASSES, weights="random", image_size=sizes.side)
    network.model.to(bench.device).to(memory_format=torch.channels_last)
    learner = Learner(
        network, plan(tree, recipe.rules, epoch=1), Classification(), recipe, device=bench.device,
        precision="bf16" if bench.cuda else "fp32", tree=tree, images=sizes.cached,
    )  # fmt: skip
    trunk = learner.outlook.trunk
    if trunk is None:
        raise ValueError("nothing is set apart")
    parts = []
    for start in range(0, sizes.cached, 256):
        count = min(256, sizes.cached - start)
        pixels = torch.randint(0, 256, (count, 3, sizes.side, sizes.side), dtype=torch.uint8, device=bench.device)
        parts.append(learner.activations(pixels, None))
    kept = torch.cat(parts)
    if trunk.place.channels_last:
        kept = kept.contiguous(memory_format=torch.channels_last)
    return learner, trunk, kept, torch.randint(0, CLASSES, (len(kept),), device=bench.device)


def _engine(bench: Bench, learner: Learner, kept: Tensor, labels: Tensor, batch: int) -> Row:
    """`Learner.step`, to which the engine adds gathering, events and reading."""
    learner.micro = batch
    done = 0

    def once() -> None:
        nonlocal done
        rows = torch.randint(0, len(kept), (batch,)).to(kept.device)
        learner.step(kept[rows], labels[rows], None, step=done, lr=1e-4)
        done += 1

    return bench.speed(once, batch)


def _tail_step(
    bench: Bench, above: fx.GraphModule, kept: Tensor, labels: Tensor, rows: Tensor, *, held: bool, graph: bool
) -> Row:
    """Gathering, forward, backward and update; with `held` the norms keep their statistics, as a frozen block's do."""
    above.train()
    for module in above.modules():
        if held and isinstance(module, nn.BatchNorm2d):
            module.eval()
    inputs, wanted = kept[rows].clone(memory_format=torch.preserve_format), labels[rows].clone()
    step = learning(bench, above, inputs, wanted)

    def whole() -> Tensor:
        inputs.copy_(kept[rows])
        wanted.copy_(labels[rows])
        return step()

    return bench.speed(captured(whole) if graph else whole, len(rows))
