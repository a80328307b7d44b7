"""Model: a backbone, what it starts from, and which of its blocks learn. What the tree shows is what the draft says."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import WeightsError
from core.events import Ended
from core.plan import plan
from core.recipe import BlockRule, Recipe
from core.timeline import begins
from core.words import catalogue
from core.workspace import Workspace
from ui import services
from ui.parts import backbones, tree

Draw = Callable[..., AppTest]
Sent = Callable[[AppTest, str], Any]
Press = Callable[[AppTest, str, str, Any], AppTest]

pytestmark = pytest.mark.usefixtures("house")


def draft(at: AppTest) -> Recipe:
    recipe: Recipe = at.session_state["thaw.draft"]
    return recipe


def told(at: AppTest, rules: dict[str, Any], sent: Sent) -> AppTest:
    """Let the tree's browser side send rules."""
    given = sent(at, "model.tree")
    at.session_state["model.tree"] = {"wish": {"sig": given["sig"], "rev": given["rev"], "rules": rules}}
    return at.run()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_speaks_both_languages_without_any_data(draw: Draw, lang: str) -> None:
    at = draw("model", lang=lang)
    assert not at.exception
    assert at.title[0].value == catalogue(lang)["model.title"]
    assert [one.value for one in at.subheader] == [
        catalogue(lang)["model.gallery"],
        "Thaw Small",
        catalogue(lang)["model.strategies"],
        catalogue(lang)["model.tree"],
    ]


def test_the_gallery_holds_every_backbone_with_its_figures(draw: Draw, sent: Sent) -> None:
    shown = sent(draw("model"), "model.backbones")
    assert [card["id"] for card in shown["cards"]] == [card.name for card in services.backbones()]
    assert shown["chosen"] == "thaw-small"
    resnet = next(card for card in shown["cards"] if card["id"] == "resnet18")
    assert resnet["facts"] == [
        ["Parameters", "11.7 M"],
        ["GFLOPs", "1.81"],
        ["ImageNet accuracy", "69.8 %"],
        ["Made for", "224 px"],
    ]
    assert resnet["sort"] == {"size": 11689512.0, "speed": 1.814, "accuracy": 69.758}
    assert resnet["badges"] == [["Weights to download · 46.8 MB", "cold"]]


def test_a_backbone_is_chosen_by_its_card_and_its_tree_is_drawn(draw: Draw, press: Press, sent: Sent) -> None:
    at = press(draw("model"), "model.backbones", "picked", "squeezenet1_1")
    assert draft(at).backbone == "squeezenet1_1"
    assert at.subheader[1].value == services.backbone("squeezenet1_1").title.replace(".", r"\.")
    assert not at.exception


def test_a_strategy_writes_onto_the_tree(draw: Draw, press: Press, sent: Sent) -> None:
    at = press(draw("model"), "model.strategies", "picked", "head")
    assert draft(at).strategy == "head"
    planned = plan(services.tree(draft(at)), draft(at).rules)
    assert {group.name for group in planned.groups} == {""}
    assert planned.trainable == services.tree(draft(at))["fc"].total
    shown = {one.label: one.value for one in at.metric}
    assert shown[catalogue("en")["model.total.trainable"]] == "5.13 k"
    assert sent(at, "model.tree")["rules"] == {"": {"trainable": False}, "fc": {"trainable": True}}


def test_a_click_on_the_tree_is_the_draft_and_makes_the_strategy_one_s_own(draw: Draw, sent: Sent) -> None:
    at = told(draw("model"), {"layer1": {"trainable": False}, "layer4": {"lr_scale": 0.1}}, sent)
    assert draft(at).strategy == "custom"
    assert draft(at).rules == (BlockRule(path="layer1", trainable=False), BlockRule(path="layer4", lr_scale=0.1))
    assert sent(at, "model.strategies")["chosen"] is None
    shown = {one.label: one.delta for one in at.metric}
    assert shown[catalogue("en")["model.total.rates"]] == "×0.1 to ×1"


