"""A few lines of Python that use an exported ONNX file without Thaw. Text only; a test runs them."""

from core.images import PAD_COLOR, Fit

_HEAD = """import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession({file!r})
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])

image = ImageOps.exif_transpose(Image.open({picture!r}))
if image.mode.startswith("I"):  # deep grey, by the depth that holds its brightest point
    deep = np.asarray(image, np.float64)
    top = next((2**bits - 1 for bits in (8, 10, 12, 14, 16) if deep.max() < 2**bits), deep.max())
    image = Image.fromarray(np.rint(deep.clip(0) * 255 / top).astype(np.uint8))
if "transparency" in image.info or "A" in image.getbands():  # on white
    image = image.convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
image = image.convert("RGB")
"""
_FIT: dict[Fit, str] = {
    "crop": """image = ImageOps.fit(image, ({size}, {size}), Image.Resampling.BILINEAR)
""",
    "stretch": """image = image.resize(({size}, {size}), Image.Resampling.BILINEAR)
""",
    "pad": """image = ImageOps.pad(image, ({size}, {size}), Image.Resampling.BILINEAR, color={color})
""",
}
_TAIL = """pixels = np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255

(probabilities,) = session.run(["probabilities"], {{"image": pixels}})
for at in probabilities[0].argsort()[::-1][:5]:
    print(f"{{probabilities[0][at]:7.2%}}  {{classes[at]}}")
"""


def usage(size: int, fit: Fit, *, file: str = "model.onnx", picture: str = "picture.jpg") -> str:
    """Python source that names what `picture` shows; needs onnxruntime, numpy and Pillow. `size` in pixels."""
    return (_HEAD + _FIT[fit] + _TAIL).format(size=size, color=PAD_COLOR, file=file, picture=picture)
