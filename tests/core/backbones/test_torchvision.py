"""The cards say what torchvision publishes; weights for commerce are preferred; old names and other sizes are adapted."""

from collections import OrderedDict
from dataclasses import asdict

import pytest
import torch
import torchvision

from core.backbones.facts import Card
from core.backbones.torchvision import adapt, cards, make, names

CARDS = {card.name: card for card in cards()}


def test_every_classifier_of_torchvision_is_there_and_nothing_else() -> None:
    assert names() == tuple(torchvision.models.list_models(module=torchvision.models))
    assert not [name for name in names() if "quantized" in name or "rcnn" in name or "r3d" in name]


def test_a_card_says_what_is_published() -> None:
    assert asdict(CARDS["resnet50"]) == asdict(
        Card(
            name="resnet50",
            source="torchvision",
            family="resnet",
            title="ResNet-50",
            parameters=25_557_032,
            gflops=4.089,
            weights_bytes=round(97.79 * 2**20),
            top1=80.858,
            image_size=224,
            min_size=1,
            licence="BSD-3-Clause",
            weights=("pretrained", "random"),
            url="https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
        )
    )


def test_weights_that_may_be_sold_go_before_those_that_may_not() -> None:
    assert {name for name, card in CARDS.items() if card.licence != "BSD-3-Clause"} == {"regnet_y_128gf", "vit_h_14"}
    assert CARDS["vit_b_16"].file == "vit_b_16-c867db91.pth"
    assert CARDS["regnet_y_16gf"].file == "regnet_y_16gf-3e4a00f9.pth"
    assert not [card.name for card in CARDS.values() if "swag" in card.file and card.licence != "CC-BY-NC-4.0"]


def test_features_without_a_classifier_are_not_taken_for_weights() -> None:
    assert CARDS["vgg16"].file == "vgg16-397923af.pth"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("convnext_tiny", "ConvNeXt Tiny"),
        ("densenet121", "DenseNet-121"),
        ("efficientnet_b0", "EfficientNet-B0"),
        ("efficientnet_v2_s", "EfficientNetV2-S"),
        ("mnasnet0_75", "MNASNet 0.75"),
        ("mobilenet_v3_large", "MobileNetV3 Large"),
        ("regnet_x_1_6gf", "RegNetX-1.6GF"),
        ("regnet_y_400mf", "RegNetY-400MF"),
        ("resnext50_32x4d", "ResNeXt-50 32×4d"),
        ("shufflenet_v2_x0_5", "ShuffleNetV2 ×0.5"),
        ("squeezenet1_1", "SqueezeNet 1.1"),
        ("swin_v2_t", "SwinV2-T"),
        ("vgg11_bn", "VGG-11 BN"),
        ("vit_l_32", "ViT-L/32"),
        ("wide_resnet50_2", "Wide ResNet-50-2"),
    ],
)
def test_titles_are_written_as_people_write_them(name: str, title: str) -> None:
    assert CARDS[name].title == title


def test_titles_are_all_different_and_no_bare_names() -> None:
    titles = [card.title for card in CARDS.values()]
    assert len(titles) == len(set(titles))
    assert not [title for title in titles if "_" in title]


@pytest.mark.parametrize(("name", "size"), [("googlenet", 64), ("inception_v3", 75)])
def test_networks_with_auxiliary_heads_give_one_tensor_while_training(name: str, size: int) -> None:
    model = make(name, 3, size).train()
    assert not [key for key in model.state_dict() if "aux" in key.lower()]
    assert model.transform_input is False
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 3)


def test_old_names_of_densenet_are_read_as_todays() -> None:
    old = OrderedDict(
        {
            "features.denseblock1.denselayer1.norm.1.weight": torch.ones(1),
            "features.denseblock1.denselayer1.conv.2.weight": torch.ones(1),
            "features.norm0.weight": torch.ones(1),
        }
    )
    assert list(adapt("densenet121", old, 224)) == [
        "features.denseblock1.denselayer1.norm1.weight",
        "features.denseblock1.denselayer1.conv2.weight",
        "features.norm0.weight",
    ]


def test_a_vision_transformer_for_other_images_gets_its_position_embeddings_interpolated() -> None:
    positions = torch.randn(1, 1 + 14 * 14, 8)
    at = {size: adapt("vit_b_16", {"encoder.pos_embedding": positions}, size)["encoder.pos_embedding"] for size in (224, 96)}
    assert torch.equal(at[224], positions)
    assert at[96].shape == (1, 1 + 6 * 6, 8)
    assert torch.equal(at[96][:, 0], positions[:, 0]), "the token of the class has no place"
    corners = [(0, 0), (5, 5)]
    for row, column in corners:
        far = (row * 13 // 5) * 14 + column * 13 // 5
        assert torch.allclose(at[96][0, 1 + row * 6 + column], positions[0, 1 + far], atol=1e-5)


def test_adapting_changes_neither_the_tensors_that_came_nor_their_versions() -> None:
    came = OrderedDict({"encoder.pos_embedding": torch.randn(1, 197, 8)})
    vars(came)["_metadata"] = {"": {"version": 2}}
    adapted = adapt("vit_b_16", came, 64)
    assert came["encoder.pos_embedding"].shape == (1, 197, 8)
    assert vars(adapted)["_metadata"] == {"": {"version": 2}}
