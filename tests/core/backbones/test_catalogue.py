"""Every classifier of the installed torchvision, by one mechanism: a whole tree, a new head, a step that learns."""

from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import nn

from core.augment import draws
from core.backbones import build, cards, layer_tree
from core.backbones.network import Network
from core.backbones.torchvision import make, names
from core.backbones.tree import hollow
from core.layers import LayerTree
from core.optim import apply_plan, make_optimizer, train_mode
from core.plan import Plan, plan
from core.recipe import Recipe
from core.strategies import STRATEGIES, apply_strategy
from core.tasks.classification import Classification
from core.training.learner import Learner

CLASSES = 7
ALL = [card.name for card in cards()]
SIZE = {card.name: card.nearest_size(64) for card in cards()}
REAL = sorted({card.family: card.name for card in sorted(cards(), key=lambda card: -card.parameters)}.values())
"""The smallest of each family: these take a step on real numbers, all others on the meta device."""


@cache
def tree_of(name: str) -> LayerTree:
    return layer_tree(name, classes=CLASSES, image_size=SIZE[name])


@cache
def bare(name: str) -> nn.Module:
    """The network on the meta device, built past everything that is tested here."""
    if name in names():
        return hollow(lambda classes, size: make(name, classes, size), CLASSES, SIZE[name])
    with torch.device("meta"):
        return build(name, classes=CLASSES, image_size=SIZE[name]).model.to("meta")


def plan_of(name: str, strategy: str) -> Plan:
    tree = tree_of(name)
    return plan(tree, apply_strategy(Recipe(backbone=name, weights="pretrained"), strategy, tree).rules)


def test_the_catalogue_is_whole() -> None:
    import torchvision

    assert set(ALL) == {*torchvision.models.list_models(module=torchvision.models), "thaw-small"}
    assert len(ALL) == len(set(ALL)) == 81


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_is_at_exactly_one_place_of_the_tree(name: str) -> None:
    tree, model = tree_of(name), bare(name)
    placed = [(p.name, p.count, p.dims) for p in tree.root.all_parameters()]
    assert sorted(placed) == sorted((key, p.numel(), p.dim()) for key, p in model.named_parameters())
    assert {block.path: block.type for block in tree.blocks()} == {
        path: type(module).__name__ for path, module in model.named_modules(remove_duplicate=False)
    }
    for block in tree.blocks():
        assert all(p.name.rpartition(".")[0] == block.path for p in block.parameters)
    norms = {path for path, module in model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)}
    assert {block.path for block in tree.blocks() if block.statistics} == norms


@pytest.mark.parametrize("name", ALL)
def test_the_head_is_found_and_gives_the_scores_of_the_new_classes(name: str) -> None:
    tree = tree_of(name)
    weight = dict(bare(name).named_parameters())[f"{tree.head}.weight"]
    assert weight.shape[0] == CLASSES
    assert tree.root.output_shape == (CLASSES,)
    assert tree.rows[-1].path == tree.head or name.startswith("squeezenet")
    assert tree.head in {row.path for row in tree.rows}
    assert len(tree.stages) >= 3


@pytest.mark.parametrize("name", ALL)
def test_every_strategy_puts_every_learning_parameter_into_exactly_one_group(name: str) -> None:
    every = sorted(p.name for p in tree_of(name).root.all_parameters())
    trainable = []
    for strategy in STRATEGIES:
        made = plan_of(name, strategy)
        adapters = {matrix for adapter in made.adapters for matrix in adapter.names}
        grouped = [p for group in made.groups for p in group.parameters]
        assert sorted([*(p for p in grouped if p not in adapters), *made.frozen]) == every
        assert adapters <= set(grouped)
        assert made.trainable == sum(group.count for group in made.groups)
        trainable.append(made.trainable)
    assert trainable[:5] == sorted(trainable[:5]), "the common ones stand in the order in which they learn more"
    assert 0 < trainable[0] < trainable[1] < trainable[2] < trainable[3] == trainable[4] == made.total
    bare_of_norms = name.startswith(("alexnet", "squeezenet", "vgg")) and not name.endswith("_bn")
    lonely = {"norm"} if bare_of_norms else set()
    assert all(
        (count > trainable[0]) == (s not in {"head", *lonely}) for s, count in zip(STRATEGIES, trainable, strict=True)
    )


