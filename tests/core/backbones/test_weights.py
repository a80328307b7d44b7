"""Weights come from files that hold numbers and nothing else, and fit or are refused with the first name that does not."""

import json
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.backbones import build, weights
from core.backbones.weights import load_into, read_published, read_safetensors
from core.errors import WeightsError

SMALL = "shufflenet_v2_x0_5"


def tensors(classes: int = 5, seed: int = 3) -> dict[str, torch.Tensor]:
    return {key: tensor.clone() for key, tensor in build(SMALL, classes=classes, seed=seed).model.state_dict().items()}


def saved(path: Path, what: dict[str, torch.Tensor]) -> str:
    save_file(what, path)
    return str(path)


def different(network_tensors: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> set[str]:
    return {key for key, tensor in network_tensors.items() if not torch.equal(tensor, others[key])}


def test_a_file_with_the_same_classes_is_taken_whole(tmp_path: Path) -> None:
    file = saved(tmp_path / "mine.safetensors", tensors())
    network = build(SMALL, classes=5, weights=file, seed=8)
    assert different(network.model.state_dict(), tensors()) == set()
    assert (network.loaded, network.ignored) == (len(tensors()), 0)


def test_a_head_for_other_classes_stays_fresh(tmp_path: Path) -> None:
    file = saved(tmp_path / "mine.safetensors", tensors(classes=9))
    network = build(SMALL, classes=5, weights=file, seed=8)
    fresh = build(SMALL, classes=5, seed=8).model.state_dict()
    now = network.model.state_dict()
    assert torch.equal(now["fc.weight"], fresh["fc.weight"])
    assert different({k: v for k, v in now.items() if not k.startswith("fc")}, tensors(classes=9)) == set()
    assert (network.loaded, network.ignored) == (len(now) - 2, 2)


def test_a_file_without_a_head_will_do(tmp_path: Path) -> None:
    trunk = {key: tensor for key, tensor in tensors().items() if not key.startswith("fc.")}
    assert build(SMALL, classes=5, weights=saved(tmp_path / "t.safetensors", trunk)).loaded == len(trunk)


def test_half_precision_is_taken_as_full(tmp_path: Path) -> None:
    half = {key: t.bfloat16() if t.is_floating_point() else t for key, t in tensors().items()}
    network = build(SMALL, classes=5, weights=saved(tmp_path / "h.safetensors", half))
    assert network.model.conv1[0].weight.dtype == torch.float32
    assert torch.equal(network.model.conv1[0].weight, half["conv1.0.weight"].float())


def test_counters_of_batches_may_be_missing(tmp_path: Path) -> None:
    old = {key: tensor for key, tensor in tensors().items() if not key.endswith("num_batches_tracked")}
    assert build(SMALL, classes=5, weights=saved(tmp_path / "o.safetensors", old)).loaded == len(old)


def test_tensors_without_a_place_are_counted_and_left(tmp_path: Path) -> None:
    more = tensors() | {"aux.weight": torch.ones(3), "ema.decay": torch.ones(1)}
    network = build(SMALL, classes=5, weights=saved(tmp_path / "m.safetensors", more))
    assert (network.loaded, network.ignored) == (len(tensors()), 2)


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    few = {key: t for key, t in tensors().items() if key not in {"conv1.0.weight", "conv5.1.bias"}}
    with pytest.raises(
        WeightsError, match=r"lacks 2 tensors of shufflenet_v2_x0_5: conv1\.0\.weight, conv5\.1\.bias"
    ) as caught:
        build(SMALL, classes=5, weights=saved(tmp_path / "f.safetensors", few))
    assert caught.value.code == "weights.missing_tensors"


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path: Path) -> None:
    odd = tensors() | {"conv1.0.weight": torch.zeros(24, 3, 5, 5)}
    with pytest.raises(WeightsError, match=r"conv1\.0\.weight is 24 × 3 × 5 × 5 there and 24 × 3 × 3 × 3 here") as caught:
        build(SMALL, classes=5, weights=saved(tmp_path / "odd.safetensors", odd))
    assert caught.value.code == "weights.wrong_shape"


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    other = {"blocks.0.weight": torch.ones(2), "blocks.1.weight": torch.ones(2)}
    with pytest.raises(
        WeightsError, match=r"first tensor is called blocks\.0\.weight, and the backbone's conv1\."
    ) as caught:
        build(SMALL, classes=5, weights=saved(tmp_path / "other.safetensors", other))
    assert caught.value.code == "weights.no_match"


def test_a_file_with_nothing_but_a_head_does_not_fit(tmp_path: Path) -> None:
    head = {key: tensor for key, tensor in tensors().items() if key.startswith("fc.")}
    with pytest.raises(WeightsError) as caught:
        build(SMALL, classes=5, weights=saved(tmp_path / "head.safetensors", head))
    assert caught.value.code == "weights.no_match"


