"""Small data sets made on the spot: pictures by number, zips and folders by name."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.dataset.record import Skipped
from core.errors import ThawError
from core.words import LANGUAGES, say
from core.workspace import Workspace, open_workspace

Files = Mapping[str, bytes]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "workspace")


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """A picture of its own for each number."""

    def make(number: int, format: str = "PNG", size: tuple[int, int] = (12, 10)) -> bytes:
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, format)
        return out.getvalue()

    return make


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[..., Path]:
    """A zip that holds these files, in this order."""

    def make(files: Files, name: str = "set.zip", compression: int = zipfile.ZIP_STORED) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", compression) as archive:
            for file, data in files.items():
                archive.writestr(file, data)
        return tmp_path / name

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder that holds these files."""

    def make(files: Files, name: str = "set") -> Path:
        for file, data in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_bytes(data)
        return tmp_path / name

    return make


@pytest.fixture
def pets(picture: Callable[..., bytes]) -> Callable[..., dict[str, bytes]]:
    """`count` pictures each of cats and dogs, one folder a class."""

    def make(count: int = 4, above: str = "", first: int = 0) -> dict[str, bytes]:
        return {
            f"{above}{label}/{number}.png": picture(first + 1000 * place + number)
            for place, label in enumerate(("cats", "dogs"))
            for number in range(count)
        }

    return make


@pytest.fixture(autouse=True)
def nothing_is_left_unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every test: a failure, and a file that is kept out, can be said in each language and names what it is about."""

    def sayable(code: str, values: Mapping[str, Any]) -> None:
        assert None not in values.values(), f"{code} names nothing: {values}"
        for language in LANGUAGES:
            say(f"error.{code}.cause", language, **values)

    def watched(kind: type, told: Callable[..., None]) -> None:
        begin = kind.__init__  # type: ignore[misc]

        def checked(self: Any, *given: Any, **named: Any) -> None:
            begin(self, *given, **named)
            told(self)

        monkeypatch.setattr(kind, "__init__", checked)

    for kind in (ThawError, Skipped):
        watched(kind, lambda made: sayable(made.code, made.values))
