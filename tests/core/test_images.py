"""Bytes to pixels: each kind of file is shown as a person sees it, and each bad one is refused with its reason."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import DataError
from core.images import PAD_COLOR, decode, inspect, open_image, remains, thumbnail, visible
from core.words import LANGUAGES, say

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def corners(side: int = 16) -> Image.Image:
    """Red, green / blue, white quarters."""
    pixels = np.zeros((side, side, 3), np.uint8)
    half = side // 2
    pixels[:half, :half], pixels[:half, half:], pixels[half:, :half], pixels[half:, half:] = RED, GREEN, BLUE, WHITE
    return Image.fromarray(pixels)


def photo(width: int = 160, height: int = 120, seed: int = 0) -> Image.Image:
    """Smooth colour noise: what JPEG is made for."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def refusal(data: bytes, name: str = "a.jpg") -> DataError:
    with pytest.raises(DataError) as caught:
        open_image(data, name=name)
    for use in (lambda: decode(data, 32, "crop", name=name), lambda: inspect(data, name=name)):
        with pytest.raises(DataError) as again:
            use()
        assert again.value.code == caught.value.code
    return caught.value


def attempt(read: Callable[[], np.ndarray]) -> np.ndarray | str:
    """Pixels, or the code of the refusal."""
    try:
        return read()
    except DataError as error:
        return error.code


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF"])
def test_a_lossless_picture_comes_back_exactly(format: str) -> None:
    picture = open_image(encoded(corners(), format), name="a")
    assert np.array_equal(picture.pixels, np.asarray(corners()))
    assert picture.notes == ()


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_lossy_picture_comes_back_nearly(format: str) -> None:
    picture = open_image(encoded(photo(), format, quality=95), name="a")
    assert np.abs(picture.pixels.astype(int) - np.asarray(photo())).mean() < 3


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright_in_every_way_of_reading(format: str, orientation: int) -> None:
    upright = corners(64).resize((64, 32), Image.Resampling.NEAREST)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how a camera held so stores it: PIL's inverse turns
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, format, exif=exif, **({"quality": 100} if format in {"JPEG", "WEBP"} else {}))
    picture = open_image(data, name="a")
    assert picture.pixels.shape == (32, 64, 3)
    assert ("rotated" in picture.notes) == (orientation > 1)
    for y, x, color in ((4, 8, RED), (4, 56, GREEN), (27, 8, BLUE), (27, 56, WHITE)):
        assert np.abs(picture.pixels[y, x].astype(int) - color).max() < 30
        assert np.abs(decode(data, 64, "stretch")[2 * y, x].astype(int) - color).max() < 30
    facts = inspect(data, name="a")
    assert (facts.width, facts.height) == (64, 32)
    small = Image.open(io.BytesIO(thumbnail(data, 32)))
    assert small.size == (32, 16)
    assert np.abs(np.asarray(small.convert("RGB"))[2, 4].astype(int) - RED).max() < 40


def ramp16(top: int) -> np.ndarray:
    return np.linspace(0, top, 256).round().astype(np.uint16).reshape(16, 16)


def test_a_16_bit_png_is_divided_by_257_and_not_clipped_to_white() -> None:
    values = ramp16(65535)
    picture = open_image(encoded(Image.fromarray(values)), name="a.png")
    assert np.array_equal(picture.pixels[..., 1], np.rint(values / 257).astype(np.uint8))
    assert picture.notes == ("sixteen_bit",)
    assert np.array_equal(decode(encoded(Image.fromarray(values)), 16, "crop"), picture.pixels)


def test_12_bits_in_a_16_bit_tiff_fill_the_range_and_keep_black_black() -> None:
    picture = open_image(encoded(Image.fromarray(ramp16(4000) + 40), "TIFF"), name="a.tif")
    assert np.array_equal(picture.pixels[..., 0], np.rint((ramp16(4000) + 40.0) * 255 / 4095).astype(np.uint8))