def test_a_preset_beats_a_click_that_came_before_it(draw: Draw, press: Press, sent: Sent) -> None:
    at = told(draw("model"), {"layer1": {"trainable": False}}, sent)
    press(at, "model.strategies", "picked", "full")
    assert (draft(at).strategy, draft(at).rules) == ("full", ())


def test_a_timeline_shows_when_stages_thaw_and_a_drag_writes_rules(draw: Draw, press: Press, sent: Sent) -> None:
    services.keep_draft(services.first_draft().changed(epochs=12))
    at = press(draw("model"), "model.strategies", "picked", "gradual")
    shown = sent(at, "model.timeline")
    before = {"conv1": 9, "layer1": 7, "layer2": 6, "layer3": 4, "layer4": 3, "fc": 1}
    assert (shown["since"], shown["epochs"]) == (before, 12)
    wish = {"sig": shown["sig"], "rev": shown["rev"], "since": {**before, "layer3": 8, "conv1": None}}
    press(at, "model.timeline", "wish", wish)
    tree = services.tree(draft(at))
    assert draft(at).strategy == "gradual"
    assert begins(tree, draft(at).rules) == {**before, "layer3": 8, "conv1": None}
    assert sent(at, "model.tree")["rules"]["layer3"] == {"trainable": True, "since": 8}


def test_too_few_images_for_everything_are_warned_of_where_it_is_chosen(draw: Draw, press: Press, flowers: str) -> None:
    services.keep_draft(services.first_draft().changed(dataset=flowers, image_size=32))
    at = press(draw("model"), "model.strategies", "picked", "full")
    at.button(key="train.heed.small_full").click().run()
    assert draft(at).strategy == "last-stage"


def test_frozen_blocks_of_chance_are_warned_of(draw: Draw, press: Press) -> None:
    services.keep_draft(services.first_draft().changed(weights="random"))
    at = press(draw("model"), "model.strategies", "picked", "last-stage")
    assert any(catalogue("en")["model.strategy.random"] in one.value for one in at.caption)


def test_everything_frozen_is_said_in_the_totals(draw: Draw, sent: Sent) -> None:
    at = told(draw("model"), {"": {"trainable": False}}, sent)
    assert catalogue("en")["model.total.nothing"] in [one.delta for one in at.metric]


def test_a_backbone_that_is_gone_offers_the_one_on_board(house: Workspace, draw: Draw) -> None:
    services.keep_draft(Recipe(backbone="no-such-net"))
    at = draw("model")
    assert r"no\-such\-net" in at.error[0].value
    at.button(key="model.gone.go").click().run()
    assert draft(at).backbone == "thaw-small"
    assert not at.exception


# --- weights --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def resnet(house: Workspace) -> None:
    services.keep_draft(Recipe(backbone="resnet18", weights="random", image_size=32))


