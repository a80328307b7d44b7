"""Features with a known structure."""

import torch
from torch import Tensor


def clouds(images: int, width: int, classes: int, *, apart: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features (N, D) around one random centre per class, `apart` standard deviations from zero, and labels (N,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % classes
    centres = torch.randn(classes, width, generator=generator)
    centres = apart * centres / centres.norm(dim=1, keepdim=True)
    return centres[labels] + torch.randn(images, width, generator=generator), labels
