"""Sets made on the spot: pictures drawn by number, and what people do to a picture when they copy it."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from core.dataset import Dataset, Item, import_dataset
from core.workspace import Workspace, open_workspace

Draw = Callable[..., Image.Image]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_workspace(tmp_path_factory.mktemp("examine"))


@pytest.fixture(scope="session")
def drawn() -> Draw:
    """A picture of its own for each number: clouds of colour, fine enough to have edges; 96 x 96 pixels."""

    def draw(number: int) -> Image.Image:
        rng = np.random.default_rng(number)
        layers = [rng.uniform(0, 1, (side, side, 3)) for side in (6, 12, 24, 48)]
        sized = [
            np.asarray(Image.fromarray((255 * layer).astype(np.uint8)).resize((96, 96), Image.Resampling.BICUBIC), float)
            for layer in layers
        ]
        return Image.fromarray(np.clip(2 * np.mean(sized, axis=0) - 128, 0, 255).astype(np.uint8))

    return draw


@pytest.fixture(scope="session")
def saved() -> Callable[..., bytes]:
    def save(image: Image.Image, format: str = "PNG", quality: int = 90) -> bytes:
        out = io.BytesIO()
        image.save(out, format, **({"quality": quality} if format == "JPEG" else {}))
        return out.getvalue()

    return save


@pytest.fixture(scope="session")
def copied(saved: Callable[..., bytes]) -> dict[str, Callable[[Image.Image], bytes]]:
    """What people do to a picture: save it anew, cut off 2 % of each side, make it brighter or darker, smaller."""

    def cropped(image: Image.Image) -> Image.Image:
        x, y = round(0.01 * image.width), round(0.01 * image.height)
        return image.crop((x, y, image.width - x, image.height - y))

    return {
        "saved anew": lambda image: saved(image, "JPEG", 60),
        "cropped": lambda image: saved(cropped(image), "JPEG"),
        "brighter": lambda image: saved(ImageEnhance.Brightness(image).enhance(1.15), "JPEG"),
        "darker": lambda image: saved(ImageEnhance.Brightness(image).enhance(0.7), "JPEG"),
        "smaller": lambda image: saved(image.resize((image.width * 3 // 4, image.height * 3 // 4)), "JPEG"),
    }


@pytest.fixture(scope="session")
def soft() -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.filter(ImageFilter.GaussianBlur(0.03 * image.width))


@pytest.fixture(scope="session")
def imported(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, bytes]], Dataset]:
    def bring(files: dict[str, bytes]) -> Dataset:
        folder: Path = tmp_path_factory.mktemp("set")
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return import_dataset(folder, workspace)

    return bring


@pytest.fixture
def listed() -> Callable[..., Dataset]:
    """A data set of so many images in each class that lies nowhere."""

    def make(*counts: int, width: int = 100, height: int = 100) -> Dataset:
        items = tuple(
            Item(f"{label}{number:063d}", f"{label}/{number}", label, None, width, height, "png")
            for label, count in enumerate(counts)
            for number in range(count)
        )
        classes = tuple(f"class {label}" for label in range(len(counts)))
        return Dataset("id", "name", "x.zip", classes, items, (), (), Path("nowhere"), "2026-01-01")

    return make