@pytest.mark.usefixtures("resnet")
def test_pretrained_weights_are_offered_for_download(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def fetch(name: str, workspace: Workspace, *, progress: Any = None, cancelled: Any = None) -> Path:
        progress(20_000_000, 40_000_000)
        begun.set()
        assert go_on.wait(10)
        raise WeightsError("path.missing", path="the internet")

    monkeypatch.setattr("core.backbones.fetch", fetch)
    at = draw("model")
    at.segmented_control(key="model.weights").set_value("pretrained").run()
    assert (draft(at).weights, draft(at).image_size) == ("pretrained", 224)
    at.button(key="model.download").click().run()
    assert begun.wait(10)
    at.run()
    assert [one.proto.text for one in at.get("progress")] == ["20 MB of 40 MB"]
    go_on.set()
    job = services.jobs().find("weights", "resnet18")
    assert job is not None
    assert job.wait(10)
    at.run()
    assert "the internet" in at.error[0].value


@pytest.mark.usefixtures("resnet")
def test_weights_on_this_machine_are_said_to_be_here(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    here = replace(services.backbone("resnet18"), local=True)
    monkeypatch.setattr(services, "backbone", lambda name: here)
    at = draw("model")
    at.segmented_control(key="model.weights").set_value("pretrained").run()
    assert any(catalogue("en")["model.weights.here"] in one.value for one in at.markdown)
    assert "model.download" not in [one.key for one in at.button]


@pytest.mark.parametrize(("name", "words"), [("own.pt", "safetensors file"), ("none.safetensors", "There is no file")])
@pytest.mark.usefixtures("resnet")
def test_a_file_that_cannot_be_used_is_refused_at_the_field(draw: Draw, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "own.pt").write_bytes(b"")
    at = draw("model")
    at.segmented_control(key="model.weights").set_value("file").run()
    assert draft(at).weights == "random"
    at.text_input(key="model.path").set_value(str(tmp_path / name)).run()
    assert draft(at).weights == "random"
    assert any(words in one.value.replace("\\", "") for one in at.caption)


@pytest.mark.usefixtures("resnet")
def test_a_file_of_one_s_own_is_taken_by_path_or_upload(house: Workspace, draw: Draw, tmp_path: Path) -> None:
    file = tmp_path / "own_*weights*.safetensors"
    file.write_bytes(b"tensors")
    at = draw("model")
    at.segmented_control(key="model.weights").set_value("file").run()
    at.text_input(key="model.path").set_value(str(file)).run()
    assert draft(at).weights == str(file)
    assert any(r"own\_\*weights\*\.safetensors" in one.value for one in at.markdown)
    at.file_uploader(key="model.file").upload("sent.safetensors", b"others").run()
    assert Path(draft(at).weights).read_bytes() == b"others"
    assert Path(draft(at).weights).is_relative_to(house.weights)


@pytest.mark.usefixtures("resnet")
def test_the_model_of_an_earlier_run_with_this_backbone_can_be_taken_further(draw: Draw) -> None:
    store = services.store()
    for name, backbone, outcome in (
        ("mine", "resnet18", "finished"),
        ("other", "thaw-small", "finished"),
        ("bad", "resnet18", "failed"),
    ):
        run = store.create(Recipe(backbone=backbone, name=name))
        assert store.transition(run.id, "running")
        store.append(run.id, [Ended(outcome=outcome)])  # type: ignore[arg-type]
        (store.folder(run.id) / "model.safetensors").write_bytes(b"tensors")
    at = draw("model")
    at.segmented_control(key="model.weights").set_value("file").run()
    assert at.selectbox(key="model.earlier").options == ["mine"]
    at.selectbox(key="model.earlier").select_index(0).run()
    assert draft(at).weights == str(services.models_of("resnet18")["mine"])
    assert any("mine is chosen" in one.value for one in at.markdown)


@pytest.mark.parametrize(
    ("weights", "kind"),
    [("pretrained", "pretrained"), ("random", "random"), ("bundled", "bundled"), ("/a.safetensors", "file")],
)
def test_a_path_is_a_file(weights: str, kind: str) -> None:
    assert backbones.kind_of(weights) == kind


def test_a_licence_is_said_in_words_where_they_are_known() -> None:
    from dataclasses import replace

    card = services.backbone("thaw-small")
    assert backbones.licence(card) == catalogue("en")["licence.Apache-2.0"]
    assert backbones.licence(replace(card, licence="X-1")) == r"X\-1"


def test_rates_are_said_from_low_to_high() -> None:
    made = services.tree(Recipe(backbone="thaw-small", image_size=32))
    assert tree.rates(plan(made, ())) == "×1"
    assert tree.rates(plan(made, (BlockRule(path="", lr_scale=0.01), BlockRule(path="fc", lr_scale=1)))) == "×0.01 to ×1"
