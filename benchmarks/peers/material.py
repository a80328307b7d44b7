"""Images, splits and weights that all contenders share. Written once into a cache folder, found again by what they are.

Generated photographs have planted classes: each class has its own direction and spacing of stripes and its own tint, under
noise of all scales, so that files are about as large as those of a camera.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = 10
VERSION = 1
QUALITY = 90
Split = dict[str, list[str]]


def picture(width: int, height: int, label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(height, width, 3): stripes of the class `label` under noise of five scales and grain."""
    noise = np.zeros((height, width), np.float32)
    for cells in (4, 12, 36, 108):
        rough = Image.fromarray(rng.random((max(2, cells * height // width), cells), dtype=np.float32))
        noise += np.asarray(rough.resize((width, height), Image.Resampling.BILINEAR), np.float32) - 0.5
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(min(width, height))
    angle = np.pi * (label + rng.uniform(-0.2, 0.2)) / CLASSES
    waves = 6 + 3 * (label % 3)
    stripes = np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 6))
    grain = rng.integers(-10, 11, (height, width, 1), dtype=np.int8).astype(np.float32)
    tint = 110 + 40 * np.cos(2 * np.pi * (label / CLASSES + np.array([0, 1 / 3, 2 / 3]))).astype(np.float32)
    image: NDArray[np.uint8] = (tint + 45 * (noise + 0.5 * stripes)[..., None] + grain).clip(0, 255).astype(np.uint8)
    return image


def generated(root: Path, *, name: str, parts: dict[str, int], size: tuple[int, int], classes: int = CLASSES) -> Path:
    """A folder PART/CLASS/*.jpg with `parts` = images in each part, of `size` = width and height; classes by turns."""
    key = json.dumps([VERSION, name, parts, size, QUALITY, classes])
    folder = root / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    if folder.is_dir():
        return folder
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]))
    half = folder.with_suffix(".part")
    shutil.rmtree(half, ignore_errors=True)
    for part, count in parts.items():
        for at in range(count):
            place = half / part / str(at % classes)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(*size, at % classes, rng)).save(place / f"{at:04}.jpg", quality=QUALITY)
    half.rename(folder)
    return folder


def shared_out(names: list[str], *, train: int, val: int, seed: int, test: int = 0) -> Split:
    """`train` images in all to learn from, `val` to watch, `test` (0: the rest) to test; evenly of each class, by `seed`.

    The class of a name is its folder.
    """
    rng = np.random.default_rng(seed)
    classes = sorted({name.split("/")[-2] for name in names})
    split: Split = {"train": [], "val": [], "test": []}
    for label in classes:
        mine = sorted(name for name in names if name.split("/")[-2] == label)
        drawn = [mine[at] for at in rng.permutation(len(mine))]
        first, second = train // len(classes), (train + val) // len(classes)
        last = second + test // len(classes) if test else len(drawn)
        for part, some in (("train", drawn[:first]), ("val", drawn[first:second]), ("test", drawn[second:last])):
            split[part] += some
    return {part: sorted(some) for part, some in split.items()}


def pictures_in(archive: Path) -> list[str]:
    """Names of the images in a zip with one folder a class."""
    with ZipFile(archive) as file:
        return sorted(name for name in file.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png")))


def unpacked(root: Path, archive: Path, split: Split) -> Path:
    """A folder PART/CLASS/FILE with the images of `archive` as `split` says."""
    key = json.dumps([archive.stat().st_size, split])
    folder = root / f"{archive.stem}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    if folder.is_dir():
        return folder
    half = folder.with_suffix(".part")
    shutil.rmtree(half, ignore_errors=True)
    with ZipFile(archive) as file:
        for part, names in split.items():
            for name in names:
                place = half / part / name.split("/")[-2] / name.split("/")[-1]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.read(name))
    half.rename(folder)
    return folder


def thaws_split(root: Path, archive: Path) -> Path:
    """The split file that Thaw draws for `archive` with the defaults of a recipe and seed 0: the peers get the same one."""
    from core.dataset import import_dataset, split
    from core.workspace import open_workspace

    file = root / f"{archive.stem}-{archive.stat().st_size}.split.json"
    if not file.is_file():
        place = root / "split-workspace"
        dataset = import_dataset(archive, open_workspace(place))
        drawn = split(dataset, val_fraction=0.1, test_fraction=0.1, seed=0)
        parts = {part: [dataset.items[at].name for at in getattr(drawn, part)] for part in ("train", "val", "test")}
        shutil.rmtree(place)
        file.write_text(json.dumps(parts), "utf-8")
    return file


def weights(root: Path) -> dict[str, dict[str, str]]:
    """By backbone: its weights as `npz` for the peers and as `safetensors` for Thaw; made in a process of its own."""
    names = ("resnet18", "thaw-small")
    files = {name: {kind: str(root / f"{name}-{VERSION}.{kind}") for kind in ("npz", "safetensors")} for name in names}
    if not all(Path(file).is_file() for kinds in files.values() for file in kinds.values()):
        script = Path(__file__).with_name("weights.py")
        subprocess.run([sys.executable, str(script), json.dumps(files)], check=True)
    return files


def warmed(folders: list[Path]) -> None:
    """Read every file once, so that the disk is nobody's handicap."""
    for folder in folders:
        for file in folder.rglob("*.*") if folder.is_dir() else [folder]:
            if file.is_file():
                file.read_bytes()
