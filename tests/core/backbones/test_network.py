"""A network is the same for the same seed, its head new, its published weights in place, whatever else happens around it."""

import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from torchvision.models import VisionTransformer

import core.backbones as backbones
from core.backbones import build, card
from core.backbones.torchvision import make
from core.errors import RecipeError
from core.workspace import Workspace, open_workspace

FAMILIES = [
    "resnet18",
    "mobilenet_v3_small",
    "squeezenet1_1",
    "shufflenet_v2_x0_5",
    "regnet_y_400mf",
    "mnasnet0_5",
    "swin_t",
]
"""One for each way in which torchvision draws fresh weights, but for the large ones."""


def state(name: str, seed: int, classes: int = 4) -> dict[str, torch.Tensor]:
    return build(name, classes=classes, seed=seed, image_size=64).model.state_dict()


@pytest.mark.parametrize("name", [*FAMILIES, "googlenet", "maxvit_t", "efficientnet_b0", "thaw-small"])
def test_fresh_weights_are_those_that_torch_gives_for_the_seed(name: str) -> None:
    size = card(name).nearest_size(64)
    ours = build(name, classes=4, seed=3, image_size=size).model.state_dict()
    before = torch.get_rng_state()
    try:
        torch.manual_seed(3)
        theirs = (backbones.bundled.make if name == "thaw-small" else make)(name, 4, size).state_dict()
    finally:
        torch.set_rng_state(before)
    assert ours.keys() == theirs.keys()
    assert not [key for key in ours if not torch.equal(ours[key], theirs[key])]


@pytest.mark.parametrize("name", FAMILIES)
def test_building_draws_nothing_from_torchs_own_generator(name: str) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    build(name, classes=4, seed=3, image_size=64)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_seed_gives_other_weights() -> None:
    a, b = state("resnet18", 1), state("resnet18", 2)
    assert {key for key in a if not torch.equal(a[key], b[key])} == {
        key for key in a if a[key].dim() == 4 or key.startswith("fc.")
    }


def test_two_threads_that_build_at_once_get_what_each_would_get_alone() -> None:
    alone = {seed: state("shufflenet_v2_x0_5", seed) for seed in (1, 2, 3)}
    together: dict[int, dict[str, torch.Tensor]] = {}
    threads = [
        threading.Thread(target=lambda seed=seed: together.update({seed: state("shufflenet_v2_x0_5", seed)}))
        for seed in alone
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, tensors in alone.items():
        assert not [key for key in tensors if not torch.equal(tensors[key], together[seed][key])]


def test_a_network_says_what_it_is() -> None:
    network = build("squeezenet1_1", classes=4, image_size=64)
    assert (network.name, network.head, network.loaded, network.ignored) == ("squeezenet1_1", "classifier.1", 0, 0)
    assert network.mean == (0.485, 0.456, 0.406)
    assert network.std == (0.229, 0.224, 0.225)
    assert network.model.training
    assert all(p.requires_grad for p in network.model.parameters())
    assert network.model(torch.zeros(2, 3, 64, 64)).shape == (2, 4)


@pytest.mark.parametrize(("name", "size"), [("vit_b_32", 96), ("swin_t", 40), ("maxvit_t", 224)])
def test_a_network_is_built_for_the_size_of_its_images(name: str, size: int) -> None:
    network = build(name, classes=4, image_size=size)
    assert network.model.eval()(torch.zeros(1, 3, size, size)).shape == (1, 4)


def test_an_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"no backbone called resnet-18\. The nearest names are resnet18,") as caught:
        build("resnet-18", classes=4)
    assert caught.value.code == "backbone.unknown"


def test_a_size_that_the_network_cannot_take_is_refused_before_anything_is_built() -> None:
    with pytest.raises(RecipeError, match="must be a multiple of 16"):
        build("vit_b_16", classes=4, image_size=100)


# --- published weights, by a file as torchvision publishes them ----------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return open_workspace(tmp_path / "workspace")


Publish = Callable[..., dict[str, torch.Tensor]]


