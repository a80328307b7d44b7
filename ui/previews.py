"""What the network will see: training pictures changed at random as the draft says, as small WebP files.

Made by the same functions as in training; kept in memory, since a page asks at every run of its script.
"""

import io

import numpy as np
from PIL import Image

from core.dataset import Dataset
from core.heavy import load_torch
from core.images import decode
from core.recipe import AUGMENT_PRESETS, Recipe
from ui import services

PREVIEW_SIDE = 192
"""Side of a previewed picture, in pixels."""


def preview(recipe: Recipe, many: int = 8) -> tuple[bytes, ...]:
    """Training pictures as the network will see them, each changed at random: WebP. The same draft gives the same ones.

    Takes seconds while torch is not there yet. Raises DataError.
    """
    data = services.dataset(recipe.dataset)
    known = (
        "preview",
        data.id,
        data.version,
        recipe.image_size,
        recipe.fit,
        recipe.augment.model_dump_json(),
        recipe.seed,
        many,
    )
    return services.remembered(known, lambda: _preview(recipe, data, many))


def _preview(recipe: Recipe, data: Dataset, many: int) -> tuple[bytes, ...]:
    load_torch()
    from core.augment import preview as changed
    from core.augment import working_size

    different = (
        many if recipe.augment == AUGMENT_PRESETS["none"] else many // 2
    )  # the others show the same ones changed again
    chosen = data.items[:: max(1, len(data.items) // different)][:different]
    side = working_size(recipe.augment, recipe.image_size)
    pixels = np.stack([decode(data.image(item), side, recipe.fit, name=item.name) for item in chosen])
    pictures = changed(pixels, recipe.augment, recipe.image_size, recipe.seed, many)
    return tuple(_webp(picture) for picture in pictures)


def _webp(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    picture = Image.fromarray(pixels)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    picture.save(out, "WEBP", quality=88)
    return out.getvalue()