@pytest.mark.parametrize(
    ("brightest", "full"),
    [(255, 255), (256, 1023), (511, 1023), (1024, 4095), (4096, 16383), (16384, 65535), (65535, 65535)],
)
def test_deep_greys_are_scaled_by_the_depth_that_holds_the_brightest(brightest: int, full: int) -> None:
    """So that two pictures of one camera keep their brightness to each other; the darkest point does not matter."""
    values = np.full((16, 16), 200, np.uint16)
    values[0, 0] = brightest
    picture = open_image(encoded(Image.fromarray(values)), name="a.png")
    assert (picture.pixels[0, 0, 0], picture.pixels[9, 9, 0]) == (round(brightest * 255 / full), round(200 * 255 / full))
    assert picture.notes == ("sixteen_bit",)


def test_a_big_endian_16_bit_tiff_is_read_as_a_little_endian_one() -> None:
    little = open_image(encoded(Image.fromarray(ramp16(65535)), "TIFF"), name="a")
    header = struct.pack(">2sHL", b"MM", 42, 8)
    tags = [
        (256, 3, 16),
        (257, 3, 16),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 0),
        (277, 3, 1),
        (278, 3, 16),
        (279, 4, 512),
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack(">HHL", tag, kind, 1)
        + (struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">L", value or start))
        for tag, kind, value in tags
    )
    big = header + struct.pack(">H", len(tags)) + entries + bytes(4) + ramp16(65535).astype(">u2").tobytes()
    assert np.array_equal(open_image(big, name="b").pixels, little.pixels)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.linspace(0, 1, 256, dtype=np.float32), np.arange(256)),
        (np.linspace(-5, 5, 256, dtype=np.float32), np.arange(256)),
        (np.linspace(100, 70000, 256).astype(np.int32), np.arange(256)),
        (np.full(256, 3.5, np.float32), np.zeros(256)),
        (np.full(256, 0.5, np.float32), np.full(256, 127.5)),
        (np.full(256, np.nan, np.float32), np.zeros(256)),
    ],
    ids=["0..1", "-5..5", "32 bit", "flat", "grey", "nothing"],
)
def test_a_float_or_32_bit_tiff_is_scaled_and_says_so(values: np.ndarray, expected: np.ndarray) -> None:
    picture = open_image(encoded(Image.fromarray(values.reshape(16, 16)), "TIFF"), name="a.tif")
    assert np.abs(picture.pixels[..., 0].reshape(-1).astype(int) - expected).max() <= 1
    assert picture.notes == ("deep",)


def test_a_float_tiff_with_holes_is_scaled_by_its_finite_values() -> None:
    values = np.linspace(0, 2, 256, dtype=np.float32).reshape(16, 16)
    values[0, 0], values[0, 1] = np.nan, np.inf
    pixels = open_image(encoded(Image.fromarray(values), "TIFF"), name="a.tif").pixels
    assert (pixels[0, 0, 0], pixels[0, 1, 0], pixels[15, 15, 0]) == (0, 255, 255)
    values += 50
    assert np.array_equal(open_image(encoded(Image.fromarray(values), "TIFF"), name="a.tif").pixels, pixels)


def test_colour_with_16_bits_a_channel_keeps_its_upper_byte_and_says_so() -> None:
    rows = b"".join(b"\0" + struct.pack(">3H", 0xFF00, 0x8000, 0x01FF) * 16 for _ in range(16))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">LLBBBBB", 16, 16, 16, 2, 0, 0, 0))
    picture = open_image(png + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""), name="a.png")
    assert picture.pixels[3, 3].tolist() == [255, 128, 1]
    assert picture.notes == ("sixteen_bit",)


