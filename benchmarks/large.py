"""A large set: 50,000 pictures, 5 GB in one zip. Memory, pace, and what a kill in the middle costs.

    python -m benchmarks.large [--images 50000] [--bytes 100000] [--scratch FOLDER]

Makes a zip of JPEGs of that many bytes (200 pictures, each in many copies that differ in their last bytes: all are decoded,
none is a duplicate), imports it in a process that is killed with SIGKILL in the middle, and again to the end. Then it opens
the set as a page does and prepares its pixels for a training. Needs three times the zip of free disk. Figures are of the
process that a server would be, and of the readers that it starts; memory is the largest resident set, in MB.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
CLASSES = 10
PICTURES = 200

IMPORT = """
import sys
from pathlib import Path
from core.dataset import import_dataset
from core.workspace import open_workspace
heard = [0]
def progress(done, total):
    if done == 1 or done == total or done >= heard[0] + 100:
        heard[0] = done
        print(done, flush=True)
print("ready", flush=True)
made = import_dataset(Path(sys.argv[1]), open_workspace(sys.argv[2]), progress=progress)
print("made", made.id, len(made.items), len(made.skipped), flush=True)
"""

LOOK = """
import json, sys, time
from core.dataset import open_dataset, list_datasets, split, summarise
from core.workspace import open_workspace
import psutil
workspace = open_workspace(sys.argv[1])
told = {}
def timed(name, work):
    begin = time.perf_counter()
    result = work()
    told[name] = round(time.perf_counter() - begin, 2)
    return result
[dataset] = timed("list", lambda: list_datasets(workspace))
timed("open again", lambda: open_dataset(workspace, dataset.id))
timed("split", lambda: split(dataset, val_fraction=0.2, test_fraction=0.1, seed=0))
timed("summarise", lambda: summarise(dataset))
told["rss"] = round(psutil.Process().memory_info().rss / 2**20)
if sys.argv[2] != "0":
    from core.dataset.pixels import load_pixels
    size = int(sys.argv[2])
    everything = range(len(dataset.items))
    for name in ("pixels", "pixels again"):
        timed(name, lambda: load_pixels(dataset, everything, size=size, fit="crop", workspace=workspace))
    told["rss with pixels"] = round(psutil.Process().memory_info().rss / 2**20)
print(json.dumps(told))
"""


def encoded(picture: Image.Image, quality: int) -> bytes:
    """A JPEG without its last two bytes, which end it."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()[:-2]


def make_zip(path: Path, images: int, size: int) -> None:
    """A stored zip of `images` JPEGs of `size` bytes each, in CLASSES folders."""
    random = np.random.default_rng(0)
    pictures: list[bytes] = []
    for _ in range(PICTURES):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8)).resize((800, 600), Image.Resampling.BICUBIC)
        noisy = np.asarray(coarse, np.int16) + random.integers(-20, 20, (600, 800, 3), np.int16)
        picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        pictures.append(next(data for quality in range(90, 0, -10) if len(data := encoded(picture, quality)) < size - 100))
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(images):
            data = pictures[number % PICTURES]
            # what follows the end of the picture is not read by a decoder, but hashed and stored like all of it
            rest = f"\xff\xd9{number:08d}".encode("latin-1")
            archive.writestr(
                f"set/class {number % CLASSES}/{number:06d}.jpg", data + rest + bytes(size - len(data) - len(rest))
            )


def follow(process: "subprocess.Popen[str]", until: int | None) -> dict[str, Any]:
    """What the importing process says, and the largest memory of it and of its readers, until it is done or at `until`."""
    heard: deque[str] = deque()
    listener = threading.Thread(target=lambda: heard.extend(process.stdout or ()), daemon=True)
    listener.start()
    me, begin = psutil.Process(process.pid), time.monotonic()
    told: dict[str, Any] = {"server_mb": 0, "reader_mb": 0, "first_s": None, "done": 0}
    while True:
        ended = process.poll() is not None
        if ended:
            listener.join()
        try:
            told["server_mb"] = max(told["server_mb"], me.memory_info().rss // 2**20)
            for child in me.children():
                told["reader_mb"] = max(told["reader_mb"], child.memory_info().rss // 2**20)
        except psutil.NoSuchProcess:
            pass
        while heard:
            line = heard.popleft().strip()
            if line.isdecimal():
                told["done"] = int(line)
                told["first_s"] = told["first_s"] or round(time.monotonic() - begin, 2)
            elif line.startswith("made"):
                told["made"] = line.split()[1:]
        if ended or (until is not None and told["done"] >= until):
            return {**told, "seconds": round(time.monotonic() - begin, 1)}
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--bytes", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64, help="side of the pixels that are prepared; 0: none")
    parser.add_argument("--scratch", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        scratch = Path(name)
        archive, space = scratch / "large.zip", scratch / "workspace"
        begin = time.monotonic()
        make_zip(archive, options.images, options.bytes)
        size = archive.stat().st_size
        print(json.dumps({"zip_gb": round(size / 1e9, 2), "made_s": round(time.monotonic() - begin, 1)}), flush=True)
        command = [sys.executable, "-c", IMPORT, str(archive), str(space)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            told = follow(process, int(0.4 * options.images))
            process.kill()
        print(json.dumps({"import until it is killed": told}), flush=True)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            told = follow(process, None)
        print(json.dumps({"the same again": told}), flush=True)
        assert told["made"][1:] == [str(options.images), "0"], told
        archive.unlink()
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(space), str(options.size)], capture_output=True, text=True, cwd=ROOT, check=True
        )
        print(json.dumps({"to look at it": json.loads(done.stdout)}), flush=True)
        stored = sum(file.stat().st_size for file in (space / "datasets").rglob("*") if file.is_file())
        print(json.dumps({"stored_gb": round(stored / 1e9, 2), "free_gb": round(shutil.disk_usage(scratch).free / 1e9, 1)}))


if __name__ == "__main__":
    main()
