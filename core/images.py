"""Bytes of an image file to checked, upright RGB pixels.

The only place that opens a picture, so that training, validation, preview, try-it and export see the same pixels. Knows
Pillow and numpy; knows nothing of files, classes or networks. Limits are read from the header before anything is decoded.
"""

import io
import re
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from core.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "BMP": "bmp",
    "DIB": "bmp",
    "TIFF": "tif",
    "GIF": "gif",
}
ENDINGS = frozenset({f".{suffix}" for suffix in SUFFIXES.values()} | {".jpeg", ".tiff"})
"""Of the names of files that may hold a picture; what one holds is told by its first bytes."""
PLUGINS = (BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)
"""Imported so that Pillow registers them: with a list of formats it does not look further by itself."""

DECODER = "1"
"""Changes whenever the same bytes would give other pixels: stored pixels of another version are not used."""

MIN_SIDE = 8
MAX_PIXELS = 50_000_000
MAX_JPEG_PIXELS = 200_000_000
"""JPEGs above MAX_PIXELS are decoded at a half, a quarter or an eighth, which their format allows."""
PAD_COLOR = (124, 116, 104)
"""ImageNet's mean colour: near zero once normalised."""

VISIBLE_QUALITY = 95
"""Of what can be seen of a broken JPEG, saved anew: hardly a grey level lies between the two."""

SKETCH_SIDE, HUES_SIDE = 16, 4
SKETCH_BYTES = SKETCH_SIDE**2 + 3 * HUES_SIDE**2

Fit = Literal["crop", "stretch", "pad"]

Image.MAX_IMAGE_PIXELS = MAX_JPEG_PIXELS
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # a corrupt EXIF block is no news to a person

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the turn that makes the picture upright."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: `pixels` (H, W, 3) uint8 RGB, upright; `notes` say what was done to get there."""

    pixels: np.ndarray
    notes: tuple[str, ...]
    """Of: rotated, shrunk, first_frame, sixteen_bit, deep, cmyk, transparent. Words: `notice.data.<note>`."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file turned out to hold: full upright size in pixels, suffix by content, notes as in `Picture`."""

    width: int
    height: int
    suffix: str
    notes: tuple[str, ...]
    sketch: bytes = b""
    """The picture in 16 x 16 greys, then in 4 x 4 colours: enough to know it again (core/dataset/likeness.py)."""


@dataclass(frozen=True, slots=True)
class Visible:
    """What can be seen of a JPEG that breaks off, upright, as a JPEG of its own."""

    data: bytes
    width: int
    height: int
    share: float
    """Of the rows of the whole, in (0, 1]; 1 also where all of it is there, but coarse."""


@dataclass(slots=True)
class _Read:
    image: Image.Image
    width: int
    height: int
    format: str
    notes: list[str]


def open_image(data: bytes, *, name: str) -> Picture:
    """The whole picture; a JPEG above 50 megapixels at a part of its size (note `shrunk`).

    Raises DataError: `image.empty`, `image.not_an_image`, `image.unsupported`, `image.too_small`, `image.too_large`,
    `image.no_memory`, `image.damaged`.
    """
    read = _read(data, name, None)
    return Picture(np.asarray(read.image), tuple(read.notes))


def inspect(data: bytes, *, name: str) -> Facts:
    """What `data` holds, decoded to the end (large JPEGs at an eighth, which reads every byte). Raises as `open_image`."""
    read = _read(data, name, (2 * SKETCH_SIDE, 2 * SKETCH_SIDE))
    return Facts(read.width, read.height, SUFFIXES[read.format], tuple(read.notes), _sketch(read.image))