def test_a_cmyk_jpeg_of_adobe_has_the_colours_it_was_saved_with() -> None:
    data = encoded(corners().convert("CMYK"), "JPEG", quality=100)
    assert b"Adobe" in data
    picture = open_image(data, name="a.jpg")
    for y, x, color in ((3, 3, RED), (3, 12, GREEN), (12, 3, BLUE), (12, 12, WHITE)):
        assert np.abs(picture.pixels[y, x].astype(int) - color).max() < 40
    assert picture.notes == ("cmyk",)


def test_a_cmyk_jpeg_without_adobes_mark_is_not_inverted() -> None:
    """Four components without the APP14 segment: plain ink, so that zero ink is white."""
    inverted = Image.fromarray(255 - np.asarray(corners().convert("CMYK")), "CMYK")
    data = encoded(inverted, "JPEG", quality=100)
    at = data.index(b"\xff\xee")
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    picture = open_image(data[:at] + data[at + 2 + length :], name="a.jpg")
    for y, x, color in ((3, 3, RED), (12, 12, WHITE)):
        assert np.abs(picture.pixels[y, x].astype(int) - color).max() < 40


def test_a_cmyk_tiff_is_converted() -> None:
    picture = open_image(encoded(corners().convert("CMYK"), "TIFF"), name="a.tif")
    assert np.array_equal(picture.pixels, np.asarray(corners().convert("CMYK").convert("RGB")))
    assert picture.notes == ("cmyk",)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_parts_become_white(mode: str) -> None:
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 8, 16))
    if mode == "PA":
        indexed = Image.new("P", (16, 16), 1)
        indexed.putpalette([9, 9, 9, 0, 0, 0])
        indexed.paste(0, (0, 0, 8, 16))
        data = encoded(indexed, "PNG", transparency=bytes([255, 0]))
        dark = 9
    else:
        data, dark = encoded(image.convert(mode)), 0
    picture = open_image(data, name="a.png")
    assert picture.pixels[4, 2].tolist() == [dark] * 3
    assert picture.pixels[4, 12].tolist() == [255] * 3
    assert picture.notes == ("transparent",)


def test_half_transparent_red_on_white_is_pink() -> None:
    picture = open_image(encoded(Image.new("RGBA", (16, 16), (255, 0, 0, 128))), name="a.png")
    assert picture.pixels[0, 0].tolist() == [255, 127, 127]


def test_a_colour_key_of_an_rgb_png_is_transparent() -> None:
    picture = open_image(encoded(corners(), transparency=RED), name="a.png")
    assert picture.pixels[0, 0].tolist() == [255, 255, 255]
    assert picture.pixels[0, 15].tolist() == list(GREEN)


def test_an_opaque_alpha_channel_is_no_news() -> None:
    picture = open_image(encoded(corners().convert("RGBA")), name="a.png")
    assert np.array_equal(picture.pixels, np.asarray(corners()))
    assert picture.notes == ()


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_bilevel_grey_and_palette_become_rgb(mode: str) -> None:
    image = corners().convert("L").point(lambda v: 255 if v > 127 else 0).convert(mode)
    picture = open_image(encoded(image), name="a.png")
    assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert set(np.unique(picture.pixels)) == {0, 255}


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_used(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    picture = open_image(data, name="a")
    assert picture.pixels[8, 8].tolist() == list(RED)
    assert picture.notes == ("first_frame",)


def test_the_content_decides_and_not_the_name() -> None:
    assert inspect(encoded(corners(), "TIFF"), name="a.png").suffix == "tif"
    assert inspect(encoded(corners(), "JPEG"), name="a").suffix == "jpg"


def test_a_text_named_jpg_is_refused() -> None:
    assert refusal(b"these are not the pixels you are looking for" * 9).code == "image.not_an_image"


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"").code == "image.empty"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(600), "HEIC"),
        (b"\0\0\0\x18ftypmif1" + bytes(600), "HEIC"),
        (b"\0\0\0\x18ftypavif" + bytes(600), "AVIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- x -->\n<svg/>", "SVG"),
        (b"%PDF-1.7" + bytes(600), "PDF"),
        (b"8BPS\0\1" + bytes(600), "PSD"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
        (bytes(128) + b"DICM" + bytes(60), "DICOM"),
    ],
)
def test_a_format_that_is_not_read_is_named(data: bytes, kind: str) -> None:
    error = refusal(data)
    assert (error.code, error.values["kind"]) == ("image.unsupported", kind)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 500), (500, 1), (7, 7), (8, 7)])
