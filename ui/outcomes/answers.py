"""What a model answers about pictures that a person gives it, and how sure it is."""

import base64
import hashlib
import io
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from core.errors import ThawError
from core.heavy import load_torch
from core.pins import FILE
from ui import services
from ui.jobs import Cancelled, Job, Progress
from ui.outcomes.files import MODEL

if TYPE_CHECKING:
    import numpy as np

    from core.model import Model

TOP = 5
KEPT = 16
"""Questions whose answers stay in memory."""
MOST_PICTURES = 24
"""Pictures that are answered at a time."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What the model says about one picture that a person gave, or why it could not be looked at."""

    name: str
    picture: str = ""
    """Data URL of what the model sees: the square of its size."""
    side: int = 0
    classes: int = 0
    """How many the model can choose from."""
    bars: tuple[tuple[str, float], ...] = ()
    """(class, probability), the likeliest first."""
    error: ThawError | None = None


def predict(run_id: str, pictures: Sequence[tuple[str, bytes]], kept: str = "") -> Job:
    """Let the model of a run look at (name, bytes) pictures; gives a list of Guess. The same question is asked once.

    `kept` is the file of a moment that is asked instead. A run that went on has another model, and is asked anew.
    """
    file = services.run_folder(run_id) / (kept if FILE.fullmatch(kept) else MODEL)
    changed = file.stat().st_mtime_ns if file.is_file() else 0
    digest = hashlib.sha256(f"{run_id}/{kept}/{changed}".encode())
    for name, data in pictures:
        digest.update(name.encode("utf-8", "replace") + hashlib.sha256(data).digest())
    question, jobs = digest.hexdigest(), services.jobs()
    known = jobs.find("predict", question)
    if known is not None and known.state in ("running", "done"):
        return known
    asked = list(pictures)[:MOST_PICTURES]

    def work(progress: Progress, cancelled: Cancelled) -> list[Guess]:
        model = _model(file, file.stat().st_mtime_ns) if file.is_file() else None
        if model is None:
            raise ThawError("export.no_model", run=run_id)
        guesses = []
        for number, (name, data) in enumerate(asked, 1):
            guesses.append(_guess(model, name, data))
            progress(number, len(asked))
        return guesses

    job = jobs.start("predict", question, work)
    _asked.append(job)
    if len(_asked) > KEPT:
        jobs.forget(_asked.popleft())
    return job


_asked: deque[Job] = deque()
_loading = threading.Lock()


def _model(file: Path, changed: int) -> "Model":
    """The model in memory, loaded once whoever asks; the last two are kept."""
    with _loading:
        return _loaded(file, changed)


@lru_cache(maxsize=2)
def _loaded(file: Path, changed: int) -> "Model":
    load_torch()
    from core.model import load_model

    return load_model(file)


def _guess(model: "Model", name: str, data: bytes) -> Guess:
    from core.images import decode

    try:
        pixels = decode(data, model.image_size, model.fit, name=name)
    except ThawError as error:
        return Guess(name, error=error)
    (shares,) = model.predict([data])
    order = sorted(range(len(shares)), key=lambda at: -shares[at])[:TOP]
    bars = tuple((model.classes[at], float(shares[at])) for at in order)
    return Guess(name, picture=_data_url(pixels), side=model.image_size, classes=len(model.classes), bars=bars)


def _data_url(pixels: "np.ndarray") -> str:
    """A picture (H, W, 3) uint8 as an address that needs no server; a small one without loss, for its pixels are shown."""
    body = io.BytesIO()
    small = len(pixels) < 160
    Image.fromarray(pixels).save(body, "WEBP", lossless=small, quality=50 if small else 90, method=2)
    return "data:image/webp;base64," + base64.b64encode(body.getvalue()).decode()
