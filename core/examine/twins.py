"""Twins: images that show one picture, however it was saved, cut a little or brightened. Knows pixels; no labels, no files.

Candidates are found by a small description of what is finer than large areas of light; then the one is laid over the other
as well as it goes (Lucas and Kanade 1981, two scales and two shifts) and the likeness of their details decides.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from core.errors import DataError

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601."""
SMALL, COARSE = 24, 3.0
"""Side of a description, and the sigma of the blur that is taken away from it."""
SIDE, RIM = 48, 3
"""Side of the images that are laid over each other, and how much of their edge does not count."""
NEIGHBOURS = 6
CANDIDATE = 0.7
"""Likeness of descriptions from which on a pair is looked at."""
ALIKE = 0.96
"""Likeness of details of a pair of copies. Measured on six sets: copies (JPEG of quality 40, 2 % cut off, 20 % brighter or
darker) lie above 0.96, unrelated pictures below 0.90; but an image with many that are much like it (one layout, one blob)
asks for more."""
ROOM, STRICTEST = 0.1, 0.9925
"""Of the way from its NEIGHBOURS-th neighbour to equality that a copy of an image must lie within; and the most asked."""
STEPS, REACH = 4, 0.12
"""Of laying over; and how far one may be shifted and stretched, in halves of the side."""
TOGETHER = 256
"""Pairs laid over each other at a time."""
OUTSTANDING = 3.0
"""Times the third quartile of the details of an image: more than that is as much."""
HUES = 0.08
"""How much the colour of two copies may differ at one of 4 x 4 places, in shares of red and green."""


def twins(
    pixels: Tensor, plain: Tensor, progress: Callable[[float], None], cancelled: Callable[[], bool]
) -> list[tuple[int, int, float]]:
    """Pairs (first, second, likeness) of copies among pixels (N, 3, S, S) uint8. `plain` (N,): shows nothing, left out.

    `progress` hears the share done. Raises DataError (`examine.cancelled`).
    """
    images = len(pixels)
    near, likeness = _neighbours(pixels, plain, cancelled)
    if near.shape[1] == 0:
        return []
    progress(0.3)
    rows, places = (likeness >= CANDIDATE).nonzero(as_tuple=True)
    seen = [(min(a, b), max(a, b)) for a, b in zip(rows.tolist(), near[rows, places].tolist(), strict=True)]
    pairs = sorted(set(seen))
    alike = _likeness(pixels, pairs, lambda share: progress(0.3 + 0.7 * share), cancelled)
    known = dict(zip(pairs, alike.tolist(), strict=True))
    laid = torch.zeros_like(likeness)
    laid[rows, places] = torch.tensor([known[pair] for pair in seen])
    usual = laid.min(dim=1).values if near.shape[1] == NEIGHBOURS else torch.zeros(images)
    asked = (1 - ROOM * (1 - usual)).clamp(ALIKE, STRICTEST).tolist()
    return [(a, b, round(min(one, 1.0), 4)) for (a, b), one in known.items() if one >= max(asked[a], asked[b])]


def groups(pairs: Iterable[tuple[int, int, float]]) -> list[tuple[list[int], float]]:
    """Images that hang together by `pairs`, sorted, each group with the likeness of its least alike pair."""
    home: dict[int, list[int]] = {}
    least: dict[int, float] = {}
    for one, other, alike in pairs:
        a, b = home.setdefault(one, [one]), home.setdefault(other, [other])
        lowest = min(alike, least.pop(id(a), 1.0), least.pop(id(b), 1.0))
        if a is not b:
            a += b
            home |= dict.fromkeys(b, a)
        least[id(a)] = lowest
    whole = {id(members): members for members in home.values()}
    return sorted((sorted(members), least[key]) for key, members in whole.items())


def _neighbours(pixels: Tensor, plain: Tensor, cancelled: Callable[[], bool]) -> tuple[Tensor, Tensor]:
    """The most alike others of each image (N, K) by their descriptions, and their likenesses."""
    described = torch.cat([_described(some) for some in torch.split(pixels, TOGETHER)])
    described[plain] = 0.0
    many = min(NEIGHBOURS, len(pixels) - 1)
    near, likeness = [], []
    for start in range(0, len(described), TOGETHER):
        if cancelled():
            raise DataError("examine.cancelled")
        alike = described[start : start + TOGETHER] @ described.T
        alike[torch.arange(len(alike)), torch.arange(start, start + len(alike))] = -1.0
        found = alike.topk(many, dim=1)
        near.append(found.indices)
        likeness.append(found.values)
    return torch.cat(near), torch.cat(likeness)


def _described(pixels: Tensor) -> Tensor:
    """(B, SMALL * SMALL) of length one."""
    small = interpolate(_luma(pixels), size=(SMALL, SMALL), mode="bilinear", antialias=True)
    fine = (small - _blurred(small, COARSE)).flatten(1)
    described: Tensor = fine / (fine.norm(dim=1, keepdim=True) + 1e-6)
    return described


