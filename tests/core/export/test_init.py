import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import ExportError
from core.export import FORMATS, Check, export_apart, export_model


def leftovers(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if ".tmp" in file.name]


@pytest.mark.parametrize("format", FORMATS)
def test_a_report_names_the_size_and_hash_of_the_file_that_lies_there(run_folder: Path, tmp_path: Path, format: str) -> None:
    out = tmp_path / f"new folder/模型{FORMATS[format]}"
    report = export_model(run_folder, format, out)
    data = out.read_bytes()
    assert (report.path, report.format, report.bytes) == (out, format, len(data))
    assert report.sha256 == hashlib.sha256(data).hexdigest()
    assert leftovers(out.parent) == []


def test_an_unknown_format_is_refused_with_the_known_ones(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no export format called pickle\..*safetensors, onnx"):
        export_model(run_folder, "pickle", tmp_path / "model.pkl")


def test_a_run_without_a_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=f"The run {tmp_path.name} has no finished model"):
        export_model(tmp_path, "onnx", tmp_path / "model.onnx")


def test_a_place_that_cannot_be_written_is_named(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ExportError, match=r"file/model\.safetensors cannot be written"):
        export_model(run_folder, "safetensors", tmp_path / "file" / "model.safetensors")


def test_an_export_that_disagrees_leaves_the_older_file_alone(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.export import onnx

    out = tmp_path / "model.onnx"
    out.write_bytes(b"older")
    check = Check(images=32, source="dataset", largest_difference=0.25, same_top1=30)
    monkeypatch.setattr(onnx, "convert", lambda model, part, said: part.write_bytes(b"wrong"))
    monkeypatch.setattr(onnx, "compare", lambda *_: check)
    with pytest.raises(ExportError, match=r"a probability differs by 0\.25, allowed is 0\.001"):
        export_model(run_folder, "onnx", out)
    assert out.read_bytes() == b"older"
    assert leftovers(tmp_path) == []


def test_a_difference_that_is_not_a_number_is_a_disagreement(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.export import onnx

    monkeypatch.setattr(onnx, "convert", lambda *_: None)
    monkeypatch.setattr(onnx, "compare", lambda *_: Check(32, "dataset", float("nan"), 0))
    with pytest.raises(ExportError, match="differs by nan"):
        export_model(run_folder, "onnx", tmp_path / "model.onnx")


def test_apart_raises_the_same_failure_as_here(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        export_apart(tmp_path, "onnx", tmp_path / "model.onnx")
    assert (caught.value.code, caught.value.values) == ("export.no_model", {"run": tmp_path.name})


def test_apart_says_how_a_process_that_died_ended(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'out of memory' >&2\nexit 9\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(ExportError, match="status 9 before it was done: out of memory"):
        export_apart(run_folder, "onnx", tmp_path / "model.onnx")


def test_apart_ends_its_process_when_it_is_called_off(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = tmp_path / "pid"
    slow = tmp_path / "python"
    slow.write_text(f"#!/bin/sh\necho $$ > {number}\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    with pytest.raises(ExportError) as caught:
        export_apart(run_folder, "onnx", tmp_path / "model.onnx", cancelled=number.exists)
    assert caught.value.code == "export.cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


def test_whatever_ends_the_waiting_ends_the_child(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number, slow = tmp_path / "pid", tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ > {number}.part; mv {number}.part {number}\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))

    def closed() -> bool:
        if number.exists():
            raise InterruptedError("the server goes away")
        return False

    with pytest.raises(InterruptedError):
        export_apart(run_folder, "onnx", tmp_path / "model.onnx", cancelled=closed)
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


def test_a_server_can_ask_for_an_export_without_loading_torch() -> None:
    code = "import sys, core.export, core.export.usage; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


TRAINING = """
import torch
from torch import nn

def losses(steps, stop=lambda: False):
    generator = torch.Generator().manual_seed(1)
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    model = nn.Sequential(*layers)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    said = []
    while len(said) < steps and not stop():
        x, y = torch.rand(8, 3, 32, 32, generator=generator), torch.randint(0, 4, (8,), generator=generator)
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        said.append(loss.item())
    return said
"""


def test_a_training_in_this_process_is_not_touched_by_an_export_apart(run_folder: Path, tmp_path: Path) -> None:
    scope: dict = {}
    exec(TRAINING, scope)
    done, beside = threading.Event(), []
    thread = threading.Thread(target=lambda: beside.extend(scope["losses"](10**6, lambda: done.wait(0.3))))
    thread.start()
    report = export_apart(run_folder, "onnx", tmp_path / "model.onnx")
    done.set()
    thread.join()
    assert beside == scope["losses"](max(len(beside), 1))
    assert report == export_model(run_folder, "onnx", tmp_path / "model.onnx")