@pytest.mark.parametrize("name", [name for name in ALL if name not in REAL])
def test_a_step_on_the_meta_device_gives_gradients_to_the_head_alone(name: str) -> None:
    model, made = bare(name), plan_of(name, "head")
    apply_plan(model, made)
    train_mode(model, made)
    optimizer = make_optimizer(model, made, kind="sgd", lr=0.1, momentum=0.9, weight_decay=0.01)
    torch.autograd.backward(model(torch.empty(2, 3, SIZE[name], SIZE[name], device="meta")).sum())
    head = tree_of(name).head
    assert {key for key, p in model.named_parameters() if p.grad is not None} == {
        p.name for p in tree_of(name)[head].all_parameters()
    }
    optimizer.step()


@dataclass
class Fresh:
    """A network with random weights, and what they were."""

    network: Network
    size: int
    before: dict[str, torch.Tensor]

    def changed(self) -> set[str]:
        after = self.network.model.state_dict()
        return {key for key, tensor in self.before.items() if not torch.equal(tensor, after[key])}


@pytest.fixture(scope="module", params=REAL)
def built(request: pytest.FixtureRequest) -> Fresh:
    """One network at a time: a large one takes seconds to make."""
    size = {card.name: card.nearest_size(32) for card in cards()}[request.param]
    network = build(request.param, classes=CLASSES, image_size=size, seed=1)
    return Fresh(network, size, {key: tensor.clone() for key, tensor in network.model.state_dict().items()})


@pytest.fixture
def fresh(built: Fresh) -> Fresh:
    """It as it was made."""
    built.network.model.load_state_dict(built.before)
    built.network.model.zero_grad()
    return built


def test_a_step_with_the_head_alone_changes_the_head_alone(fresh: Fresh) -> None:
    loss = step(fresh, plan_of(fresh.network.name, "head"))
    assert torch.isfinite(loss)
    assert fresh.changed() == {p.name for p in tree_of(fresh.network.name)[fresh.network.head].all_parameters()}


def test_a_step_with_the_last_stage_leaves_all_before_it_bit_identical(fresh: Fresh) -> None:
    made = plan_of(fresh.network.name, "last-stage")
    step(fresh, made)
    loss = step(fresh, made)  # some heads begin at zero: nothing below them learns in the first
    changed = fresh.changed()
    assert torch.isfinite(loss)
    held = tuple(f"{path}." for path in made.held)
    assert {key for key in changed if key in made.frozen or key.startswith(held)} == set()
    learned = {key for group in made.groups for key in group.parameters}
    assert len(learned - changed) <= len(learned) // 2, "weights behind a dead ReLU may stay, most do not"


def test_whatever_the_strategy_frozen_blocks_are_bit_identical_after_a_step(fresh: Fresh) -> None:
    """One network of every family: weights that do not learn and statistics that are held, to the bit. All strategies,
    but of the largest networks only those that freeze in between; the common ones have a test of their own above."""
    network, size, before = fresh.network, fresh.size, fresh.before
    tree = tree_of(network.name)
    recipe = Recipe(backbone=network.name, weights="pretrained", image_size=size, batch_size=2, lr=1e-5, optimizer="sgd")
    nothing = plan(tree, apply_strategy(recipe, "head", tree).rules)
    learner = Learner(network, nothing, Classification(), recipe, device=torch.device("cpu"), precision="fp32")
    pixels = torch.randint(0, 255, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    large = sum(tensor.numel() for tensor in before.values()) > 30_000_000
    for number, strategy in enumerate(("middle", "norm", "bias", "lora") if large else STRATEGIES):
        made = plan_of(network.name, strategy)
        learner.replan(made)
        network.model.load_state_dict(before)
        learner.step(pixels, torch.tensor([0, CLASSES - 1]), draws(0, 1, 2), step=number, lr=1e-5)
        held = tuple(f"{path}." for path in made.held)
        still = {key for key in before if key in made.frozen or key.startswith(held)}
        changed = fresh.changed()
        assert changed & still == set(), strategy
        assert changed - still, strategy


def step(fresh: Fresh, made: Plan) -> torch.Tensor:
    model = fresh.network.model
    apply_plan(model, made)
    train_mode(model, made)
    optimizer = make_optimizer(model, made, kind="sgd", lr=0.1, momentum=0.0, weight_decay=0.01)
    images = torch.randn(2, 3, fresh.size, fresh.size, generator=torch.Generator().manual_seed(0))
    loss = nn.functional.cross_entropy(model(images), torch.tensor([0, CLASSES - 1]))
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.detach()
