"""Cards and trees lie in the workspace once they were asked for, so that a page without torch can show them at once."""

import subprocess
import sys
from pathlib import Path

import pytest

import core.backbones as backbones
from core.backbones import card, cards, check_image_size, fetch, layer_tree
from core.errors import RecipeError, WeightsError
from core.workspace import Workspace, open_workspace

ROOT = Path(backbones.__file__).resolve().parents[2]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return open_workspace(tmp_path / "workspace")


def cached(workspace: Workspace) -> list[Path]:
    return sorted((workspace.cache / "backbones").glob("*"))


def elsewhere(code: str, workspace: Workspace) -> str:
    """What another process prints, to whom the workspace is `w`."""
    start = f"import sys, pathlib, core.workspace; w = core.workspace.Workspace(pathlib.Path({str(workspace.root)!r}));"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.strip()


def test_another_process_shows_cards_and_trees_without_torch(workspace: Workspace) -> None:
    made = layer_tree("resnet18", classes=6, image_size=96, workspace=workspace)
    assert len(cards(workspace)) == 81
    code = (
        "from core.backbones import cards, layer_tree;"
        "t = layer_tree('resnet18', classes=6, image_size=96, workspace=w);"
        "print(len(cards(w)), t.root.flops, t.root.total, t.starts, 'torch' in sys.modules)"
    )
    assert elsewhere(code, workspace) == f"81 {made.root.flops} {made.root.total} {made.starts} False"


def test_what_is_read_from_the_cache_is_what_was_computed(workspace: Workspace) -> None:
    computed = layer_tree("mobilenet_v2", classes=6, image_size=64)
    layer_tree("mobilenet_v2", classes=6, image_size=64, workspace=workspace)
    backbones._tree.cache_clear()
    assert layer_tree("mobilenet_v2", classes=6, image_size=64, workspace=workspace) == computed


def test_the_cache_tells_versions_classes_and_sizes_apart(workspace: Workspace) -> None:
    for classes, size in [(6, 64), (6, 96), (7, 64)]:
        tree = layer_tree("squeezenet1_1", classes=classes, image_size=size, workspace=workspace)
        assert (tree.root.output_shape, tree.image_size) == ((classes,), size)
    trees = [file.name for file in cached(workspace) if file.name.startswith("tree-")]
    from importlib.metadata import version

    end = f"{version('torchvision')}-{backbones.FORMAT}.json"
    assert trees == [f"tree-squeezenet1_1-{key}-{end}" for key in ("6-64", "6-96", "7-64")]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"backbone": 3}', b"\xff\xfe"])
def test_a_damaged_cache_is_computed_again(workspace: Workspace, damage: bytes) -> None:
    before = layer_tree("squeezenet1_1", classes=6, image_size=64, workspace=workspace)
    file = next(file for file in cached(workspace) if file.name.startswith("tree-"))
    whole = file.read_bytes()
    file.write_bytes(damage)
    backbones._tree.cache_clear()
    assert layer_tree("squeezenet1_1", classes=6, image_size=64, workspace=workspace) == before
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    workspace = Workspace(tmp_path)
    assert layer_tree("squeezenet1_1", classes=6, image_size=64, workspace=workspace).root.output_shape == (6,)
    assert len(cards(workspace)) == 81


def test_a_second_call_in_one_process_gives_the_same_object(workspace: Workspace) -> None:
    first = layer_tree("resnet18", classes=6, image_size=64, workspace=workspace)
    assert layer_tree("resnet18", classes=6, image_size=64, workspace=workspace) is first


@pytest.mark.parametrize(
    ("name", "asked", "given"), [("vit_b_16", 100, 96), ("maxvit_t", 64, 224), ("inception_v3", 64, 75)]
)
def test_a_tree_for_images_that_the_network_cannot_take_is_that_of_the_nearest_size(
    name: str, asked: int, given: int
) -> None:
    tree = layer_tree(name, classes=6, image_size=asked)
    assert tree.image_size == given
    assert tree == layer_tree(name, classes=6, image_size=given)


@pytest.mark.parametrize("name", ["resnet", "../../etc/passwd", "", "R" * 500])
def test_an_unknown_name_is_refused_and_leaves_no_file(workspace: Workspace, name: str) -> None:
    for ask in (lambda: card(name, workspace), lambda: layer_tree(name, classes=6, workspace=workspace)):
        with pytest.raises(RecipeError) as caught:
            ask()
        assert caught.value.code == "backbone.unknown"
    assert [file.name for file in cached(workspace) if file.name.startswith("tree-")] == []


def test_a_card_says_whether_its_weights_are_here(workspace: Workspace) -> None:
    assert card("thaw-small", workspace).local
    assert not card("resnet18", workspace).local
    (workspace.weights / "resnet18-f37072fd.pth").write_bytes(b"")
    assert card("resnet18", workspace).local
    assert {one.name for one in cards(workspace) if one.local} == {"resnet18", "thaw-small"}


def test_weights_in_torchs_own_cache_are_here(workspace: Workspace, tmp_path: Path) -> None:
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    (hub / "resnet34-b627a593.pth").write_bytes(b"")
    assert card("resnet34", workspace).local


def test_image_sizes_are_checked_by_name(workspace: Workspace) -> None:
    check_image_size("resnet18", 64, workspace)
    with pytest.raises(RecipeError, match="inception_v3 cannot work with images of 64"):
        check_image_size("inception_v3", 64, workspace)


def test_fetching_goes_by_name(workspace: Workspace) -> None:
    with pytest.raises(RecipeError, match="no backbone called resnet-18"):
        fetch("resnet-18", workspace)
    with pytest.raises(WeightsError, match="no pretrained weights of thaw-small to download"):
        fetch("thaw-small", workspace)