@pytest.fixture
def publish(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Puts a file of `model` where a download would, under the name that its hash asks for."""

    def put(
        name: str, model: torch.nn.Module, rename: Callable[[str], str] = str, zipped: bool = True
    ) -> dict[str, torch.Tensor]:
        tensors = model.state_dict()
        old = type(tensors)((rename(key), tensor) for key, tensor in tensors.items())
        vars(old).update(vars(tensors))
        out = io.BytesIO()
        torch.save(old, out, _use_new_zipfile_serialization=zipped)
        file = f"{name}-{hashlib.sha256(out.getvalue()).hexdigest()[:8]}.pth"
        (workspace.weights / file).write_bytes(out.getvalue())
        known = replace(card(name), url=f"http://weights.invalid/{file}", weights_bytes=len(out.getvalue()))
        monkeypatch.setattr(backbones, "_published", lambda cache: (known,))
        return {key: tensor.clone() for key, tensor in tensors.items()}

    return put


def loaded(name: str, workspace: Workspace, head: str, taught: dict[str, torch.Tensor], size: int = 64) -> backbones.Network:
    network = build(name, classes=4, weights="pretrained", workspace=workspace, seed=8, image_size=size)
    now = network.model.state_dict()
    assert not [key for key in now if not key.startswith(f"{head}.") and not torch.equal(now[key], taught[key])]
    assert now[f"{head}.weight"].shape[0] == 4
    return network


def test_published_weights_are_loaded_but_for_the_head(publish: Publish, workspace: Workspace) -> None:
    taught = publish("mobilenet_v3_small", torchvision.models.mobilenet_v3_small(weights=None))
    network = loaded("mobilenet_v3_small", workspace, "classifier.3", taught)
    assert (network.loaded, network.ignored) == (len(taught) - 2, 2)
    fresh = build("mobilenet_v3_small", classes=4, seed=8, image_size=64).model.state_dict()
    assert torch.equal(network.model.state_dict()["classifier.3.weight"], fresh["classifier.3.weight"])
    assert network.model.training


def test_files_of_the_old_format_are_loaded(publish: Publish, workspace: Workspace) -> None:
    taught = publish("squeezenet1_1", torchvision.models.squeezenet1_1(weights=None), zipped=False)
    loaded("squeezenet1_1", workspace, "classifier.1", taught)


def test_auxiliary_heads_are_dropped(publish: Publish, workspace: Workspace) -> None:
    full = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False)
    taught = publish("googlenet", full)
    network = loaded("googlenet", workspace, "fc", taught)
    assert network.ignored == 2 + sum(1 for key in taught if key.startswith("aux"))


def test_densenets_old_names_are_understood(publish: Publish, workspace: Workspace) -> None:
    def old(key: str) -> str:
        for kind in ("norm", "conv"):
            for number in "12":
                if "denselayer" in key:
                    key = key.replace(f".{kind}{number}.", f".{kind}.{number}.")
        return key

    taught = publish("densenet121", torchvision.models.densenet121(weights=None), rename=old)
    network = loaded("densenet121", workspace, "classifier", taught)
    assert network.ignored == 2


def test_mnasnet_is_loaded_in_both_its_sizes_of_file(publish: Publish, workspace: Workspace) -> None:
    taught = publish("mnasnet0_5", torchvision.models.mnasnet0_5(weights=None))
    loaded("mnasnet0_5", workspace, "classifier.1", taught)


def test_a_damaged_file_is_not_loaded(publish: Publish, workspace: Workspace) -> None:
    publish("squeezenet1_1", torchvision.models.squeezenet1_1(weights=None))
    file = next(workspace.weights.glob("*.pth"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(backbones.download.WeightsError) as caught:
        build("squeezenet1_1", classes=4, weights="pretrained", workspace=workspace)
    assert caught.value.code == "weights.offline"


def test_a_vision_transformer_sees_other_sizes_by_its_old_position_embeddings(
    publish: Publish, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tiny(name: str, classes: int, image_size: int) -> torch.nn.Module:
        return VisionTransformer(image_size, 32, 2, 2, 16, 32, num_classes=classes)

    monkeypatch.setattr(backbones._source("torchvision"), "make", tiny)
    taught = publish("vit_b_32", tiny("vit_b_32", 1000, 224))
    now = build("vit_b_32", classes=4, weights="pretrained", workspace=workspace, image_size=96).model.state_dict()
    assert now["encoder.pos_embedding"].shape == (1, 1 + 3 * 3, 16)
    assert torch.equal(now["encoder.pos_embedding"][:, 0], taught["encoder.pos_embedding"][:, 0])
    other = {"heads.head.weight", "heads.head.bias", "encoder.pos_embedding"}
    assert not [key for key in now if key not in other and not torch.equal(now[key], taught[key])]
