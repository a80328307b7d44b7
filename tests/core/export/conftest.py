"""A run folder with a small model and a data set of real pictures beside it, made once."""

from pathlib import Path

import pytest

from core.backbones import build
from core.dataset import open_dataset
from core.model import save_model
from core.recipe import Recipe
from core.workspace import Workspace, open_workspace

RUN = "01JEXPORT0000000000000TEST"


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_workspace(tmp_path_factory.mktemp("export"))


def make_run(workspace: Workspace, recipe: Recipe, name: str = RUN) -> Path:
    """The folder of a run whose model has random weights and knows the classes of its data set."""
    folder = workspace.runs / name
    folder.mkdir(parents=True, exist_ok=True)
    classes = open_dataset(workspace, "demo:digits").classes
    network = build(recipe.backbone, classes=len(classes), weights="random", image_size=recipe.image_size, seed=3)
    save_model(folder / "model.safetensors", network, recipe=recipe, classes=classes)
    return folder


@pytest.fixture(scope="session")
def run_folder(workspace: Workspace) -> Path:
    return make_run(workspace, Recipe(dataset="demo:digits", backbone="thaw-small", image_size=32))
