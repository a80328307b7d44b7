"""Random changes of training images, as one batched function of pixels and numbers drawn beforehand. Knows no data set.

Every image has its own row of uniform draws, a pure function of (seed, epoch, place), so nothing depends on batches, order,
threads or on which other changes are switched on. All movements of an image are one affine map and are sampled once; all
changes of its colours are one 3x3 matrix and an offset.
"""

import math
from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.recipe import Augment

Triple = tuple[float, float, float]
PLAIN: Final[tuple[Triple, Triple]] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
LUMA: Final = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey: ITU-R BT.601, as in Pillow and torchvision."""
ERASED_AREA: Final = (0.02, 0.33)
ERASED_ASPECT: Final = (0.3, 1 / 0.3)
"""Share of the area and ratio of the sides of an erased rectangle: Zhong et al. 2020, Random Erasing, section 4."""
CROP_ASPECT: Final = (3 / 4, 4 / 3)
"""Ratio of the sides of a random crop: Szegedy et al. 2015, section 6."""
VERSION: Final = "1"
"""Of what the same draws do to an image: to be raised with any change of it, for results are kept under it."""
MARGIN: Final = 1.25
"""Training images for random crops are kept this much larger, so that a crop still has pixels enough."""


class Draw(IntEnum):
    """Columns of the table of draws. New ones go to the end: the others must keep their numbers."""

    AREA = 0
    ASPECT = 1
    CROP_X = 2
    CROP_Y = 3
    FLIP_H = 4
    FLIP_V = 5
    ROTATION = 6
    MOVE_X = 7
    MOVE_Y = 8
    SCALE = 9
    BRIGHTNESS = 10
    CONTRAST = 11
    SATURATION = 12
    HUE = 13
    BLUR = 14
    ERASE = 15
    ERASE_AREA = 16
    ERASE_ASPECT = 17
    ERASE_X = 18
    ERASE_Y = 19


def draws(seed: int, epoch: int, images: int) -> Tensor:
    """(images, 20) float32 uniform in [0, 1): row i belongs to image i of the training split in this epoch.

    Philox is counter-based (Salmon et al. 2011): the key (seed, epoch) alone decides, and each row has a fixed place.
    """
    table = np.random.Generator(np.random.Philox(key=[seed, epoch])).random((images, len(Draw)), dtype=np.float32)
    return torch.from_numpy(table)


def working_size(choice: Augment, size: int) -> int:
    """Side in pixels at which training images are kept for an output of `size`."""
    return size if choice.crop == 0 else math.ceil(MARGIN * size)


def augment(
    pixels: Tensor,
    draws: Tensor,
    choice: Augment,
    size: int,
    *,
    mean: Triple = PLAIN[0],
    std: Triple = PLAIN[1],
    generator: torch.Generator | None = None,
) -> Tensor:
    """Pixels (B, 3, R, R) uint8 to (B, 3, size, size) float32 in [0, 1], less `mean`, divided by `std`.

    `draws` is (B, 20) on the device of `pixels`. `generator` gives the Gaussian noise, the one thing that needs a number a
    pixel. What is erased becomes 0 after normalisation, which is the mean colour.
    """
    image, matrix = _flipped(pixels, draws, choice) if _only_flips(choice) else (pixels, _geometry(draws, choice))
    image = image.to(torch.float32).div_(255)
    if matrix is not None or image.shape[-1] != size:
        image = _sampled(image, matrix, size)
    if choice.color > 0:
        image = _recoloured(image, *_colour(draws, choice.color))
    if choice.blur > 0:
        image = _blurred(image, draws[:, Draw.BLUR] * choice.blur, choice.blur)
    if choice.noise > 0:
        grain = torch.randn(image.shape, generator=generator, device=image.device)
        image = image.add_(grain, alpha=choice.noise).clamp_(0, 1)
    if (mean, std) != PLAIN:
        image = image.sub_(_triple(mean, image)).div_(_triple(std, image))
    if choice.erasing > 0:
        image = image.masked_fill_(_erased(draws, choice.erasing, size), 0.0)
    return image


def normalised(pixels: Tensor, mean: Triple, std: Triple) -> Tensor:
    """Pixels (B, 3, S, S) uint8 as the network wants them: what `augment` gives when nothing is switched on."""
    image = pixels.to(torch.float32).div_(255)
    return image.sub_(_triple(mean, image)).div_(_triple(std, image))


def preview(images: NDArray[np.uint8], choice: Augment, size: int, seed: int, count: int) -> NDArray[np.uint8]:
    """(count, size, size, 3) uint8: the `images` (N, R, R, 3) uint8 in turn, each time with other draws.

    R should be `working_size(choice, size)`, as in training.
    """
    turn = torch.arange(count) % len(images)
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)[turn]
    generator = torch.Generator().manual_seed(seed)
    changed = augment(pixels, draws(seed, 1, count), choice, size, generator=generator)
    return np.asarray(changed.mul(255).round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy())


def _triple(values: Triple, like: Tensor) -> Tensor:
    return _constant(values, like.device, like.dtype).view(1, 3, 1, 1)


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Made once on each device: bringing numbers to a GPU waits for all that is under way there. Never changed."""
    with torch.inference_mode(False):  # whoever asks first must not decide what others may do with it
        return torch.tensor(values, dtype=dtype, device=device)