def _likeness(
    pixels: Tensor, pairs: list[tuple[int, int]], progress: Callable[[float], None], cancelled: Callable[[], bool]
) -> Tensor:
    """(P,): how alike the details of each pair are, laid over each other; 0 where the colours are others."""
    found = [torch.empty(0)]
    for start in range(0, len(pairs), TOGETHER):
        if cancelled():
            raise DataError("examine.cancelled")
        one, other = torch.tensor(pairs[start : start + TOGETHER]).T
        a, b = pixels[one], pixels[other]
        same_hues = (_hues(a) - _hues(b)).abs().flatten(1).amax(dim=1) < HUES
        found.append(_laid_over(_sized(a), _sized(b)) * same_hues)
        progress(min(1.0, (start + TOGETHER) / len(pairs)))
    return torch.cat(found)


def _laid_over(a: Tensor, b: Tensor) -> Tensor:
    """(B,): likeness of the details of a and b (B, 1, SIDE, SIDE), b stretched and shifted to fit a."""
    many = len(a)
    line = torch.linspace(-1, 1, SIDE) * (1 - 1 / SIDE)
    x, y = line.view(1, 1, -1).expand(many, SIDE, SIDE), line.view(1, -1, 1).expand(many, SIDE, SIDE)
    fit = torch.zeros(many, 4)  # stretch and shift along x, then along y
    goal, moved = _blurred(a, 1.0) - _blurred(a, 6.0), _blurred(b, 1.0) - _blurred(b, 6.0)
    moved = moved * (_spread(goal) / (_spread(moved) + 1e-6))

    def over(image: Tensor, mode: str) -> Tensor:
        stretch_x, shift_x, stretch_y, shift_y = fit[:, :, None, None].unbind(1)
        grid = torch.stack([x * (1 + stretch_x) + shift_x, y * (1 + stretch_y) + shift_y], dim=-1)
        return grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)

    for _ in range(STEPS):
        now = over(moved, "bilinear")
        along_x = (now.roll(-1, 3) - now.roll(1, 3))[:, 0] * SIDE / 4
        along_y = (now.roll(-1, 2) - now.roll(1, 2))[:, 0] * SIDE / 4
        slope = torch.stack([along_x * x, along_x, along_y * y, along_y], dim=-1)[:, RIM:-RIM, RIM:-RIM].flatten(1, 2)
        rest = (goal - now)[:, 0, RIM:-RIM, RIM:-RIM].flatten(1)
        gram = slope.transpose(1, 2) @ slope
        gram = gram + 1e-3 * torch.diag_embed(gram.diagonal(dim1=1, dim2=2)) + 1e-6 * torch.eye(4)
        step = torch.linalg.solve(gram, (slope * rest[..., None]).sum(dim=1))
        fit = (fit + step.clamp(-0.05, 0.05)).clamp(-REACH, REACH)
    details = _details(a)
    return torch.maximum(_correlation(details, _details(over(b, "bicubic"))), _correlation(details, _details(b)))


def _details(images: Tensor) -> Tensor:
    """(B, 1, SIDE, SIDE): what is finer than COARSE; cut off, so that one black bar does not outweigh all the rest."""
    fine = images - _blurred(images, COARSE)
    most = OUTSTANDING * fine.abs().flatten(1).quantile(0.75, dim=1).view(-1, 1, 1, 1)
    return fine.clamp(-most, most)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    inner = [image[:, :, RIM:-RIM, RIM:-RIM].flatten(1) for image in (a, b)]
    one, other = (image - image.mean(dim=1, keepdim=True) for image in inner)
    alike: Tensor = (one * other).sum(dim=1) / (one.norm(dim=1) * other.norm(dim=1) + 1e-6)
    return alike


def _spread(images: Tensor) -> Tensor:
    return images.flatten(1).std(dim=1).view(-1, 1, 1, 1)


def _sized(pixels: Tensor) -> Tensor:
    return interpolate(_luma(pixels), size=(SIDE, SIDE), mode="bilinear", antialias=True)


def _luma(pixels: Tensor) -> Tensor:
    """(B, 1, S, S) in [0, 255]."""
    return (pixels.float() * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def _hues(pixels: Tensor) -> Tensor:
    """(B, 2, 4, 4): red and green as shares of the light."""
    light = interpolate(pixels.float(), size=(4, 4), mode="bilinear", antialias=True) + 8
    return light[:, :2] / light.sum(dim=1, keepdim=True)


def _blurred(images: Tensor, sigma: float) -> Tensor:
    """(B, 1, H, H), by a Gaussian; what lies outside is as the edge."""
    bells = _bells(images.shape[-1], sigma)
    return bells @ images @ bells.T


@lru_cache(maxsize=8)
def _bells(side: int, sigma: float) -> Tensor:
    """(side, side): each row the shares of the points of a line that make up the blurred one."""
    at = torch.arange(side, dtype=torch.float64)
    reach = torch.arange(-round(3 * sigma), round(3 * sigma) + 1, dtype=torch.float64)
    bell = (-(reach**2) / (2 * sigma**2)).exp()
    shares = torch.zeros(side, side, dtype=torch.float64)
    where = (at[:, None] + reach).clamp(0, side - 1).long()
    shares.scatter_add_(1, where, (bell / bell.sum()).expand(side, -1).contiguous())
    return shares.float()
