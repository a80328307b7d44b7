"""Pages are tested over a workspace of their own, a real store, and an engine that trains only if a test starts it."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.dataset import import_dataset
from core.workspace import Workspace, open_workspace
from ui import components, folders, services

components.only_ours()  # as the server does it


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return open_workspace(tmp_path / "workspace")


@pytest.fixture
def house(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """`services` opened over an empty workspace with a real store and an engine that has not been started.

    Pages may name any folder of the tests.
    """
    from core.engine import Engine
    from core.store import RunStore

    monkeypatch.setenv(folders.ROOTS, str(tmp_path_factory.getbasetemp()))
    store = RunStore(workspace)
    services.open(Engine(workspace, store, "cpu"), store, workspace)
    yield workspace
    services.close()
    store.close()


HOST = "127.0.0.1:8501"


@dataclass
class Answer:
    """What the server sent."""

    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def knock(house: Workspace) -> Callable[..., Answer]:
    """Ask our routes through guard and gate, over the open `services`; `client` is the address it comes from."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    from ui.gate import Gate
    from ui.middleware import Guard
    from ui.routes import ROUTES

    app = Starlette(routes=ROUTES, middleware=[Middleware(Guard), Middleware(Gate)])

    def ask(
        path: str, method: str = "GET", *, body: bytes = b"", client: str = "127.0.0.1", scheme: str = "http", **headers: str
    ) -> Answer:
        location, _, query = path.partition("?")
        sent: list[dict[str, Any]] = []
        bodies = [body]

        async def receive() -> dict[str, Any]:
            if not bodies:
                await anyio.sleep_forever()
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        given = {"host": HOST, "origin": f"{scheme}://{HOST}"} | {name.replace("_", "-"): v for name, v in headers.items()}
        scope = {
            "type": "http",
            "method": method,
            "path": location,
            "raw_path": location.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            "http_version": "1.1",
            "scheme": scheme,
            "server": ("127.0.0.1", 8501),
            "client": (client, 50000),
        }
        anyio.run(app, scope, receive, send)
        kept = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], kept, b"".join(message.get("body", b"") for message in sent[1:]))

    return ask


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that are checked at once; what a check costs is tested in core."""
    from core.gate import accounts, passwords

    monkeypatch.setattr(passwords, "N", 1024)
    monkeypatch.setattr(passwords, "P", 1)
    monkeypatch.setattr(accounts, "REMEMBERED_SECONDS", 0.0)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ten pictures of each of three classes, 40 x 32 pixels, and one file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures") / "flowers"
    noise = np.random.default_rng(0)
    for name in ("daisy", "rose :smile:", "百合"):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            pixels = noise.integers(0, 256, (32, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "daisy" / "notes.txt").write_text("not a picture")
    (folder / "daisy" / "broken.png").write_bytes(b"\x89PNG but no more")
    return folder


@pytest.fixture(scope="session")
def grown(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a data set of 30 pictures, imported once."""
    return import_dataset(pictures, open_workspace(tmp_path_factory.mktemp("grown"))).folder


@pytest.fixture
def flowers(house: Workspace, grown: Path) -> str:
    """Id of a data set of 30 pictures in the open workspace: a copy, since a reader in a process of its own takes long."""
    shutil.copytree(grown, house.datasets / grown.name)
    return grown.name


@pytest.fixture
def draw() -> Callable[..., AppTest]:
    """Runs one page as Streamlit does; `lang` and whatever else is given stand in the address."""

    def start() -> None:
        from ui.pages import start

        start.show()

    def data() -> None:
        from ui.pages import data

        data.show()

    def model() -> None:
        from ui.pages import model

        model.show()

    def train() -> None:
        from ui.pages import train

        train.show()

    scripts = {"start": start, "data": data, "model": model, "train": train}

    def run(name: str, *, lang: str = "en", **address: str) -> AppTest:
        at = AppTest.from_function(scripts[name], default_timeout=60)
        at.query_params["lang"] = lang
        for key, value in address.items():
            at.query_params[key] = value
        return at.run()

    return run