def _either_side(draw: Tensor, reach: float) -> Tensor:
    """Uniform in [-reach, reach)."""
    return (2 * draw - 1) * reach


def _log_uniform(draw: Tensor, low: float, high: float) -> Tensor:
    return torch.exp(math.log(low) + draw * (math.log(high) - math.log(low)))


# movements


def _only_flips(choice: Augment) -> bool:
    return not (choice.crop or choice.rotation or choice.translation or choice.scale)


def _flipped(pixels: Tensor, draws: Tensor, choice: Augment) -> tuple[Tensor, None]:
    """Mirror images by moving whole pixels: exact."""
    if choice.flip_horizontal:
        pixels = torch.where((draws[:, Draw.FLIP_H] < 0.5).view(-1, 1, 1, 1), pixels.flip(3), pixels)
    if choice.flip_vertical:
        pixels = torch.where((draws[:, Draw.FLIP_V] < 0.5).view(-1, 1, 1, 1), pixels.flip(2), pixels)
    return pixels, None


def _geometry(draws: Tensor, choice: Augment) -> Tensor:
    """(B, 2, 3): from a place in the new image to a place in the old one, both in [-1, 1].

    In the order of the eye: crop, then turn, zoom and move, then mirror; read backwards, as sampling needs it.
    """
    one = torch.ones_like(draws[:, 0])
    mirror_x = torch.where(draws[:, Draw.FLIP_H] < 0.5, -one, one) if choice.flip_horizontal else one
    mirror_y = torch.where(draws[:, Draw.FLIP_V] < 0.5, -one, one) if choice.flip_vertical else one
    angle = _either_side(draws[:, Draw.ROTATION], math.radians(choice.rotation))
    zoom = 1 + _either_side(draws[:, Draw.SCALE], choice.scale)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    move_x = _either_side(draws[:, Draw.MOVE_X], 2 * choice.translation)
    move_y = _either_side(draws[:, Draw.MOVE_Y], 2 * choice.translation)
    wide, high, left, top = _crop(draws, choice.crop)
    return torch.stack(
        [
            torch.stack([wide * cos * mirror_x, wide * -sin * mirror_y, left - wide * (cos * move_x - sin * move_y)], dim=1),
            torch.stack([high * sin * mirror_x, high * cos * mirror_y, top - high * (sin * move_x + cos * move_y)], dim=1),
        ],
        dim=1,
    )


