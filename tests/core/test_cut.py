"""A network can be cut in two at its freeze boundary, and both halves together are the network."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from core.backbones import Network, build, cards, layer_tree
from core.cut import Cuttable, Place, _Tracer, digest, folded
from core.layers import LayerTree
from core.optim import apply_plan, train_mode
from core.plan import Plan, plan
from core.recipe import BlockRule, Recipe
from core.strategies import apply_strategy

CLASSES = 4
FAMILIES = {card.family: card for card in sorted(cards(), key=lambda card: -card.parameters)}
"""The smallest network of each."""
SIZE = {card.name: card.nearest_size(48) for card in FAMILIES.values()}
SMALL = [card.name for card in FAMILIES.values() if card.parameters < 30_000_000]


def made(name: str) -> tuple[Network, LayerTree]:
    size = SIZE.get(name, 48)
    network = build(name, classes=CLASSES, weights="random", image_size=size, seed=3)
    return network, layer_tree(name, classes=CLASSES, image_size=size)


def images(name: str, count: int = 3) -> Tensor:
    size = SIZE.get(name, 48)
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def cut(network: Network, tree: LayerTree, the_plan: Plan) -> tuple[Cuttable, tuple[Place, ...]]:
    apply_plan(network.model, the_plan)
    train_mode(network.model, the_plan)
    moving = frozenset(name for group in the_plan.groups for name in group.parameters)
    cuttable = Cuttable(network.model, tree, moving)
    return cuttable, cuttable.places(images(network.name, 2))


def frozen_up_to(tree: LayerTree, chance: float, seed: int) -> tuple[BlockRule, ...]:
    """Freezes each row by chance, the head never."""
    draws = torch.rand(len(tree.rows), generator=torch.Generator().manual_seed(seed)).tolist()
    frozen = [row.path for row, draw in zip(tree.rows, draws, strict=True) if draw < chance and row.path != tree.head]
    return tuple(BlockRule(path=path, trainable=False) for path in frozen)


@pytest.mark.parametrize("name", SMALL)
def test_both_halves_give_what_the_network_gives_at_every_place(name: str) -> None:
    network, tree = made(name)
    cuttable, places = cut(network, tree, plan(tree, apply_strategy(Recipe(backbone=name), "head", tree).rules))
    network.model.eval()
    with torch.no_grad():
        wanted = network.model(images(name))
        for place in places[:: max(1, len(places) // 6)] + places[-1:]:
            activations = cuttable.below(place)(images(name))
            assert activations.shape[1:] == place.shape
            assert torch.equal(cuttable.above(place)(activations), wanted), place


@pytest.mark.parametrize("name", SMALL)
def test_the_upper_half_learns_as_the_whole_network_does(name: str) -> None:
    """E2: gradients of every weight that learns, whatever is frozen; what lies below gets none."""
    network, tree = made(name)
    the_plan = plan(tree, frozen_up_to(tree, 0.7, seed=len(name)))
    cuttable, places = cut(network, tree, the_plan)
    model = network.model
    for module in model.modules():
        if isinstance(module, nn.Dropout) or type(module).__name__ == "StochasticDepth":
            module.eval()  # chance is compared elsewhere
    labels = torch.tensor([0, 1, 3])
    buffers = {key: buffer.clone() for key, buffer in model.named_buffers()}
    torch.autograd.backward(nn.functional.cross_entropy(model(images(name)), labels))
    wanted = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
    for place in places[-1:]:
        model.zero_grad(set_to_none=True)
        for key, buffer in model.named_buffers():
            buffer.copy_(buffers[key])
        with torch.no_grad():
            activations = cuttable.below(place)(images(name))
        assert not activations.requires_grad
        torch.autograd.backward(nn.functional.cross_entropy(cuttable.above(place)(activations), labels))
        found = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
        assert found.keys() == wanted.keys()
        for key, gradient in wanted.items():
            assert torch.allclose(found[key], gradient, rtol=1e-5, atol=1e-5 * max(1.0, gradient.abs().max().item())), key


@pytest.mark.parametrize("name", SMALL)
def test_every_family_can_be_cut_below_its_head(name: str) -> None:
    network, tree = made(name)
    _, places = cut(network, tree, plan(tree, apply_strategy(Recipe(backbone=name), "head", tree).rules))
    assert places[-1].below > 0.85
    assert [place.below for place in places] == sorted(place.below for place in places)


def test_nothing_can_be_cut_where_the_first_layer_learns() -> None:
    network, tree = made("resnet18")
    for rules in ((), (BlockRule(path="layer3", trainable=False),)):
        assert cut(network, tree, plan(tree, rules))[1] == ()


def test_the_cut_lies_below_the_lowest_block_that_learns_however_much_above_is_frozen() -> None:
    network, tree = made("resnet18")
    rules = (
        BlockRule(path="", trainable=False),
        BlockRule(path="layer2", trainable=True),
        BlockRule(path="fc", trainable=True),
    )
    _, places = cut(network, tree, plan(tree, rules))
    assert places[-1].path == "layer1"


def test_biases_that_learn_right_behind_the_input_leave_nothing_to_keep() -> None:
    network, tree = made("resnet18")
    the_plan = plan(tree, apply_strategy(Recipe(backbone="resnet18"), "bias", tree).rules)
    _, places = cut(network, tree, the_plan)
    assert all(place.below < 0.15 for place in places)


def test_a_frozen_batch_norm_that_still_counts_ends_the_lower_half() -> None:
    """Its statistics would drift with each pass: what is not held cannot be kept."""
    network, tree = made("resnet18")
    _, places = cut(network, tree, plan(tree, apply_strategy(Recipe(backbone="resnet18"), "head", tree).rules))
    network.model.get_submodule("layer2.0.bn1").train()
    moving = frozenset({"fc.weight", "fc.bias"})
    again = Cuttable(network.model, tree, moving).places(images("resnet18", 2))
    assert places[-1].below == pytest.approx(1.0, abs=1e-3)
    assert again[-1].path == "layer1"


def test_dropout_at_work_ends_the_lower_half() -> None:
    network, tree = made("mobilenet_v3_small")
    the_plan = plan(tree, apply_strategy(Recipe(backbone="mobilenet_v3_small"), "head", tree).rules)
    assert cut(network, tree, the_plan)[1][-1].path == "classifier.2"
    network.model.get_submodule("classifier.2").train()
    moving = frozenset({"classifier.3.weight", "classifier.3.bias"})
    assert Cuttable(network.model, tree, moving).places(images("mobilenet_v3_small", 2))[-1].path == "classifier.1"


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "densenet121"])
def test_folding_changes_rounding_alone_and_nothing_of_the_network(name: str) -> None:
    network, tree = made(name)
    cuttable, places = cut(network, tree, plan(tree, apply_strategy(Recipe(backbone=name), "head", tree).rules))
    for module in network.model.modules():  # statistics that are not those of a fresh network
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
            module.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(0))
    before = {key: tensor.clone() for key, tensor in network.model.state_dict().items()}
    plain, quick = cuttable.below(places[-1]), folded(cuttable.below(places[-1]))
    with torch.no_grad():
        wanted, found = plain(images(name)), quick(images(name))
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5 * wanted.abs().max().item())
    norms = [sum(isinstance(m, nn.BatchNorm2d) for m in half.modules()) for half in (plain, quick)]
    assert norms[1] == 0 if name != "densenet121" else 0 < norms[1] < norms[0]  # there, norms come before convolutions
    after = network.model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_weights_in_half_precision_are_copies() -> None:
    network, tree = made("resnet18")
    cuttable, places = cut(network, tree, plan(tree, apply_strategy(Recipe(backbone="resnet18"), "head", tree).rules))
    half = folded(cuttable.below(places[-1]), torch.bfloat16)
    assert {p.dtype for key, p in half.named_parameters() if "conv" in key} == {torch.bfloat16}
    assert {p.dtype for p in network.model.parameters()} == {torch.float32}


def test_the_digest_tells_weights_statistics_and_the_cut_apart() -> None:
    network, tree = made("thaw-small")
    cuttable, places = cut(network, tree, plan(tree, apply_strategy(Recipe(backbone="thaw-small"), "head", tree).rules))
    first = digest(cuttable.below(places[-1]))
    assert digest(cuttable.below(places[-1])) == first
    assert digest(cuttable.below(places[-3])) != first
    with torch.no_grad():
        network.model.get_parameter("layer1.0.conv1.weight")[0, 0, 0, 0] += 1
    second = digest(cuttable.below(places[-1]))
    network.model.get_buffer("bn1.running_mean")[0] += 1
    assert len({first, second, digest(cuttable.below(places[-1]))}) == 3


def test_a_middle_part_leads_from_one_cut_to_the_next() -> None:
    network, tree = made("resnet18")
    cuttable, places = cut(network, tree, plan(tree, apply_strategy(Recipe(backbone="resnet18"), "head", tree).rules))
    low, high = next(place for place in places if place.path == "layer2"), places[-1]
    with torch.no_grad():
        step = cuttable.below(high, start=low)(cuttable.below(low)(images("resnet18")))
        assert torch.equal(step, cuttable.below(high)(images("resnet18")))


def test_other_threads_compute_and_trace_while_a_network_is_traced() -> None:
    inside, over = threading.Event(), threading.Event()

    class Halting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            inside.set()
            assert over.wait(20)
            return self.inner(x)

    call, other = nn.Module.__call__, Halting()
    with ThreadPoolExecutor(2) as threads:
        traced = threads.submit(_Tracer().trace, Halting())
        assert inside.wait(20)
        second = threads.submit(lambda: _Tracer().trace(nn.Sequential(other.inner)))
        assert other.inner(torch.ones(1, 2)).shape == (1, 2)
        over.set()
        assert other(torch.ones(1, 2)).shape == (1, 2)
        for graph in (traced.result(20), second.result(20)):
            assert [node.op for node in graph.nodes] == ["placeholder", "call_module", "output"]
    assert nn.Module.__call__ is call


def test_nothing_that_is_written_over_is_kept() -> None:
    network = build("efficientnet_b0", classes=3, image_size=64)
    tree = layer_tree("efficientnet_b0", classes=3, image_size=64)
    made = plan(tree, [BlockRule(path="features", trainable=False)])
    apply_plan(network.model, made)
    cuttable = Cuttable(network.model.eval(), tree, frozenset(name for group in made.groups for name in group.parameters))
    images = torch.randn(2, 3, 64, 64)
    places = cuttable.places(images)
    assert "features.0.1" not in {place.path for place in places}  # a batch norm, before an activation in place
    for place in places:
        kept = cuttable.below(place)(images)
        before = kept.clone()
        with torch.no_grad():
            cuttable.above(place)(kept)
        assert torch.equal(kept, before), place.node
