import json
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors import safe_open
from torchvision.models.resnet import BasicBlock

from core.errors import ExportError, WeightsError
from core.export import export_model


def test_the_export_loads_into_the_network_of_torchvision(run_folder: Path, tmp_path: Path) -> None:
    report = export_model(run_folder, "safetensors", tmp_path / "model.safetensors")
    with safe_open(report.path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        said = file.metadata()
    network = torchvision.models.resnet.ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)
    network.load_state_dict(tensors)
    assert torch.equal(network.fc.weight, tensors["fc.weight"])
    assert json.loads(said["classes"]) == [str(digit) for digit in range(10)]
    assert json.loads(said["preprocessing"])["size"] == 32
    assert json.loads(said["recipe"])["backbone"] == "thaw-small"


def test_the_export_is_the_runs_own_file(run_folder: Path, tmp_path: Path) -> None:
    report = export_model(run_folder, "safetensors", tmp_path / "model.safetensors")
    assert report.path.read_bytes() == (run_folder / "model.safetensors").read_bytes()
    assert (report.images_checked, report.images_source, report.largest_difference) == (0, "", 0.0)


def test_a_flipped_bit_in_the_runs_file_is_found_before_it_leaves(run_folder: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "01JDAMAGED"
    damaged.mkdir()
    data = bytearray((run_folder / "model.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (damaged / "model.safetensors").write_bytes(data)
    with pytest.raises(WeightsError):
        export_model(damaged, "safetensors", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_copy_that_differs_is_thrown_away(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.export.safetensors.shutil.copyfile", lambda source, part: part.write_bytes(b"short"))
    with pytest.raises(ExportError, match="is not the same as the run's model"):
        export_model(run_folder, "safetensors", tmp_path / "out.safetensors")
    assert list(tmp_path.iterdir()) == []
