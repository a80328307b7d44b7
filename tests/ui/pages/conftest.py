"""Runs that look as if they had been trained: a real model, real pictures, and figures that a test knows by heart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.testing.v1 import AppTest

from core.dataset import open_dataset
from core.evaluation import scores
from core.events import Ended, EpochDone, Saved, Started, Tested
from core.recipe import Recipe
from core.run import Run
from core.store import RunStore
from core.workspace import Workspace
from ui import services

TRUTH = [0] * 6 + [1] * 3 + [2] * 3
SAID = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 0]
SURE = [0.9, 0.8, 0.7, 0.6, 0.55, 0.95, 0.9, 0.9, 0.9, 0.9, 0.9, 0.75]
NAMES = ("nought *bold*", "<img onerror=alert(1)>", "猫 :smile:")
"""Twelve pictures of three classes: nine named right, two of the first called the second, one of the third the first."""


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights that knows the three classes."""
    from core.backbones import build
    from core.model import save_model

    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    network = build("thaw-small", classes=3, weights="random", image_size=32, seed=1)
    save_model(file, network, recipe=Recipe(dataset="demo:digits", backbone="thaw-small", image_size=32), classes=NAMES)
    return file


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the demo has been painted once."""
    from core.workspace import open_workspace

    workspace = open_workspace(tmp_path_factory.mktemp("digits"))
    open_dataset(workspace, "demo:digits")
    return workspace.datasets


@pytest.fixture
def trained(house: Workspace, model_file: Path, digits: Path) -> Callable[..., Run]:
    """Makes a run that has ended; `outcome`, `split` and every field of the recipe can be chosen."""
    for folder in digits.iterdir():
        (house.datasets / folder.name).symlink_to(folder, target_is_directory=True)

    def make(outcome: str = "finished", split: str = "test", name: str = "", **choices: Any) -> Run:
        run = make_run(services.store(), outcome, split, name=name, **choices)
        if outcome in ("finished", "stopped"):
            (services.run_folder(run.id) / "model.safetensors").symlink_to(model_file)
        return run

    return make


def make_run(store: RunStore, outcome: str = "finished", split: str = "test", **choices: Any) -> Run:
    """A run of `store` that has ended so, with its curves and, if it was tested, its figures and predictions."""
    fields = {"dataset": "demo:digits", "backbone": "thaw-small", "image_size": 32, "epochs": 3}
    run = store.create(Recipe(**{**fields, **choices}))
    assert store.transition(run.id, "running")
    tested = _measured(store, run, split) if outcome in ("finished", "stopped") else []
    store.append(run.id, [*_learned(), *tested, Ended(outcome=outcome, step=6, epoch=2, best_epoch=2)])
    return store.run(run.id)


def _learned() -> list[Any]:
    started = Started(
        device="cpu", precision="fp32", threads=1, versions={}, fingerprint="f", classes=NAMES,
        splits={"train": 60, "val": 12, "test": 12}, parameters_total=10, parameters_trainable=10, groups=(), held=(),
        steps_per_epoch=3, epochs=3, step=0,
    )  # fmt: skip
    epochs = [
        EpochDone(
            epoch=n, step=3 * n, train_loss=1 / n, train_accuracy=0.4 * n, val_loss=1.2 / n, val_accuracy=0.35 * n,
            val_macro_f1=0.3 * n, best=True, clock=10.0 * n,
        )
        for n in (1, 2)
    ]  # fmt: skip
    saved = Saved(step=6, epoch=2, file="step-6.ckpt", sha256="0" * 64, size_bytes=1, best=True, clock=20.0)
    return [started, *epochs, saved]


def _measured(store: RunStore, run: Run, split: str) -> list[Any]:
    shares = np.full((len(TRUTH), 3), 0.0)
    for row, (said, sure) in enumerate(zip(SAID, SURE, strict=True)):
        shares[row] = (1 - sure) / 2
        shares[row, said] = sure
    items = open_dataset(store.workspace, "demo:digits").items
    rows = [
        {
            "index": n, "name": f"<b>{n}</b>.png", "sha256": items[n].sha256, "label": true, "predicted": said,
            "confidence": sure,
            "top": [{"class": int(at), "probability": float(shares[n][at])} for at in (-shares[n]).argsort()],
        }
        for n, (true, said, sure) in enumerate(zip(TRUTH, SAID, SURE, strict=True))
    ]  # fmt: skip
    file = store.folder(run.id) / "test.json"
    file.write_text(json.dumps({"split": split, "epoch": 2, "classes": NAMES, "items": rows}), "utf-8")
    figures = scores(np.array(TRUTH), shares, NAMES, majority=0)
    return [Tested(split=split, epoch=2, scores=figures, file="test.json")]


@pytest.fixture
def page() -> Callable[..., AppTest]:
    """Runs one page as Streamlit does."""

    def results() -> None:
        from ui.pages import results

        results.show()

    def runs() -> None:
        from ui.pages import runs

        runs.show()

    def try_it() -> None:
        from ui.pages import try_it

        try_it.show()

    scripts = {"results": results, "runs": runs, "try_it": try_it}

    def draw(name: str, *, lang: str = "en", **address: str) -> AppTest:
        at = AppTest.from_function(scripts[name], default_timeout=30)
        at.query_params["lang"] = lang
        for key, value in address.items():
            at.query_params[key] = value
        return at.run()

    return draw


@pytest.fixture
def sent() -> Callable[[AppTest, str], Any]:
    """What the component whose key ends with a name was given; None if it was not drawn."""

    def data(at: AppTest, name: str) -> Any:
        found = [one.proto for one in at.get("bidi_component") if name in one.proto.id]
        return json.loads(found[-1].json) if found else None

    return data


@pytest.fixture
def press() -> Callable[[AppTest, str, str, Any], AppTest]:
    """Lets a component of our own send a trigger, along the way that the browser's takes: callbacks run, and it is reset."""

    def send(at: AppTest, name: str, event: str, value: Any) -> AppTest:
        states = at._tree.get_widget_states()
        (proto,) = [one.proto for one in at.get("bidi_component") if one.proto.id.endswith(name)]
        said = json.dumps([{"event": event, "value": value}])
        states.widgets.add(id=_make_trigger_id(proto.id, "events"), json_trigger_value=said)
        return at._run(states)

    return send
