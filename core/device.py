"""On which device and in which precision to work. Knows what this machine has and what measurements said about it."""

from typing import Any, Literal

import psutil
import torch
from torch import nn

from core.errors import TrainingError
from core.slot import is_lost, lost

Precision = Literal["fp32", "bf16", "fp16"]
_FULL = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What is said of full memory without a kind of its own; a GPU outlives that."""


def choose_device(wanted: str) -> torch.device:
    """The device that `wanted` ('auto', 'cpu', 'cuda', 'cuda:1', 'mps') names here; auto: the fastest there is.

    Raises TrainingError (`training.no_device`; `training.device_lost` if it failed under this process).
    """
    if is_lost(wanted):
        raise TrainingError("training.device_lost", device=wanted)
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.insert(0, "mps")
    if torch.cuda.is_available():
        found[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if wanted == "auto":
        return torch.device(found[0])
    if wanted not in found:
        raise TrainingError("training.no_device", device=wanted, found=", ".join(found))
    return torch.device(wanted)


def choose_precision(wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device, model: nn.Module) -> Precision:
    """`wanted`, or for auto bf16 where it is faster, else fp32. A rule, not a stopwatch, so that equal runs stay equal.

    GPU: where bf16 is in the hardware (Ampere, 2020, and later). CPU: where bf16 products are (AVX512-BF16, AMX) and the
    network has no depthwise convolutions, whose bf16 kernels are slow. Measured on two AMD Zen 5 cores (AVX512-BF16),
    training images/s in fp32 and bf16: ResNet-18 64 px 239 and 313, 224 px 17 and 34 (one core), ViT-B/16 1.8 and 5.1,
    ConvNeXt-T (its depthwise kernels are 7 x 7) 16 and 30; but MobileNetV3-S 360 and 265, EfficientNet-B0 73 and 51.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and _bf16_products() and not _small_depthwise(model):
        return "bf16"
    return "fp32"


def measuring_batch(device: torch.device) -> int:
    """Images to look at together without learning: few on a CPU, whose caches they fit then and where one waits for them."""
    return 32 if device.type == "cpu" else 256


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that torch has held on a GPU since `forget_peak`; elsewhere what this whole process holds now."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return int(psutil.Process().memory_info().rss)


def forget_peak(device: torch.device) -> None:
    """Let `peak_memory` of a GPU begin anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def free_cached() -> None:
    """Give back what torch keeps of a GPU's memory. One that has failed is asked nothing; without one nothing happens."""
    if not lost():
        torch.cuda.empty_cache()


_UNUSABLE = ("no kernel image", "invalid device ordinal", "busy or unavailable", "driver version is insufficient")
"""What CUDA says of a device that never worked here: another start would find it the same."""


def out_of_memory(error: BaseException) -> bool:
    """Less at a time would help."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in said for words in _FULL)


def is_fault(error: BaseException) -> bool:
    """The device has failed: it answers nothing right any more while this process lives."""
    said = str(error)
    failed = isinstance(error, torch.AcceleratorError) or (isinstance(error, RuntimeError) and "CUDA error:" in said)
    return failed and not out_of_memory(error) and not any(words in said for words in _UNUSABLE)


def _bf16_products() -> bool:
    ask: Any = getattr(torch.cpu, "get_capabilities", dict)
    able: dict[str, object] = ask()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _small_depthwise(model: nn.Module) -> bool:
    """It has depthwise convolutions as MobileNet and EfficientNet have: small kernels between 1 x 1 ones."""
    return any(
        module.groups == module.in_channels > 1 and max(module.kernel_size) < 7
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
    )
