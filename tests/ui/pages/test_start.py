"""Start: a press on a demo becomes a queued run on the Train page; the other doors lead where they say."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.dataset import DEMOS
from core.errors import DataError
from core.recipe import AUGMENT_PRESETS
from core.run import Run
from core.workspace import Workspace
from ui import navigation, services
from ui.parts import doors

Draw = Callable[..., AppTest]


@pytest.fixture
def went(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pages that were gone to."""
    pages: list[str] = []
    monkeypatch.setattr(navigation, "go", pages.append)
    return pages


@pytest.fixture
def sheets(house: Workspace) -> dict[str, tuple[str, ...]]:
    """The small pictures, drawn."""
    services.demo_sheets()
    job = services.jobs().find("sheets")
    assert job is not None
    assert job.wait(60)
    found = services.demo_sheets()
    assert found
    return found


def said(at: AppTest) -> str:
    return "\n".join(element.value for kind in (at.title, at.subheader, at.markdown, at.caption) for element in kind)


def test_every_demo_has_twelve_pictures_before_it_is_made(sheets: dict[str, tuple[str, ...]], house: Workspace) -> None:
    assert set(sheets) == set(services.demo_ids())
    for pictures in sheets.values():
        assert len(set(pictures)) == 12
        assert all(picture.startswith("data:image/webp;base64,") for picture in pictures)
    assert list(house.datasets.iterdir()) == []


def test_an_empty_workspace_offers_demos_and_own_images_and_says_what_will_be_here(
    sheets: dict[str, tuple[str, ...]], draw: Draw
) -> None:
    at = draw("start")
    assert not at.exception
    assert "Try a demo" in said(at)
    assert "Your trainings will be here." in said(at)
    assert [button.label for button in at.button] == ["Choose images"]


def test_own_images_lead_to_the_data_page(sheets: dict[str, tuple[str, ...]], draw: Draw, went: list[str]) -> None:
    draw("start").button(key="start.own.go").click().run()
    assert went == ["data"]


def test_a_picked_demo_is_made_and_its_training_waits_for_the_engine(
    sheets: dict[str, tuple[str, ...]], draw: Draw, went: list[str]
) -> None:
    at = draw("start")
    at.session_state["start.opening"] = "demo:digits"
    at.run()
    assert "Handwritten digits" in said(at)
    assert went == []
    job = services.jobs().find("demo", "demo:digits")
    assert job is not None
    assert job.wait(60)
    at.run()
    (run,) = services.store().runs()
    assert went == ["train"]
    assert run.state == "queued"
    assert (run.recipe.dataset, run.recipe.backbone, run.recipe.image_size) == ("demo:digits", "thaw-small", 64)
    assert at.query_params["run"] in (run.id, [run.id])
    assert at.session_state["thaw.draft"] == doors.demo_recipe("demo:digits")


def test_a_demo_starts_from_the_best_weights_on_board_and_is_varied_as_suits_it(house: Workspace) -> None:
    best = services.backbone("thaw-small").weights[0]
    for key, demo in DEMOS.items():
        recipe = doors.demo_recipe(f"demo:{key}")
        assert (recipe.weights, recipe.epochs) == (best, demo.epochs)
        assert recipe.augment == AUGMENT_PRESETS[demo.augment]


def test_a_demo_that_cannot_be_made_says_why_and_the_doors_stay_open(
    sheets: dict[str, tuple[str, ...]], draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(dataset_id: str) -> None:
        raise DataError("data.disk_full", path="/w")

    monkeypatch.setattr(services, "dataset_if_ready", full)
    at = draw("start")
    at.session_state["start.opening"] = "demo:digits"
    at.run()
    assert not at.exception
    assert "Try a demo" in said(at)
    assert any(":red[" in caption.value for caption in at.caption)


def test_what_was_begun_before_is_one_press_away(
    sheets: dict[str, tuple[str, ...]], trained: Callable[..., Run], draw: Draw, went: list[str]
) -> None:
    trained(name="older")
    run = trained(name="*newest*")
    at = draw("start")
    assert "**\\*newest\\*** · Finished" in said(at)
    assert "75.0 % right on test images" in said(at)
    at.button(key="start.again.go").click().run()
    assert went == ["results"]
    assert at.query_params["run"] in (run.id, [run.id])
    draw("start").button(key="start.again.all").click().run()
    assert went == ["results", "runs"]


def test_a_run_at_work_is_watched_not_opened(
    sheets: dict[str, tuple[str, ...]], draw: Draw, went: list[str], flowers: str, pictures: Path
) -> None:
    services.submit(doors.demo_recipe("demo:digits"))
    at = draw("start")
    assert at.button(key="start.again.go").label == "Watch it"
    at.button(key="start.again.go").click().run()
    assert went == ["train"]