def _sketch(image: Image.Image) -> bytes:
    small = image.resize((SKETCH_SIDE, SKETCH_SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return small.convert("L").tobytes() + small.resize((HUES_SIDE, HUES_SIDE), Image.Resampling.BOX).tobytes()


def decode(data: bytes, size: int, fit: Fit, *, name: str = "image") -> np.ndarray:
    """Pixels (size, size, 3) uint8 as a network sees them. Raises as `open_image`.

    `crop`: the largest centred square; `stretch`: the whole picture, sides scaled apart; `pad`: the whole picture on a
    square of ImageNet's mean colour. Bilinear with antialiasing; big JPEGs are decoded near the size that is needed.
    """
    image = _read(data, name, (size, size) if fit != "pad" else (size,)).image
    width, height = image.size
    if fit == "stretch":
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))
    scale = size / max(width, height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    square = Image.new("RGB", (size, size), PAD_COLOR)
    place = ((size - inner[0]) // 2, (size - inner[1]) // 2)
    square.paste(image.resize(inner, Image.Resampling.BILINEAR), place)
    return np.asarray(square)


def thumbnail(data: bytes, side: int, *, name: str = "image") -> bytes:
    """A WebP file that fits into `side` x `side` pixels, without metadata. Raises as `open_image`."""
    return _small(_read(data, name, (side,)).image, side)


def remains(data: bytes, side: int) -> bytes | None:
    """As `thumbnail`, of what can be seen of a picture that is refused: the first part of one that was cut off, a tiny one.

    None if nothing can be seen, or if it has more points than a picture may have.
    """
    try:
        image = _broken_off(data, side)
        if image is None:
            return None
        seen = image.convert("RGB")
        return _small(seen.transpose(UPRIGHT[turn]) if (turn := _orientation(image)) in UPRIGHT else seen, side)
    except Exception:  # as in `_read`
        return None


def visible(data: bytes) -> Visible | None:
    """What can be seen of a JPEG that breaks off. None for anything else, and for less than an image needs."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    try:
        image = _broken_off(data, None)
        if image is None:
            return None
        rows = (image.getbbox() or (0, 0, 0, 0))[3]
        seen = _to_rgb(image, data, []).crop((0, 0, image.width, rows))
        seen = seen.transpose(UPRIGHT[turn]) if (turn := _orientation(image)) in UPRIGHT else seen
        if min(seen.size) < MIN_SIDE:
            return None
        out = io.BytesIO()
        seen.save(out, "JPEG", quality=VISIBLE_QUALITY, subsampling=0)
        return Visible(out.getvalue(), *seen.size, rows / image.height)
    except Exception:  # as in `_read`
        return None


def _broken_off(data: bytes, side: int | None) -> Image.Image | None:
    """A picture with the points that its decoder gets before it fails, black (0 in every channel) where it got none.

    Nothing that other threads see is switched: with ImageFile.LOAD_TRUNCATED_IMAGES broken pictures would pass everywhere.
    None if there is no point, or if there are more than a picture may have.
    """
    image = _loaded(data, side)
    if image is None or image.convert("RGB").getbbox() is not None:
        return image
    if image.info.get("progressive"):  # told to end here it gives what is there, over its whole area
        image = _loaded(data + b"\xff\xd9", side)
        if image is not None and any(low < high for low, high in _extrema(image)):
            return image
    return None


def _extrema(image: Image.Image) -> list[tuple[float, float]]:
    """Of each channel of what `image` looks like."""
    return [channel.getextrema() for channel in image.convert("RGB").split()]  # type: ignore[misc]


def _loaded(data: bytes, side: int | None) -> Image.Image | None:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        return None
    if side is not None:
        image.draft(None, (side, side))
    try:
        image.load()
    except Exception:  # whatever a decoder raises at the end of what it has
        image.tile = []  # so Pillow gives the points that it has got
    return image


def _small(image: Image.Image, side: int) -> bytes:
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    out = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(out, "WEBP", quality=82, method=2)
    return out.getvalue()


def _read(data: bytes, name: str, need: tuple[int] | tuple[int, int] | None) -> _Read:
    """Open, check, decode, turn upright. `need`: the smallest useful (both sides) or (longer side,); None for all."""
    if not data:
        raise DataError("image.empty", name=name)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _unknown(data, name) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError("image.too_large", name=name, megapixels="> 200", limit=MAX_PIXELS // 1_000_000) from error
    except Exception as error:  # a hostile header may raise anything in a parser: all of it means the same to a person
        raise DataError("image.damaged", name=name) from error
    width, height = image.size
    _check_size(image, name)
    notes: list[str] = []
    kind = image.format or ""
    if kind not in SUFFIXES:
        raise DataError("image.unsupported", name=name, kind=kind)
    try:
        if kind in {"JPEG", "MPO"}:
            _draft(image, need, notes)
        if kind != "MPO" and getattr(image, "is_animated", False):
            notes.append("first_frame")
        orientation = _orientation(image) if kind == "TIFF" else 1  # Pillow turns TIFFs itself, while loading
        image.load()
        rgb = _to_rgb(image, data, notes)
        if kind != "TIFF":
            orientation = _orientation(image)
            rgb = rgb.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else rgb
    except MemoryError as error:
        raise DataError("image.no_memory", name=name) from error
    except Exception as error:  # as above: Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, …
        raise DataError("image.damaged", name=name) from error
    if orientation in UPRIGHT:
        notes.append("rotated")
    if kind not in {"JPEG", "MPO"}:
        width, height = rgb.size
    elif orientation in {5, 6, 7, 8}:
        width, height = height, width
    return _Read(rgb, width, height, kind, notes)


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise DataError("image.too_small", name=name, width=width, height=height, limit=MIN_SIDE)
    most = MAX_JPEG_PIXELS if image.format in {"JPEG", "MPO"} else MAX_PIXELS
    if width * height > most:
        megapixels = f"{width * height / 1e6:.0f}"
        raise DataError("image.too_large", name=name, megapixels=megapixels, limit=most // 1_000_000)


def _draft(image: Image.Image, need: tuple[int] | tuple[int, int] | None, notes: list[str]) -> None:
    """Let the JPEG decoder shrink by 2, 4 or 8 while both sides stay at least as large as needed."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        notes.append("shrunk")
        if need is None:
            image.draft(None, (width // 2, height // 2))
            return
    if need is None:
        return
    if len(need) == 1:
        scale = need[0] / max(width, height)
        need = (max(1, round(width * scale)), max(1, round(height * scale)))
    image.draft(None, need)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a broken EXIF block must not cost the picture
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(image: Image.Image, data: bytes, notes: list[str]) -> Image.Image:
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image), notes)).convert("RGB")
    if image.format == "PNG" and data[24:25] == b"\x10":  # Pillow keeps the upper byte of colour with 16 bits
        notes.append("sixteen_bit")
    if mode == "CMYK":
        notes.append("cmyk")
        if image.format in {"JPEG", "MPO"} and "adobe" not in image.info:
            image = Image.fromarray(255 - np.asarray(image), "CMYK")  # Pillow inverts all; only Adobe's files are inverted
        return image.convert("RGB")
    if mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema() != (255, 255):
            notes.append("transparent")
            white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
            rgba = Image.alpha_composite(white, rgba)
        return rgba.convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Deep grey values (H, W) to uint8, without Pillow's clipping: its own conversion cuts all above 255 off.

    Whole numbers up to 65535: by the depth that holds the brightest one (8, 10, 12, 14 or 16 bits; 16 is a division by
    257), so that pictures of one camera keep their brightness to each other. All else: its minimum to maximum.
    """
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    whole = values.dtype.kind in "iu"
    notes.append("sixteen_bit" if whole and low >= 0 and high <= 65535 else "deep")
    if whole and low >= 0 and high <= 65535:
        low, high = 0.0, float(next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits))
    elif low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0
    scaled = (np.nan_to_num(numbers, nan=low, posinf=high, neginf=low) - low) * (255.0 / ((high - low) or 1.0))
    return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def _unknown(data: bytes, name: str) -> DataError:
    """The error for bytes that are none of FORMATS: names what they are where that is easy to see."""
    head = data[:512]
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    signatures = {
        b"%PDF": "PDF", b"8BPS": "PSD", b"%!PS": "EPS", b"\x00\x00\x01\x00": "ICO", b"\xff\x0a": "JPEG XL",
        b"\x00\x00\x00\x0cJXL ": "JPEG XL", b"\x00\x00\x00\x0cjP": "JPEG 2000", b"PK\x03\x04": "ZIP", b"DICM": "DICOM",
    }  # fmt: skip
    kind = next((known for start, known in signatures.items() if head.startswith(start)), "")
    if brand:
        kind = "AVIF" if brand in {b"avif", b"avis"} else "HEIC" if brand[:3] in {b"hei", b"hev", b"mif", b"msf"} else "MP4"
    elif data[128:132] == b"DICM":
        kind = "DICOM"
    elif re.match(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg", head, re.DOTALL):
        kind = "SVG"
    return DataError("image.unsupported", name=name, kind=kind) if kind else DataError("image.not_an_image", name=name)
