"""Cuts: every network of the catalogue, frozen by chance, learns above its cut what it learns as a whole (gate E2).

Three steps of each way, the lower half asked once: gradients of all that learns agree, what is frozen stays as it was to the
bit, its statistics included, and each row that is frozen gives no gradient.
"""

import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.nightly.proof import Proof, many
from core.backbones import build, cards, layer_tree
from core.cut import Cuttable, Place
from core.optim import apply_plan, train_mode
from core.plan import plan
from core.recipe import BlockRule

SETS = 1
"""Of frozen rows for each network; `--scale` makes them more, or the networks fewer."""
STEPS = 3
SIZE = 64
RATE = 1e-3
TOLERANCE = 1e-5


def prove(scale: float, seed: int, folder: Path) -> Proof:
    """All networks at scale 1, the smallest ones below."""
    found = sorted(cards(), key=lambda card: card.parameters)
    found = found[: many(len(found), min(scale, 1.0), 2)]
    proof = Proof("cuts", {"networks": 0, "sets": 0, "cut": 0, "gradients": 0, "frozen": 0})
    for card in found:
        for turn in range(many(SETS, scale)):
            rng = random.Random(f"{seed} {card.name} {turn}")
            try:
                _one(card.name, card.nearest_size(SIZE), rng, proof)
            except Exception as error:
                proof.faults.append(f"{card.name}, set {turn} (seed {seed}): {type(error).__name__}: {error}")
        proof.figures["networks"] += 1
    return proof


def _one(name: str, size: int, rng: random.Random, proof: Proof) -> None:
    network = build(name, classes=4, weights="random", image_size=size, seed=3)
    tree = layer_tree(name, classes=4, image_size=size)
    rows = [row.path for row in tree.rows if row.path != tree.head]
    lowest = rng.randrange(1, len(rows) + 1)
    frozen = rows[:lowest] + [path for path in rows[lowest:] if rng.random() < 0.3]
    made = plan(tree, [BlockRule(path=path, trainable=False) for path in frozen])
    apply_plan(network.model, made)
    train_mode(network.model, made)
    for module in network.model.modules():
        if isinstance(module, nn.Dropout) or type(module).__name__ == "StochasticDepth":
            module.eval()  # chance is compared elsewhere
    moving = frozenset(name for group in made.groups for name in group.parameters)
    cuttable = Cuttable(network.model, tree, moving)
    places = cuttable.places(torch.zeros(2, 3, size, size))
    proof.figures["sets"] += 1
    if not places:
        return
    proof.figures["cut"] += 1
    _compare(network.model, cuttable, rng.choice(places), moving, size, proof)


def _compare(model: nn.Module, cuttable: Cuttable, place: Place, moving: frozenset[str], size: int, proof: Proof) -> None:
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 3])
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    learns = {key: weight for key, weight in model.named_parameters() if key in moving}

    def steps(outputs: Callable[[], Tensor]) -> list[dict[str, Tensor]]:
        """Gradients of each step."""
        told = []
        for _ in range(STEPS):
            model.zero_grad(set_to_none=True)
            torch.autograd.backward(cross_entropy(outputs(), labels))
            told.append({key: weight.grad.clone() for key, weight in model.named_parameters() if weight.grad is not None})
            with torch.no_grad():
                for key, weight in learns.items():
                    weight -= RATE * told[-1][key]
        return told

    wanted = steps(lambda: model(images))
    frozen = {key for key in before if key not in moving}
    held = [key for key in frozen if torch.equal(model.state_dict()[key], before[key])]
    moved = frozen - set(held) - {key for key in frozen if _counts_above(key, moving)}
    if moved:
        proof.faults.append(f"{place.path}: {sorted(moved)[:3]} moved though frozen")
    proof.figures["frozen"] += len(held)
    model.load_state_dict(before)
    with torch.no_grad():
        activations = cuttable.below(place)(images)
    upper = cuttable.above(place)
    found = steps(lambda: upper(activations))
    for step, (one, other) in enumerate(zip(wanted, found, strict=True)):
        if one.keys() != other.keys() or one.keys() - moving:
            proof.faults.append(f"{place.path}, step {step}: other weights have gradients")
            return
        for key, gradient in one.items():
            most = TOLERANCE * max(1.0, gradient.abs().max().item())
            if not torch.allclose(other[key], gradient, rtol=TOLERANCE, atol=most):
                far = (other[key] - gradient).abs().max().item()
                proof.faults.append(f"{place.path}, step {step}: {key} differs by {far:.2g} of {most:.2g}")
            proof.figures["gradients"] += 1


def _counts_above(key: str, moving: frozenset[str]) -> bool:
    """Statistics of a norm that learns are no part of what is frozen."""
    module = key.rpartition(".")[0]
    return f"{module}.weight" in moving or f"{module}.bias" in moving
