"""Textures: a few hundred kinds of surface, each a way to filter noise and waves, and a field of one for each image.

A kind is a band of frequencies and directions for noise, two gratings, how much of each, and what is done to the sum: left
as it is, folded into ridges, cut into two levels, or run through a wave like marble. Legend: B images, S side.
"""

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Kinds:
    """K ways to make a surface. Frequencies in turns along the side of an image."""

    frequency: Tensor
    """(K,) middle of the band."""
    width: Tensor
    """(K,) of the band, in octaves."""
    direction: Tensor
    """(K,) radians."""
    focus: Tensor
    """(K,) how narrow the range of directions is; 0 for all alike."""
    grating: Tensor
    """(K, 2) frequency of each grating."""
    slant: Tensor
    """(K, 2) radians between a grating and the kind's direction."""
    share: Tensor
    """(K, 2) of each grating in the sum."""
    mode: Tensor
    """(K,) int: 0 as it is, 1 ridges, 2 two levels, 3 marble."""
    gain: Tensor
    """(K,) how strongly."""


def make_kinds(count: int, seed: int) -> Kinds:
    """`count` ways to make a surface; the same ones from the same seed."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng)

    frequency = torch.exp2(uniform(0.6, 4.3, count))
    periodic = torch.rand(count, generator=rng) < 0.4
    crossed = torch.rand(count, generator=rng) < 0.5
    share = torch.where(periodic[:, None], uniform(0.6, 1.4, count, 2), torch.zeros(()))
    share[:, 1] = torch.where(crossed, share[:, 1], torch.zeros(()))
    return Kinds(
        frequency,
        uniform(0.25, 1.4, count),
        uniform(0, pi, count),
        torch.where(torch.rand(count, generator=rng) < 0.55, torch.zeros(()), uniform(1.0, 7.0, count)),
        torch.exp2(uniform(1.5, 4.3, count, 2)),
        torch.stack([torch.zeros(count), uniform(0.5, 2.6, count)], 1),
        share,
        torch.randint(0, 4, (count,), generator=rng),
        uniform(0.8, 2.5, count),
    )


def fields(kinds: Kinds, which: Tensor, side: int, rng: torch.Generator, *, zoom: Tensor, turn: Tensor) -> Tensor:
    """(B, side, side) in 0 to 1: a surface of each kind in `which`, `zoom` times as fine, turned by `turn`; all (B,)."""
    batch = len(which)
    fy = torch.fft.fftfreq(side)[:, None] * side
    fx = torch.fft.rfftfreq(side)[None] * side
    radius, angle = torch.hypot(fx, fy).clamp(min=0.3).log2(), torch.atan2(fy, fx)
    middle = (kinds.frequency[which] * zoom).log2()[:, None, None]
    direction = (kinds.direction[which] + turn)[:, None, None]
    band = -0.5 * ((radius - middle) / kinds.width[which, None, None]) ** 2 - radius * 0.35
    weight = torch.exp(band + kinds.focus[which, None, None] * (torch.cos(2 * (angle - direction)) - 1))
    phase = torch.randn(batch, *radius.shape, 2, generator=rng)
    spectrum = torch.view_as_complex(phase) * weight
    spectrum[:, 0, 0] = 0
    noise = torch.fft.irfft2(spectrum, s=(side, side))
    total = noise / noise.flatten(1).std(1).clamp(min=1e-6)[:, None, None]
    axis = torch.arange(side) / side
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    for one in range(2):
        slant = direction + kinds.slant[which, one, None, None]
        turns = kinds.grating[which, one, None, None] * zoom[:, None, None]
        shift = 2 * pi * torch.rand(batch, 1, 1, generator=rng)
        wave = torch.sin(2 * pi * turns * (x * slant.cos() + y * slant.sin()) + shift + 0.5 * total)
        total = total + 1.4 * kinds.share[which, one, None, None] * wave
    gain, mode = kinds.gain[which, None, None], kinds.mode[which, None, None]
    out = torch.where(mode == 1, 1.6 * total.abs() - 1.2, total)
    out = torch.where(mode == 2, 3 * torch.tanh(gain * 2.5 * total) / 2, out)
    out = torch.where(mode == 3, 1.4 * torch.sin(gain * 2 * total), out)
    return torch.sigmoid(1.3 * out)