def test_below_8_pixels_a_side_is_refused_with_the_size(width: int, height: int) -> None:
    error = refusal(encoded(Image.new("RGB", (width, height))), "dot.png")
    assert error.code == "image.too_small"
    assert error.cause == f"dot.png has {width}×{height} pixels; each side needs at least 8."


def test_8_pixels_are_enough() -> None:
    assert open_image(encoded(Image.new("RGB", (8, 8), RED)), name="a").pixels.shape == (8, 8, 3)


def test_a_jpeg_cut_anywhere_in_its_pixels_is_found() -> None:
    data = encoded(photo(), "JPEG", quality=90)
    whole = open_image(data, name="a").pixels
    for cut in np.linspace(1, len(data) - 3, 100).astype(int):
        pixels = attempt(lambda cut=cut: open_image(data[:cut], name="a.jpg").pixels)
        assert isinstance(pixels, str) or np.array_equal(pixels, whole), cut  # at most, what no pixel needs was missing


def test_a_jpeg_cut_in_the_middle_is_damaged_however_it_is_read() -> None:
    data = encoded(photo(1200, 900), "JPEG", quality=90)
    assert refusal(data[: len(data) // 2]).code == "image.damaged"
    assert refusal(data[: len(data) - 200]).code == "image.damaged"


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_other_formats_cut_in_the_middle_are_damaged(format: str) -> None:
    data = encoded(photo(), format)
    assert refusal(data[: len(data) // 2], "a").code == "image.damaged"


def png_of(width: int, height: int) -> bytes:
    """A header that declares a size, and no pixels."""
    body = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    head = struct.pack(">L", 13) + b"IHDR" + body + struct.pack(">L", zlib.crc32(b"IHDR" + body))
    return b"\x89PNG\r\n\x1a\n" + head + struct.pack(">L", 0) + b"IDAT" + struct.pack(">L", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize(("width", "height"), [(10_000, 8_000), (20_000, 20_000), (60_000, 60_000)])
def test_a_picture_beyond_the_limit_is_refused_by_its_header(width: int, height: int) -> None:
    assert refusal(png_of(width, height)).code == "image.too_large"


def test_a_huge_jpeg_is_shrunk_while_it_is_decoded() -> None:
    data = encoded(Image.new("L", (8000, 8000), 77), "JPEG", quality=30)
    picture = open_image(data, name="a.jpg")
    assert picture.pixels.shape == (4000, 4000, 3)
    assert picture.notes == ("shrunk",)
    facts = inspect(data, name="a.jpg")
    assert (facts.width, facts.height, facts.notes) == (8000, 8000, ("shrunk",))
    assert np.all(decode(data, 32, "crop") == 77)


def test_a_big_jpeg_decoded_small_is_close_to_the_whole_one_made_small() -> None:
    image = photo(1600, 1200)
    data = encoded(image, "JPEG", quality=95)
    whole = image.crop((200, 0, 1400, 1200)).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(decode(data, 64, "crop").astype(int) - np.asarray(whole)).mean() < 1.5


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
@pytest.mark.parametrize(("width", "height"), [(40, 20), (20, 40), (8, 2000), (33, 33)])
def test_every_fit_gives_a_square(fit: str, width: int, height: int) -> None:
    pixels = decode(encoded(Image.new("RGB", (width, height), GREEN)), 24, fit)  # type: ignore[arg-type]
    assert (pixels.shape, pixels.dtype) == ((24, 24, 3), np.uint8)
    assert pixels[12, 11].tolist() == list(GREEN)


def test_crop_takes_the_middle_stretch_takes_all_and_pad_keeps_the_proportions() -> None:
    image = Image.new("RGB", (40, 20), GREEN)
    image.paste(RED, (0, 0, 10, 20))
    image.paste(BLUE, (30, 0, 40, 20))
    data = encoded(image)
    crop, stretch, pad = (decode(data, 20, fit) for fit in ("crop", "stretch", "pad"))  # type: ignore[arg-type]
    assert np.all(crop == GREEN)
    assert (stretch[10, 1].tolist(), stretch[10, 10].tolist(), stretch[10, 18].tolist()) == (
        list(RED),
        list(GREEN),
        list(BLUE),
    )
    assert np.all(pad[:5] == PAD_COLOR)
    assert np.all(pad[15:] == PAD_COLOR)
    assert (pad[10, 1].tolist(), pad[10, 10].tolist(), pad[10, 18].tolist()) == (list(RED), list(GREEN), list(BLUE))


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    checks = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = decode(encoded(Image.fromarray(checks)), 32, "crop")
    assert np.abs(pixels.astype(int) - 127).max() <= 2


def test_a_thumbnail_fits_keeps_its_proportions_is_never_enlarged_and_carries_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    data = encoded(photo(800, 400), "JPEG", exif=exif)
    small = thumbnail(data, 96)
    assert b"secret place" in data
    assert b"secret place" not in small
    image = Image.open(io.BytesIO(small))
    assert (image.format, image.size) == ("WEBP", (96, 48))
    assert Image.open(io.BytesIO(thumbnail(encoded(corners(16)), 96))).size == (16, 16)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150)
@given(data=st.data(), format=st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"]))
def test_damaged_files_give_pixels_or_a_reason_and_never_another_error(data: st.DataObject, format: str) -> None:
    raw = bytearray(encoded(photo(48, 40), format))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    pixels = attempt(lambda: decode(bytes(raw), 16, "crop"))
    assert pixels.startswith("image.") if isinstance(pixels, str) else pixels.shape == (16, 16, 3)


@settings(max_examples=50)
@given(st.binary(max_size=300), st.text(min_size=1))
def test_any_bytes_and_any_name_are_refused_with_the_name_in_the_sentence(data: bytes, name: str) -> None:
    with pytest.raises(DataError) as caught:
        open_image(data, name=name)
    for language in LANGUAGES:
        assert name in say(f"error.{caught.value.code}.cause", language, **caught.value.values)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_of_a_picture_that_was_cut_off_the_upper_part_remains(kind: str) -> None:
    pixels = np.full((300, 200, 3), (250, 250, 250), np.uint8)
    pixels[np.random.default_rng(0).random((300, 200)) < 0.5] = (200, 40, 40)
    data = encoded(Image.fromarray(pixels), kind)
    small = remains(data[: len(data) // 2], 96)
    assert small is not None
    seen = np.asarray(Image.open(io.BytesIO(small)))
    assert seen.shape == (96, 64, 3)
    assert (seen[:24].max(axis=2) > 100).all()
    assert (seen[80:].max(axis=2) < 60).all()


def test_a_picture_that_is_too_small_remains_and_what_is_none_does_not() -> None:
    small = remains(encoded(Image.new("RGB", (5, 3), WHITE)), 96)
    assert small is not None
    assert Image.open(io.BytesIO(small)).size == (5, 3)
    for data in (b"", b"text", b"\xff\xd8\xff\xe0", encoded(Image.new("RGB", (9, 9)))):
        assert remains(data, 96) is None
    for kind in ("PPM", "ICO", "TGA", "PCX"):
        data = encoded(Image.new("RGB", (32, 32), WHITE), kind)
        assert remains(data, 96) is None, "a decoder that is not on the list is never asked"


def test_what_remains_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(160, 120), "JPEG", exif=exif)
    seen = remains(data[: len(data) // 2], 96)
    assert seen is not None
    assert Image.open(io.BytesIO(seen)).size == (72, 96)


def test_of_a_picture_of_too_many_points_nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("RGB", (100, 100), WHITE))
    monkeypatch.setattr("core.images.MAX_PIXELS", 9_999)
    assert remains(data, 96) is None


def blocks(side: int = 320, *, progressive: bool = False, **how: Any) -> bytes:
    values = np.random.default_rng(0).integers(40, 255, (8, 8, 3), np.uint8)
    out = io.BytesIO()
    picture = Image.fromarray(np.kron(values, np.ones((side // 8, side // 8, 1), np.uint8)))
    picture.save(out, "JPEG", quality=90, progressive=progressive, **how)
    return out.getvalue()


@pytest.mark.parametrize("share", range(10, 100, 10))
def test_of_a_jpeg_that_breaks_off_the_rows_that_are_there_are_an_image_of_their_own(share: int) -> None:
    data = blocks()
    part = data[: len(data) * share // 100]
    with pytest.raises(DataError):
        open_image(part, name="cut.jpg")
    seen = visible(part)
    if share == 10:  # the first row of blocks is not whole
        assert seen is None
        return
    assert seen is not None
    assert (seen.width, seen.height) == (320, round(320 * seen.share))
    facts = inspect(seen.data, name="part.jpg")
    assert (facts.width, facts.height, facts.suffix, facts.notes) == (seen.width, seen.height, "jpg", ())
    there, whole = (open_image(one, name="x").pixels.astype(int) for one in (seen.data, data))
    assert np.abs(there[:-8] - whole[: seen.height - 8]).mean() < 3
    assert 0 < seen.share < share / 100 + 0.05


def test_of_a_progressive_jpeg_all_is_seen_coarsely() -> None:
    data = blocks(progressive=True)
    seen, small = visible(data[: len(data) // 2]), remains(data[: len(data) // 2], 96)
    assert seen is not None
    assert small is not None
    assert (seen.width, seen.height, seen.share) == (320, 320, 1.0)
    there, whole = (open_image(one, name="x").pixels.astype(int) for one in (seen.data, data))
    assert np.abs(there - whole).mean() < 30
    assert visible(data[: len(data) // 50]) is None


def test_what_is_seen_stands_upright_in_its_own_colours_and_tells_nothing_else() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8825] = {1: "N"}  # where it was taken
    data = blocks(exif=exif)
    seen = visible(data[: len(data) // 2])
    assert seen is not None
    assert (seen.height, seen.width < 320) == (320, True)
    assert not Image.open(io.BytesIO(seen.data)).getexif()
    out = io.BytesIO()
    Image.open(io.BytesIO(blocks())).convert("CMYK").save(out, "JPEG", quality=90)
    seen = visible(out.getvalue()[: len(out.getvalue()) // 2])
    assert seen is not None
    whole = open_image(out.getvalue(), name="x").pixels[: seen.height - 8].astype(int)
    assert np.abs(open_image(seen.data, name="x").pixels[:-8].astype(int) - whole).mean() < 3


def test_nothing_is_kept_of_what_is_no_jpeg_or_shows_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded(Image.new("RGB", (200, 200), WHITE))
    for data in (b"", b"text", b"\xff\xd8\xff\xe0", whole[: len(whole) // 2], blocks()[:700]):
        assert visible(data) is None
    data = blocks()
    monkeypatch.setattr("core.images.MAX_PIXELS", 320 * 320 - 1)
    assert visible(data[: len(data) // 2]) is None


def test_a_broken_picture_is_let_in_nowhere_else() -> None:
    from PIL import ImageFile

    data = blocks()
    visible(data[: len(data) // 2])
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with pytest.raises(DataError):
        open_image(data[: len(data) // 2], name="cut.jpg")
