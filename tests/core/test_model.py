"""A model file says everything needed to use it, answers as the network did, and a damaged one is refused."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from core import model as module
from core.backbones import Network, build
from core.errors import DataError, WeightsError
from core.images import decode
from core.model import Model, load_model, save_model
from core.recipe import Recipe

CLASSES = ("cat", "狗", '<img src=x onerror="1">')
RECIPE = Recipe(backbone="squeezenet1_1", image_size=32, fit="pad")


@pytest.fixture(scope="module")
def network() -> Network:
    made = build("squeezenet1_1", classes=3, image_size=32, seed=3)
    made.mean, made.std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    return made


@pytest.fixture
def file(network: Network, tmp_path: Path) -> Path:
    save_model(tmp_path / "model.safetensors", network, recipe=RECIPE, classes=CLASSES)
    return tmp_path / "model.safetensors"


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def test_a_loaded_model_answers_as_the_one_that_was_saved(network: Network, file: Path) -> None:
    pixels = torch.randint(0, 256, (70, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    loaded = load_model(file)
    assert (loaded.classes, loaded.recipe, loaded.image_size, loaded.fit) == (CLASSES, RECIPE, 32, "pad")
    assert (loaded.network.mean, loaded.network.std) == (network.mean, network.std)
    assert not any(module.training for module in loaded.network.model.modules())
    expected = Model(network, RECIPE, CLASSES).logits(pixels)
    assert expected.shape == (70, 3)
    assert np.abs(loaded.logits(pixels) - expected).max() < 1e-5
    for name, tensor in network.model.state_dict().items():
        assert torch.equal(tensor, loaded.network.model.state_dict()[name]), name


def test_predict_decodes_as_training_does(network: Network) -> None:
    model = Model(network, RECIPE, CLASSES)
    images = [picture(seed) for seed in range(3)]
    got = model.predict(images)
    pixels = torch.from_numpy(np.stack([decode(data, 32, "pad").transpose(2, 0, 1) for data in images]))
    assert got == pytest.approx(torch.softmax(torch.from_numpy(model.logits(pixels)).double(), 1).numpy())
    assert got.sum(1) == pytest.approx(np.ones(3))
    assert model.predict([]).shape == (0, 3)
    with pytest.raises(DataError):
        model.predict([b"no image"])


def test_the_file_speaks_for_itself(network: Network, file: Path) -> None:
    with safe_open(file, framework="pt") as opened:
        said = opened.metadata()
        assert set(opened.keys()) == set(network.model.state_dict())
    assert json.loads(said["classes"]) == list(CLASSES)
    assert json.loads(said["preprocessing"]) == {
        "size": 32,
        "fit": "pad",
        "mean": [0.1, 0.2, 0.3],
        "std": [0.5, 0.6, 0.7],
    }
    assert json.loads(said["recipe"]) == json.loads(RECIPE.to_json())
    assert (said["thaw"], said["backbone"]) == ("1", "squeezenet1_1")


def code(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_model(path)
    assert path.name in caught.value.cause
    return caught.value.code


def test_a_missing_and_a_cut_file_are_told_apart(file: Path) -> None:
    assert code(file.with_name("other.safetensors")) == "model.missing"
    file.write_bytes(file.read_bytes()[:-100])
    assert code(file) == "model.damaged"
    file.write_bytes(b"")
    assert code(file) == "model.damaged"


def test_one_flipped_bit_of_a_weight_is_found(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1000] ^= 1
    file.write_bytes(data)
    assert code(file) == "model.damaged"


def test_weights_of_somebody_else_are_not_a_model(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    assert code(path) == "model.not_ours"


def test_another_format_is_named(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(module, "FORMAT", "9")
        save_model(path, network, recipe=RECIPE, classes=CLASSES)
    assert code(path) == "model.format"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", '{"a": 1}'),
        ("classes", "[]"),
        ("classes", "[1, 2, 3]"),
        ("classes", "[" * 100_000),
        ("preprocessing", '{"mean": [1, 2], "std": [1, 1, 1]}'),
        ("preprocessing", '{"mean": "abc", "std": [1, 1, 1]}'),
        ("preprocessing", "{}"),
        ("recipe", '{"epochs": 0}'),
        ("recipe", "[" * 100_000),
        ("backbone", "resnet9000"),
    ],
)
def test_a_crafted_file_is_refused_in_words(file: Path, key: str, value: str) -> None:
    """Its tensors are whole and their digest is right: what lies is the metadata."""
    with safe_open(file, framework="pt") as opened:
        said = opened.metadata()
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
    save_file(tensors, file, {**said, key: value})
    with pytest.raises(WeightsError) as caught:
        load_model(file)
    assert caught.value.code == "model.damaged"