def _crop(draws: Tensor, lost: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Half-sides (of 1) and centre of a crop that keeps between 1 - lost and all of the area, inside the image."""
    area = 1 - lost * draws[:, Draw.AREA]
    aspect = _log_uniform(draws[:, Draw.ASPECT], *CROP_ASPECT) if lost else torch.ones_like(area)
    wide, high = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    return (
        wide,
        high,
        _either_side(draws[:, Draw.CROP_X], 1.0) * (1 - wide),
        _either_side(draws[:, Draw.CROP_Y], 1.0) * (1 - high),
    )


def _sampled(image: Tensor, matrix: Tensor | None, size: int) -> Tensor:
    """Bilinear, and beyond the edge the image goes on mirrored, so that no black corners teach the network anything."""
    if matrix is None:
        return F.interpolate(image, (size, size), mode="bilinear", align_corners=False)
    grid = F.affine_grid(matrix, [len(image), 3, size, size], align_corners=False)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


# colours


def _colour(draws: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Matrix (B, 3, 3) and, for the mean grey of the image, weight (B,) of brightness, contrast, saturation and hue.

    Brightness multiplies by b; contrast blends with the mean grey, saturation with the pixel's own grey; hue turns about
    the grey axis and keeps luminance (Haeberli 1993, `hueRotate` of the W3C Filter Effects). All are linear, so they are
    one matrix; only values beyond black and white are cut, once, at the end.
    """
    brightness = 1 + _either_side(draws[:, Draw.BRIGHTNESS], strength)
    contrast = 1 + _either_side(draws[:, Draw.CONTRAST], strength)
    saturation = 1 + _either_side(draws[:, Draw.SATURATION], strength)
    angle = _either_side(draws[:, Draw.HUE], strength / 10) * (2 * math.pi)
    colour = (brightness * contrast).view(-1, 1, 1) * torch.bmm(_hue(angle), _saturation(saturation))
    return colour, brightness * (1 - contrast)


def _saturation(factor: Tensor) -> Tensor:
    """(B, 3, 3): each pixel between its own grey (0) and itself (1), or beyond."""
    grey = _constant(LUMA, factor.device).expand(3, 3)
    part = factor.view(-1, 1, 1)
    return part * torch.eye(3, device=factor.device) + (1 - part) * grey


def _hue(angle: Tensor) -> Tensor:
    """(B, 3, 3): a turn of the colour circle by `angle` radians that keeps greys and luminance."""
    grey = _constant(LUMA, angle.device).expand(3, 3)
    eye = torch.eye(3, device=angle.device)
    third = 1 / math.sqrt(3)
    across = _constant((0, -third, third, third, 0, -third, -third, third, 0), angle.device).view(3, 3)
    keep_luma = eye - grey
    cos, sin = torch.cos(angle).view(-1, 1, 1), torch.sin(angle).view(-1, 1, 1)
    return grey + keep_luma @ (cos * eye + sin * across) @ keep_luma


def _recoloured(image: Tensor, matrix: Tensor, mean_grey: Tensor) -> Tensor:
    flat = image.flatten(2)
    grey = _constant(LUMA, image.device)
    offset = (mean_grey * (flat.mean(2) @ grey)).view(-1, 1, 1)
    return torch.baddbmm(offset, matrix, flat).clamp_(0, 1).view_as(image)


def _blurred(image: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Gaussian blur with a sigma (pixels) for each image; the kernel reaches three times the `largest`, edges mirrored."""
    reach = min(math.ceil(3 * largest), image.shape[-1] - 1)
    steps = torch.arange(-reach, reach + 1, device=image.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (steps / sigma.clamp(min=1e-3).view(-1, 1)) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    flat = F.pad(image.reshape(1, -1, *image.shape[2:]), [reach] * 4, mode="reflect")
    flat = F.conv2d(flat, kernel.view(-1, 1, 1, 2 * reach + 1), groups=len(kernel))
    flat = F.conv2d(flat, kernel.view(-1, 1, 2 * reach + 1, 1), groups=len(kernel))
    return flat.view_as(image)


def _erased(draws: Tensor, probability: float, size: int) -> Tensor:
    """(B, 1, size, size) bool: one rectangle in those images whose draw falls below `probability`."""
    area = ERASED_AREA[0] + draws[:, Draw.ERASE_AREA] * (ERASED_AREA[1] - ERASED_AREA[0])
    aspect = _log_uniform(draws[:, Draw.ERASE_ASPECT], *ERASED_ASPECT)
    wide, high = (area * aspect).sqrt().clamp(max=1) * size, (area / aspect).sqrt().clamp(max=1) * size
    left, top = draws[:, Draw.ERASE_X] * (size - wide), draws[:, Draw.ERASE_Y] * (size - high)
    place = torch.arange(size, device=draws.device) + 0.5
    across = (place >= left.view(-1, 1)) & (place < (left + wide).view(-1, 1))
    down = (place >= top.view(-1, 1)) & (place < (top + high).view(-1, 1))
    chosen = (draws[:, Draw.ERASE] < probability).view(-1, 1, 1, 1)
    return chosen & down.unsqueeze(1).unsqueeze(3) & across.unsqueeze(1).unsqueeze(2)
