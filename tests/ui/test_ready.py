"""What keeps a draft from being started, and that the button beside it removes it."""

from pathlib import Path

import pytest

from core.errors import RecipeError
from core.recipe import BlockRule, Recipe
from core.words import catalogue
from ui import ready, services

pytestmark = pytest.mark.usefixtures("house")


def draft(flowers: str, **changes: object) -> Recipe:
    return Recipe(dataset=flowers, backbone="thaw-small", image_size=32).changed(**changes)


def test_a_good_draft_has_nothing_in_its_way(flowers: str) -> None:
    assert ready.obstacle(draft(flowers)) is None


def test_no_data_leads_to_the_data_page() -> None:
    found = ready.obstacle(Recipe(backbone="thaw-small"))
    assert found is not None
    assert (found.code, found.fix) == ("no_data", "data")


def test_data_that_is_gone_is_named(flowers: str) -> None:
    services.delete_dataset(flowers)
    found = ready.obstacle(draft(flowers))
    assert found is not None
    assert (found.code, found.values) == ("data_gone", {"dataset": flowers})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"backbone": "vit_b_16", "image_size": 100}, "size"),
        ({"weights": "pretrained"}, "no_pretrained"),
        ({"weights": "/nowhere/own.safetensors"}, "no_file"),
        ({"rules": (BlockRule(path="features.3", trainable=False),)}, "other_rules"),
        ({"rules": (BlockRule(path="", trainable=False),)}, "all_frozen"),
    ],
)
def test_each_obstacle_is_removed_by_its_button(flowers: str, changes: dict[str, object], code: str) -> None:
    blocked = draft(flowers, **changes)
    found = ready.obstacle(blocked)
    assert found is not None
    assert found.code == code
    assert ready.obstacle(ready.repair(blocked, found.fix)) is None


def test_a_weights_file_that_is_there_is_no_obstacle(flowers: str, tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    file.write_bytes(b"")
    assert ready.obstacle(draft(flowers, weights=str(file))) is None


def test_what_is_no_change_of_the_draft_is_refused(flowers: str) -> None:
    with pytest.raises(RecipeError, match="data"):
        ready.repair(draft(flowers), "data")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_obstacle_and_every_fix_has_words(language: str) -> None:
    import ast

    tree = ast.parse(Path(ready.__file__).read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Obstacle"]
    assert len(calls) == 9
    for call in calls:
        words = [arg.value for arg in [*call.args, *[k.value for k in call.keywords]] if isinstance(arg, ast.Constant)]
        assert f"train.block.{words[0]}" in catalogue(language)
        assert f"train.fix.{words[-1]}" in catalogue(language)
