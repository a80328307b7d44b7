"""Devices that are not there are refused with what is there; bf16 is chosen by rule."""

import pytest
import torch
from torch import nn

import core.device
from core.device import choose_device, choose_precision
from core.errors import TrainingError

CPU = torch.device("cpu")
DENSE = nn.Conv2d(8, 8, 3)
GROUPED = nn.Conv2d(8, 8, 3, groups=2)
DEPTHWISE = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8))
LARGE_DEPTHWISE = nn.Conv2d(8, 8, 7, groups=8)


def test_a_device_that_is_absent_is_named_with_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="no device cuda that Thaw can use; it has: cpu"):
        choose_device("cuda")
    assert choose_device("auto") == choose_device("cpu") == CPU


def test_auto_takes_the_gpu_and_a_number_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(TrainingError, match="cuda:2"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    ("model", "expected"),
    [(DENSE, "bf16"), (GROUPED, "bf16"), (LARGE_DEPTHWISE, "bf16"), (DEPTHWISE, "fp32"), (nn.Linear(2, 2), "bf16")],
)
def test_on_a_cpu_with_bf16_products_small_depthwise_kernels_decide(
    monkeypatch: pytest.MonkeyPatch, model: nn.Module, expected: str
) -> None:
    monkeypatch.setattr(core.device, "_bf16_products", lambda: True)
    assert choose_precision("auto", CPU, model) == expected
    monkeypatch.setattr(core.device, "_bf16_products", lambda: False)
    assert choose_precision("auto", CPU, model) == "fp32"


@pytest.mark.parametrize("wanted", ["fp32", "bf16", "fp16"])
def test_what_was_chosen_is_obeyed(wanted: str) -> None:
    assert choose_precision(wanted, CPU, DEPTHWISE) == wanted  # type: ignore[arg-type]
