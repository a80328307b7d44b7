"""What one choice means for the others."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.dataset import import_dataset
from core.recipe import BlockRule, Recipe, augment_preset
from core.workspace import Workspace
from ui import drafting, services
from ui.parts.doors import demo_recipe

pytestmark = pytest.mark.usefixtures("house")


def test_a_data_set_brings_the_size_that_its_pictures_have_to_show(flowers: str) -> None:
    assert drafting.with_dataset(Recipe(backbone="thaw-small"), flowers).image_size == 32


def test_what_a_demo_brought_along_does_not_stay_for_ones_own_images(flowers: str) -> None:
    demo = demo_recipe("demo:leaves")
    own = drafting.with_dataset(demo, flowers)
    assert (own.epochs, own.augment) == (services.FIRST_EPOCHS, Recipe().augment)
    assert (demo.epochs, demo.augment) != (own.epochs, own.augment)
    touched = drafting.with_dataset(demo.changed(epochs=3, augment=augment_preset("light")), flowers)
    assert (touched.epochs, touched.augment) == (3, augment_preset("light"))
    assert drafting.with_dataset(own.changed(epochs=demo.epochs), flowers).epochs == demo.epochs, "no demo, no change"


def test_large_pictures_are_not_proposed_larger_than_usual(house: Workspace, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / "big" / name).mkdir(parents=True)
        for number in range(3):
            noise = np.random.default_rng(10 * ord(name) + number).integers(0, 256, (500, 700, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "big" / name / f"{number}.png")
    dataset = import_dataset(tmp_path / "big", house)
    assert drafting.with_dataset(Recipe(backbone="thaw-small"), dataset.id).image_size == 224


def test_pretrained_weights_bring_the_size_they_were_made_for(flowers: str) -> None:
    draft = Recipe(dataset=flowers, backbone="resnet18", image_size=32)
    assert drafting.with_weights(draft, "pretrained").image_size == services.backbone("resnet18").image_size


def test_another_backbone_begins_with_what_is_on_this_machine() -> None:
    new = drafting.with_backbone(Recipe(backbone="thaw-small", weights="random"), "resnet18")
    assert (new.backbone, new.weights, new.strategy) == ("resnet18", "random", "full")


def test_rules_made_by_hand_do_not_travel_to_another_backbone() -> None:
    draft = Recipe(backbone="thaw-small", strategy="custom", rules=(BlockRule(path="layer1", trainable=False),))
    assert drafting.with_backbone(draft, "squeezenet1_1").rules == ()


def test_the_same_backbone_again_leaves_everything_as_it_is() -> None:
    draft = Recipe(backbone="squeezenet1_1", image_size=64, strategy="custom").with_rule("features.3", trainable=False)
    assert drafting.with_backbone(draft, "squeezenet1_1") == draft


def test_a_strategy_travels_to_another_backbone_and_is_written_onto_its_tree() -> None:
    draft = drafting.with_strategy(Recipe(backbone="thaw-small"), "head")
    new = drafting.with_backbone(draft, "squeezenet1_1")
    assert new.strategy == "head"
    assert [rule.path for rule in new.rules] == ["", services.tree(new).head]


def test_a_size_the_backbone_cannot_work_with_is_never_proposed(flowers: str) -> None:
    new = drafting.with_backbone(Recipe(dataset=flowers, backbone="thaw-small"), "vit_b_16")
    assert services.backbone("vit_b_16").allows(new.image_size)


def test_other_weights_keep_rules_made_by_hand() -> None:
    rules = (BlockRule(path="layer1", trainable=False),)
    draft = Recipe(backbone="resnet18", weights="random", strategy="custom", rules=rules)
    assert drafting.with_weights(draft, "pretrained").rules == rules


def test_leaving_random_weights_ends_the_strategy_that_wants_them() -> None:
    draft = drafting.with_strategy(Recipe(backbone="resnet18", weights="random"), "scratch")
    assert drafting.with_weights(draft, "pretrained").strategy == "full"


def test_stripes_show_the_head_last_and_a_tenth_as_half() -> None:
    stripes = drafting.stripes(Recipe(backbone="thaw-small", weights="random"))
    assert set(stripes["full"]) == {1.0}
    assert set(stripes["head"][:-1]) == {0.0}
    assert stripes["head"][-1] == 1.0
    learning = Recipe(backbone="resnet18", weights="pretrained")
    assert drafting.stripes(learning)["layerwise"][-1] == 1.0
    assert drafting.stripes(learning)["full"] == (0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    for thin in ("norm", "bias", "lora"):
        assert drafting.stripes(learning)[thin] == (drafting.LITTLE,) * 5 + (1.0,)
