"""A recipe is one frozen document: it comes back from its JSON, refuses what cannot be, and says so in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import RecipeError
from core.recipe import AUGMENT_PRESETS, Augment, BlockRule, Recipe, augment_name, augment_preset, parse


def test_a_recipe_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().epochs = 3  # type: ignore[misc]


def test_equal_choices_make_equal_recipes() -> None:
    assert Recipe(lr=0.01).changed(epochs=3) == Recipe(lr=0.01, epochs=3)
    assert Recipe(lr=0.01) != Recipe(lr=0.02)


def test_a_recipe_comes_back_from_its_json_as_it_was() -> None:
    made = Recipe(
        dataset="demo:digits",
        image_size=64,
        augment=AUGMENT_PRESETS["strong"],
        rules=(BlockRule(path="", trainable=False), BlockRule(path="layer4", trainable=True, lr_scale=0.1)),
        lr=3e-4,
        name="猫 & <b>",
    )
    assert parse(made.to_json()) == made
    assert "\n" not in made.to_json()


@given(
    st.builds(
        Recipe,
        epochs=st.integers(1, 10_000),
        warmup_epochs=st.just(0.0),
        lr=st.floats(1e-12, 10.0),
        weight_decay=st.floats(0, 10.0),
        name=st.text(max_size=200),
        seed=st.integers(0, 2**32 - 1),
    )
)
def test_any_valid_recipe_comes_back_from_its_json_as_it_was(made: Recipe) -> None:
    assert parse(made.to_json()) == made


def test_a_changed_recipe_leaves_the_old_one_as_it_was() -> None:
    old = Recipe()
    assert old.changed(epochs=99).epochs == 99
    assert old.epochs == 10


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("image_size", 15),
        ("image_size", 1025),
        ("batch_size", 0),
        ("optimizer", "lion"),
        ("device", "tpu"),
        ("seed", -1),
        ("val_fraction", 1.0),
        ("label_smoothing", 1.0),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_field_and_value(field: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"The setting {field} cannot be {value!r}") as caught:
        Recipe().changed(**{field: value})
    assert caught.value.code == "recipe.invalid"
    assert caught.value.values["field"] == field


def test_splits_must_leave_something_to_learn_from() -> None:
    with pytest.raises(RecipeError, match=r"With val_fraction 0\.5 and test_fraction 0\.45 too little is left"):
        Recipe().changed(val_fraction=0.5, test_fraction=0.45)


def test_warm_up_must_be_shorter_than_the_run_unless_the_run_has_one_epoch() -> None:
    with pytest.raises(RecipeError, match=r"The warm-up \(warmup_epochs 5\) is not shorter than the run \(epochs 5\)"):
        Recipe().changed(epochs=5, warmup_epochs=5)
    assert Recipe(epochs=1, warmup_epochs=1).epochs == 1
    assert Recipe(epochs=5, warmup_epochs=0).warmup_epochs == 0


def test_two_rules_for_one_block_are_refused() -> None:
    with pytest.raises(RecipeError, match="Two rules speak of the block fc"):
        Recipe().changed(rules=(BlockRule(path="fc"), BlockRule(path="fc", trainable=True)))


def test_a_rule_changes_one_field_of_its_block_and_keeps_the_other() -> None:
    made = Recipe(strategy="full").with_rule("layer4", trainable=False).with_rule("layer4", lr_scale=0.5)
    assert made.rules == (BlockRule(path="layer4", trainable=False, lr_scale=0.5),)
    assert made.strategy == "custom"


def test_rules_keep_their_order() -> None:
    made = Recipe().with_rule("a", trainable=False).with_rule("b", trainable=False).with_rule("a", trainable=True)
    assert [(r.path, r.trainable) for r in made.rules] == [("a", True), ("b", False)]


def test_assignments_take_json_values_plain_words_and_dots() -> None:
    made = Recipe().assigned(
        ["lr=0.01", "optimizer=sgd", "augment.rotation=15", "augment.flip_vertical=true", "name=my run"]
    )
    assert (made.lr, made.optimizer, made.name) == (0.01, "sgd", "my run")
    assert made.augment == Augment(rotation=15, flip_vertical=True)


def test_an_assignment_can_name_an_augmentation_preset() -> None:
    assert Recipe().assigned(["augment=strong"]).augment == AUGMENT_PRESETS["strong"]
    with pytest.raises(RecipeError, match="There is no augmentation preset called wild") as caught:
        Recipe().assigned(["augment=wild"])
    assert caught.value.code == "recipe.unknown_augment"


def test_an_assignment_can_hold_rules() -> None:
    made = Recipe().assigned(['rules=[{"path": "fc", "trainable": true}]'])
    assert made.rules == (BlockRule(path="fc", trainable=True),)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("lr", "recipe.assignment"),
        ("rate=1", "recipe.unknown_field"),
        ("augment.spin=1", "recipe.unknown_field"),
        ("lr.more=1", "recipe.unknown_field"),
        ("lr=fast", "recipe.invalid"),
        ("lr=NaN", "recipe.invalid"),
        ("epochs=1e999", "recipe.invalid"),
        ("warmup_epochs=99", "recipe.warmup_too_long"),
    ],
)
def test_an_assignment_that_cannot_be_is_refused(text: str, code: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe().assigned([text])
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("epochs=0", "≥ 1"),
        ("lr=0", "> 0"),
        ("seed=4294967296", "< 4294967296"),
        ("augment.rotation=181", "≤ 180"),
        ("schedule=sudden", "cosine, one-cycle, step, plateau, constant"),
        ("device=tpu", "auto, cpu, cuda, cuda:1, mps"),
        ("lr=fast", "0.1, 0.2, …"),
        ("epochs=1.5", "1, 2, 3, …"),
        ("augment.flip_vertical=maybe", "true, false"),
        (f"name={'x' * 201}", "… ≤ 200"),
    ],
)
def test_what_is_allowed_is_said_without_a_language(text: str, allowed: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe().assigned([text])
    assert (caught.value.code, caught.value.values["allowed"]) == ("recipe.invalid", allowed)


def test_a_text_may_look_like_a_number() -> None:
    made = Recipe().assigned(["name=2024", "dataset=00e1", 'backbone="resnet50"'])
    assert (made.name, made.dataset, made.backbone) == ("2024", "00e1", "resnet50")


def test_a_rule_with_a_scale_that_cannot_be_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"The setting rules\.0\.lr_scale cannot be 5000\.0; allowed: ≤ 1000\."):
        Recipe().with_rule("fc", lr_scale=5000.0)


def test_an_unknown_field_of_a_part_names_the_known_ones_of_that_part() -> None:
    with pytest.raises(RecipeError, match=r"called augment\.spin\. Use one of: augment\.blur, augment\.color"):
        Recipe().assigned(["augment.spin=1"])


def test_an_unknown_field_names_the_known_ones() -> None:
    with pytest.raises(
        RecipeError, match=r"There is no setting called rate\. Use one of: accumulate, augment, backbone, bal"
    ):
        Recipe().assigned(["rate=1"])


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"recipe"', "null"])
def test_what_is_not_a_json_object_is_no_recipe(text: str) -> None:
    with pytest.raises(RecipeError, match="The recipe is not valid JSON") as caught:
        parse(text)
    assert caught.value.code == "recipe.not_json"


def test_a_recipe_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"There is no setting called shoe\. Use one of: accumulate, augment, backbone"):
        parse(json.dumps({"shoe": 43}))


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe().changed(optimizer="x" * 5000)
    assert len(str(caught.value.values["value"])) <= 80


def test_presets_are_found_by_name_and_recognised_by_value() -> None:
    for name, preset in AUGMENT_PRESETS.items():
        assert augment_preset(name) == preset
        assert augment_name(preset) == name
    assert augment_name(Augment(rotation=3)) == "custom"


def test_the_preset_none_changes_nothing() -> None:
    assert all(not value for value in AUGMENT_PRESETS["none"].model_dump().values())


def test_presets_for_things_with_an_up_never_mirror_them() -> None:
    assert not AUGMENT_PRESETS["upright"].flip_horizontal
    assert not AUGMENT_PRESETS["upright"].flip_vertical


@pytest.mark.parametrize("document", ['{"name": "\\ud800"}', '{"film": ["a\\udfff"]}', '{"rules": [{"path": "\\ud83d"}]}'])
def test_half_a_character_is_refused_because_no_file_can_hold_it(document: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(document)
    assert (caught.value.code, caught.value.values["allowed"]) == ("recipe.invalid", "Unicode")
    str(caught.value).encode()
    assert parse('{"name": "\\ud83d\\ude00"}').name == "😀"
