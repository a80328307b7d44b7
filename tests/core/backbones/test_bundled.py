"""The small network that comes with Thaw is what its card says, with and without its weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.backbones import build, bundled, card, cards, layer_tree
from core.errors import WeightsError
from core.workspace import Workspace


def test_its_card_says_what_it_is_made_of() -> None:
    tree, one = layer_tree("thaw-small", classes=1000), card("thaw-small")
    assert tree.root.total == one.parameters == 5_418_792
    assert tree.root.flops / 2e9 == pytest.approx(one.gflops, abs=0.001)
    assert (one.source, one.min_size, one.image_size) == ("bundled", 32, 96)


def test_it_has_one_block_a_stage_under_the_names_of_resnet() -> None:
    tree = layer_tree("thaw-small", classes=5)
    assert [stage[0].path for stage in tree.stages] == ["conv1", "layer1", "layer2", "layer3", "layer4"]
    assert [len(tree[f"layer{i}"].children) for i in (1, 2, 3, 4)] == [1, 1, 1, 1]


@pytest.mark.parametrize("size", [32, 33, 64, 100, 224])
def test_it_works_with_small_and_large_images(size: int) -> None:
    network = build("thaw-small", classes=5, image_size=size)
    assert network.model(torch.zeros(2, 3, size, size)).shape == (2, 5)


def test_it_stands_first_on_the_shelf() -> None:
    assert cards()[0].name == "thaw-small"


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bundled, "ASSETS", tmp_path)
    return tmp_path


def test_without_a_file_it_has_random_weights_only_and_says_so(assets: Path) -> None:
    one = card("thaw-small")
    assert (one.weights, one.local, one.weights_bytes) == (("random",), False, 0)
    with pytest.raises(WeightsError, match=r"has no bundled weights for thaw-small yet\. Choose random weights") as caught:
        build("thaw-small", classes=5, weights="bundled")
    assert caught.value.code == "weights.none_bundled"


def test_with_a_file_among_the_assets_it_begins_with_what_it_learned(assets: Path) -> None:
    taught = build("thaw-small", classes=20, seed=9).model.state_dict()
    save_file({key: tensor.contiguous() for key, tensor in taught.items()}, assets / "thaw-small.safetensors")
    one = card("thaw-small")
    assert (one.weights, one.local) == (("bundled", "random"), True)
    assert one.weights_bytes == (assets / "thaw-small.safetensors").stat().st_size
    network = build("thaw-small", classes=5, weights="bundled", seed=1)
    now = network.model.state_dict()
    assert {key for key in now if not torch.equal(now[key], taught[key][:5] if key.startswith("fc") else taught[key])} == {
        "fc.weight",
        "fc.bias",
    }
    assert (network.loaded, network.ignored) == (len(taught) - 2, 2)


def test_other_backbones_do_not_come_with_thaw() -> None:
    with pytest.raises(WeightsError, match=r"weights of resnet18 do not come with Thaw\. Choose one of: pretrained, random"):
        build("resnet18", classes=5, weights="bundled")


def test_it_has_nothing_to_download(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"no pretrained weights of thaw-small to download\. Choose one of: bundled, random"
    ):
        build("thaw-small", classes=5, weights="pretrained", workspace=Workspace(tmp_path))


def test_what_it_ships_with_is_whole_small_and_better_than_chance() -> None:
    one = card("thaw-small")
    assert one.weights == ("bundled", "random")
    assert 1_000_000 < one.weights_bytes < 12_000_000
    taught, fresh = (build("thaw-small", classes=5, weights=kind, seed=1) for kind in ("bundled", "random"))
    assert (taught.loaded, taught.ignored) == (len(taught.model.state_dict()) - 2, 0)
    now, before = taught.model.state_dict(), fresh.model.state_dict()
    assert all(bool(torch.isfinite(tensor).all()) for tensor in now.values())
    assert not any(torch.equal(now[key], before[key]) for key in now if key.endswith("conv1.weight"))