def test_an_empty_file_of_tensors_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        build(SMALL, classes=5, weights=saved(tmp_path / "empty.safetensors", {}))
    assert caught.value.code == "weights.no_match"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_numbers_are_refused_by_tensor(tmp_path: Path, value: float) -> None:
    broken = tensors()
    broken["conv5.1.bias"][7] = value
    with pytest.raises(WeightsError, match=r"The tensor conv5\.1\.bias in b\.safetensors holds values that are not numbers"):
        read_safetensors(Path(saved(tmp_path / "b.safetensors", broken)))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".PTH", ".pkl"])
def test_files_that_can_hold_program_code_are_never_opened(tmp_path: Path, suffix: str) -> None:
    """It is a pipe: whoever opened it would wait for ever."""
    os.mkfifo(tmp_path / f"evil{suffix}")
    with pytest.raises(WeightsError, match="can hold program code that runs when they are read") as caught:
        build(SMALL, classes=5, weights=str(tmp_path / f"evil{suffix}"))
    assert caught.value.code == "weights.pickle"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("notes.txt", "not_safetensors"),
        ("imagenet", "not_safetensors"),
        ("gone.safetensors", "missing_file"),
        ("gone.pth", "missing_file"),
    ],
)
def test_what_is_no_weights_file_is_said(tmp_path: Path, name: str, code: str) -> None:
    with pytest.raises(WeightsError) as caught:
        build(SMALL, classes=5, weights=str(tmp_path / name))
    assert caught.value.code == f"weights.{code}"


HEADER = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"PK\x03\x04 a zip file that was renamed" * 10,
        (2**40).to_bytes(8, "little") + HEADER,
        len(HEADER).to_bytes(8, "little") + HEADER[:-5],
        len(HEADER).to_bytes(8, "little") + HEADER + b"\0" * 3,
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b"\xff\xfe\xfd\xfc",
        (6).to_bytes(8, "little") + b"[[[[[[",
        (40_000).to_bytes(8, "little") + b"[" * 40_000,
    ],
    ids=["empty", "one byte", "zip", "huge header", "cut header", "cut data", "a list", "no text", "no json", "deep"],
)
def test_a_damaged_file_is_refused_before_its_tensors_are_read(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(data)
    with pytest.raises(WeightsError, match=r"x\.safetensors is not a whole \.safetensors file") as caught:
        read_safetensors(file)
    assert caught.value.code == "weights.damaged_file"


def test_a_header_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(saved(tmp_path / "x.safetensors", {"a": torch.ones(2)}))
    monkeypatch.setattr(weights, "LARGEST_HEADER", 20)
    with pytest.raises(WeightsError, match="its header does not fit"):
        read_safetensors(file)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch hacked",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_published_file_can_never_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"fc.weight": Evil()}, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"The weights file evil\.pth cannot be read") as caught:
        read_published(tmp_path / "evil.pth")
    assert caught.value.code == "weights.unreadable"
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_published_files_of_both_formats_are_read(tmp_path: Path, zipped: bool) -> None:
    torch.save(OrderedDict(a=torch.arange(4.0)), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_published(tmp_path / "a.pth")["a"], torch.arange(4.0))


def test_a_file_cut_in_the_middle_is_unreadable(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1000)}, tmp_path / "a.pth")
    (tmp_path / "a.pth").write_bytes((tmp_path / "a.pth").read_bytes()[:2000])
    with pytest.raises(WeightsError, match="cannot be read"):
        read_published(tmp_path / "a.pth")


def test_a_failed_load_says_so_before_anything_is_copied() -> None:
    model = build(SMALL, classes=5, seed=1).model
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError):
        load_into(model, OrderedDict(tensors() | {"conv5.0.weight": torch.ones(1)}), head="fc", backbone=SMALL)
    assert different(before, model.state_dict()) == set()


def test_mnasnet_takes_tensors_without_the_mark_of_its_version(tmp_path: Path) -> None:
    taught = {key: t.clone() for key, t in build("mnasnet0_5", classes=5, seed=4).model.state_dict().items()}
    network = build("mnasnet0_5", classes=5, weights=saved(tmp_path / "m.safetensors", taught), seed=1)
    assert different(network.model.state_dict(), taught) == set()
    network.model.load_state_dict(taught)


def test_torch_is_not_asked_to_unpickle_anything_but_tensors() -> None:
    """The one call in the project's core besides that of checkpoints, and its guard is written out."""
    source = Path(weights.__file__).read_text("utf-8")
    assert source.count("torch.load(") == 1
    assert "weights_only=True" in source
    assert "weights_only=False" not in source


def test_importing_the_backbones_does_not_import_torch() -> None:
    code = "import sys, core.backbones, core.strategies, core.estimate; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(weights.__file__).resolve().parents[2])
