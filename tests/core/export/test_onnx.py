import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from core.backbones import Network, build
from core.dataset import open_dataset
from core.errors import ExportError
from core.export import export_model
from core.export.onnx import IMAGES, compare, convert, properties, recipe_id, samples
from core.export.usage import usage
from core.images import decode
from core.model import Model, load_model
from core.recipe import Recipe
from core.workspace import Workspace
from tests import tiny

NAMES = ["nought", "<img onerror=alert(1)>", "猫", "قطة", "*five*"]


def model(backbone: str, size: int = 32, classes: int = 5, **choices: object) -> Model:
    recipe = Recipe(backbone=backbone, image_size=size, dataset="demo:digits", **choices)
    network = build(backbone, classes=classes, weights="random", image_size=size, seed=1)
    network.model.eval()
    return Model(network, recipe, tuple(NAMES[:classes]))


def noise(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 3, size, size), np.uint8)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of `model("thaw-small")`."""
    ours, out = model("thaw-small"), tmp_path_factory.mktemp("small") / "model.onnx"
    convert(ours, out, properties(ours, "run"))
    return out


@pytest.fixture(scope="module")
def exported(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "model.onnx"
    report = export_model(run_folder, "onnx", out)
    assert (report.images_checked, report.images_source, report.same_top1) == (IMAGES, "dataset", IMAGES)
    assert report.largest_difference < 1e-5
    return out


def test_the_file_answers_real_pictures_as_the_app_does(exported: Path, run_folder: Path, workspace: Workspace) -> None:
    ours = load_model(run_folder / "model.safetensors")
    dataset = open_dataset(workspace, "demo:digits")
    pictures = [dataset.image(item) for item in dataset.items[100:110]]
    pixels = np.stack([decode(data, 32, "crop") for data in pictures]).transpose(0, 3, 1, 2)
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(["logits", "probabilities"], {"image": pixels.astype(np.float32) / 255})
    np.testing.assert_allclose(logits, ours.logits(torch.from_numpy(pixels)), atol=1e-4)
    np.testing.assert_allclose(probabilities, ours.predict(pictures), atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_file_says_all_that_its_user_must_know(exported: Path, run_folder: Path) -> None:
    file = onnx.load(exported)
    onnx.checker.check_model(file, full_check=True)
    said = {entry.key: entry.value for entry in file.metadata_props}
    recipe = load_model(run_folder / "model.safetensors").recipe
    assert json.loads(said["classes"]) == [str(digit) for digit in range(10)]
    assert (said["image_size"], said["fit"], said["backbone"]) == ("32", "crop", "thaw-small")
    assert (said["recipe"], said["run"]) == (recipe_id(recipe), run_folder.name)
    assert said["preprocessing"].endswith("Normalisation and softmax are inside.")
    assert "deep grey as 8 bits, the largest centred square, resized to 32x32 pixels" in said["preprocessing"]
    assert [one.name for one in file.graph.input] == ["image"]
    assert [one.name for one in file.graph.output] == ["logits", "probabilities"]
    shape = file.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["batch", 3, 32, 32]


def test_the_file_holds_its_weights_and_no_path_of_this_machine(exported: Path) -> None:
    file = onnx.load(exported, load_external_data=False)
    assert not [one.name for one in file.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]
    assert [file.name for file in exported.parent.iterdir()] == ["model.onnx"]
    text = " ".join(
        [*(p.value for node in file.graph.node for p in node.metadata_props), *(n.doc_string for n in file.graph.node)]
    )
    assert text.strip() == ""
    assert b"site-packages" not in exported.read_bytes()


def test_names_of_classes_come_through_unchanged(small: Path) -> None:
    said = onnxruntime.InferenceSession(small).get_modelmeta().custom_metadata_map
    assert json.loads(said["classes"]) == NAMES


@pytest.mark.parametrize(("backbone", "size"), [("thaw-small", 64), ("shufflenet_v2_x0_5", 32), ("tiny-transformer", 32)])
def test_families_of_every_kind_answer_alike(tmp_path: Path, backbone: str, size: int) -> None:
    with tiny.known():
        ours = model(backbone, size)
    convert(ours, tmp_path / "x.onnx", properties(ours, "run"))
    check = compare(tmp_path / "x.onnx", ours, noise(6, size), "generated")
    assert check.largest_difference < 1e-5
    assert check.images == 6


def test_a_wrong_normalisation_is_found_out(small: Path) -> None:
    ours = model("thaw-small")
    net = ours.network
    other = Network(name=net.name, model=net.model, head=net.head, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    check = compare(small, Model(other, ours.recipe, ours.classes), noise(6, 32), "generated")
    assert check.largest_difference > 1e-3


def test_a_network_that_cannot_be_traced_is_refused_in_words(tmp_path: Path) -> None:
    ours = model("thaw-small")
    ours.network.model.forward = lambda image: image if image.sum().item() > 0 else -image  # type: ignore[method-assign]
    with pytest.raises(ExportError, match="thaw-small cannot be written as ONNX"):
        convert(ours, tmp_path / "x.onnx", properties(ours, "run"))


def test_a_model_beyond_one_file_is_refused_before_it_is_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.export.onnx.LARGEST_BYTES", 1000)
    with pytest.raises(ExportError, match="larger than the 2 GB"):
        convert(model("thaw-small"), tmp_path / "x.onnx", {})


def test_without_its_data_set_a_model_is_checked_on_generated_pictures(workspace: Workspace) -> None:
    ours = model("thaw-small")
    gone = Model(ours.network, ours.recipe.changed(dataset="no-such-set"), ours.classes)
    pixels, source = samples(gone, workspace)
    assert (pixels.shape, pixels.dtype, source) == ((IMAGES, 3, 32, 32), np.uint8, "generated")


def _pictures() -> dict[str, bytes]:
    """Of kinds that are easily opened otherwise than the app opens them."""
    from PIL import Image

    rng = np.random.default_rng(5)
    color = Image.fromarray(rng.integers(0, 256, (40, 70, 3), np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = color.copy()
    clear.putalpha(Image.fromarray(rng.integers(0, 256, (40, 70), np.uint8)))
    deep = Image.fromarray(rng.integers(0, 4000, (40, 70)).astype(np.uint16))
    kinds: dict[str, tuple[Any, str, dict[str, Any]]] = {
        "alpha.png": (clear, "PNG", {}),
        "deep.png": (deep, "PNG", {}),
        "turned.jpg": (color, "JPEG", {"exif": turned.tobytes()}),
        "palette.png": (color.quantize(8), "PNG", {"transparency": 3}),
        "print.jpg": (color.convert("CMYK"), "JPEG", {}),
    }
    found = {}
    for name, (image, kind, options) in kinds.items():
        out = io.BytesIO()
        image.save(out, kind, **options)
        found[name] = out.getvalue()
    return found


@pytest.mark.parametrize("name", ["alpha.png", "deep.png", "turned.jpg", "palette.png", "print.jpg"])
def test_the_lines_of_python_open_pictures_of_every_kind_as_the_app_does(
    small: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, picture = model("thaw-small", fit="crop"), tmp_path / name
    picture.write_bytes(_pictures()[name])
    exec(usage(32, "crop", file=str(small), picture=str(picture)), {})
    shares = ours.predict([picture.read_bytes()])[0]
    wanted = [f"{shares[at]:.2%}  {NAMES[at]}" for at in shares.argsort()[::-1]]
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == wanted


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_the_lines_of_python_name_a_picture_as_the_app_does(
    small: Path, tmp_path: Path, fit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    ours = model("thaw-small", fit=fit)
    picture = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (40, 70, 3), np.uint8)).save(picture)
    exec(usage(32, fit, file=str(small), picture=str(picture)), {})
    shares = ours.predict([picture.read_bytes()])[0]
    wanted = [f"{shares[at]:.2%}  {NAMES[at]}" for at in shares.argsort()[::-1]]
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == wanted
