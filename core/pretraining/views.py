"""Views: what is learned from a picture is learned from it in other light, other colours, and from a piece of it."""

import torch
from torch import Tensor
from torch.nn import functional as F


def recolored(images: Tensor, stained: Tensor, rng: torch.Generator) -> Tensor:
    """(B, 3, S, S) in 0 to 1, in other light and colours, blurred and noisy now and then, as cameras would have it.

    Those that are `stained` (B,) bool keep their colours but for a little: by these they are told apart.
    """
    count = len(images)

    def normal(spread: float, *shape: int) -> Tensor:
        return spread * torch.randn(*shape, generator=rng)

    def chance(share: float) -> Tensor:
        return (torch.rand(count, generator=rng) < share)[:, None, None, None]

    little = torch.where(stained, 0.4, 1.0)[:, None, None, None]
    any_color = ~stained[:, None, None, None]
    grey = images.mean(1, keepdim=True)
    images = torch.where(chance(0.12) & any_color, grey.expand_as(images), images)
    images = images * torch.exp(little * normal(0.08, count, 3, 1, 1))
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (
        middle + (images - middle) * torch.exp(little * normal(0.3, count, 1, 1, 1)) + little * normal(0.08, count, 1, 1, 1)
    )
    images = torch.where(chance(0.04) & any_color, 1 - images, images)
    small = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear", align_corners=False)
    images = torch.where(chance(0.25), images + (small - images) * torch.rand(count, 1, 1, 1, generator=rng), images)
    coarse = F.adaptive_avg_pool2d(images, int(torch.randint(8, 21, (1,), generator=rng)))
    coarse = F.interpolate(coarse, size=images.shape[-2:], mode="bilinear", align_corners=False)
    images = torch.where(chance(0.12), coarse, images)
    noise = 0.06 * torch.rand(count, 1, 1, 1, generator=rng) * chance(0.5)
    return (images + noise * torch.randn(images.shape, generator=rng)).clamp(0, 1)


def cropped(images: Tensor, rng: torch.Generator) -> Tensor:
    """A piece of each image, 35 % to 100 % of its area and up to a quarter wider or higher, on the same grid."""
    count = len(images)
    area = (0.35 + 0.65 * torch.rand(count, generator=rng)).sqrt()
    aspect = torch.exp(0.25 * (torch.rand(count, generator=rng) * 2 - 1)).sqrt()
    w, h = (area * aspect).clamp(max=1), (area / aspect).clamp(max=1)
    x, y = (torch.rand(2, count, generator=rng) * 2 - 1) * torch.stack([1 - w, 1 - h])
    zero = torch.zeros(count)
    theta = torch.stack([torch.stack([w, zero, x], 1), torch.stack([zero, h, y], 1)], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def views_of(images: Tensor, stained: Tensor, same_colors: float, rng: torch.Generator) -> Tensor:
    """(2B, 3, S, S): each of `images` (B, 3, S, S) whole and a piece of it, recoloured alike in a share of them."""
    whole = recolored(images, stained, rng)
    alike = (torch.rand(len(images), generator=rng) < same_colors)[:, None, None, None]
    pieces = cropped(torch.where(alike, whole, images), rng)
    return torch.cat([whole, torch.where(alike, pieces, recolored(pieces, stained, rng))])
