"""A tree says what the network really does: its costs are those that torch counts on real tensors."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.backbones import build, card, layer_tree
from core.backbones.torchvision import make
from core.backbones.tree import find_head, hollow, read_tree


def really_kept(model: nn.Module, images: torch.Tensor) -> int:
    """Bytes that autograd keeps for the backward pass of real images, weights and statistics left out."""
    known = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model(images)
    assert out.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "densenet121", "vgg11_bn", "shufflenet_v2_x0_5"])
def test_the_numbers_kept_are_those_that_autograd_keeps_of_real_images(name: str) -> None:
    tree = layer_tree(name, classes=5, image_size=64)
    bytes_kept = really_kept(build(name, classes=5, image_size=64).model, torch.randn(2, 3, 64, 64))
    assert 2 * 4 * tree.root.activations == pytest.approx(bytes_kept, rel=0.02)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "vit_b_32"])
def test_the_flops_of_every_block_are_those_that_torch_counts(name: str) -> None:
    size = card(name).nearest_size(64)
    tree, model = layer_tree(name, classes=5, image_size=size), build(name, classes=5, image_size=size).model
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, 3, size, size))
    counted = {
        path.partition(".")[2]: sum(ops.values()) for path, ops in counter.get_flop_counts().items() if path != "Global"
    }
    assert 2 * tree.root.flops == counter.get_total_flops()
    for path, flops in counted.items():
        assert 2 * tree[path].flops == flops, path


@pytest.mark.parametrize("name", ["resnet50", "vit_b_16", "swin_t", "convnext_tiny", "efficientnet_b1", "inception_v3"])
def test_the_flops_are_those_that_torchvision_publishes(name: str) -> None:
    one = card(name)
    tree = layer_tree(name, classes=1000, image_size=one.image_size)
    assert tree.root.flops / 2e9 == pytest.approx(one.gflops, rel=0.01)
    assert tree.root.total == pytest.approx(one.parameters, rel=0.2), "auxiliary heads are left out"


def test_shapes_are_those_of_one_image_without_the_batch() -> None:
    tree = layer_tree("resnet18", classes=5, image_size=64)
    assert tree["conv1"].output_shape == (64, 32, 32)
    assert tree["layer4"].output_shape == (512, 2, 2)
    assert tree["layer4.0.bn1"].output_shape == (512, 2, 2)
    assert tree["fc"].output_shape == tree.root.output_shape == (5,)


def test_a_block_costs_what_its_children_cost_and_what_it_does_itself() -> None:
    for name in ("resnet18", "vit_b_16"):
        for block in layer_tree(name, classes=5).blocks():
            assert block.flops >= sum(child.flops for child in block.children)
            assert block.activations >= sum(child.activations for child in block.children)


def test_parameters_of_containers_are_not_lost() -> None:
    tree = layer_tree("vit_b_16", classes=5)
    assert [p.name for p in tree.root.parameters] == ["class_token"]
    assert [p.name for p in tree["encoder"].parameters] == ["encoder.pos_embedding"]
    attention = tree["encoder.layers.encoder_layer_0.self_attention"]
    assert [p.name.rpartition(".")[2] for p in attention.parameters] == ["in_proj_weight", "in_proj_bias"]
    assert [child.name for child in attention.children] == ["out_proj"]
    assert tree["encoder.layers.encoder_layer_0.self_attention.out_proj"].output_shape is None, "it is never called"


def test_norms_without_running_statistics_are_told_from_those_with() -> None:
    assert layer_tree("resnet18", classes=5)["bn1"].statistics
    assert not layer_tree("vit_b_16", classes=5)["encoder.ln"].statistics


def test_reading_a_tree_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for name in ("regnet_y_400mf", "swin_t", "googlenet"):
        read_tree(name, lambda classes, size, name=name: make(name, classes, size), classes=3, image_size=64)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_hollow_network_takes_no_memory() -> None:
    model = hollow(lambda classes, size: make("regnet_y_128gf", classes, size), 5, 224)
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
    assert sum(p.numel() for p in model.parameters()) > 600e6


class TwoPartHead(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = nn.Conv2d(3, 4, 3)
        self.head = nn.ModuleDict({"a": nn.Linear(4, classes), "b": nn.Linear(4, classes)})


def test_a_head_of_several_layers_is_the_block_that_holds_them_all() -> None:
    assert find_head(TwoPartHead(3), TwoPartHead(4)) == "head"
