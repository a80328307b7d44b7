"""A preset writes few rules that say what people expect of it, on networks of every kind."""

import json

import pytest

from core.backbones import layer_tree
from core.errors import RecipeError
from core.layers import LayerTree
from core.plan import plan
from core.recipe import BlockRule, Recipe
from core.strategies import STAGE_DECAY, STRATEGIES, apply_strategy
from core.words import catalogue

PRETRAINED = Recipe(weights="pretrained")


def resnet() -> LayerTree:
    return layer_tree("resnet18", classes=5, image_size=64)


def written(strategy: str, recipe: Recipe = PRETRAINED) -> dict[str, tuple[bool | None, float | None]]:
    rules = apply_strategy(recipe, strategy, resnet()).rules
    return {rule.path: (rule.trainable, rule.lr_scale) for rule in rules}


def test_head_freezes_all_and_thaws_the_head() -> None:
    assert written("head") == {"": (False, None), "fc": (True, None)}


def test_last_stage_thaws_the_last_stage_at_a_tenth_and_the_head_at_the_full_rate() -> None:
    assert written("last-stage") == {"": (False, 0.1), "layer4": (True, None), "fc": (True, 1.0)}


def test_last_two_stages_thaws_two() -> None:
    assert written("last-two-stages") == {
        "": (False, 0.1),
        "layer3": (True, None),
        "layer4": (True, None),
        "fc": (True, 1.0),
    }


def test_full_is_one_rate_and_a_tenth_where_downloaded_weights_could_be_washed_away() -> None:
    assert written("full") == {"": (None, 0.1)}
    assert written("full", Recipe(weights="random")) == written("full", Recipe(weights="bundled")) == {}


def learned(strategy: str, epoch: int | None = None, recipe: Recipe = PRETRAINED, name: str = "resnet18") -> set[str]:
    tree = layer_tree(name, classes=5, image_size=64)
    made = plan(tree, apply_strategy(recipe, strategy, tree).rules, epoch)
    return {parameter.rpartition(".")[0] for group in made.groups for parameter in group.parameters}


def tops(blocks: set[str]) -> set[str]:
    return {block.partition(".")[0] for block in blocks}


def test_first_and_middle_stages_are_thirds_of_the_network() -> None:
    assert tops(learned("first-stages")) == {"conv1", "bn1", "layer1", "fc"}
    assert tops(learned("middle")) == {"layer1", "layer2", "layer3", "fc"}


def test_gradual_thaws_from_the_head_down_one_stage_at_a_time() -> None:
    recipe = PRETRAINED.changed(epochs=15)
    told = [tops(learned("gradual", epoch, recipe)) for epoch in (1, 3, 5, 7, 9, 11)]
    assert told == [
        {"fc"},
        {"fc", "layer4"},
        {"fc", "layer4", "layer3"},
        {"fc", "layer4", "layer3", "layer2"},
        {"fc", "layer4", "layer3", "layer2", "layer1"},
        {"fc", "layer4", "layer3", "layer2", "layer1", "conv1", "bn1"},
    ]


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("strategy", ["gradual", "lp-ft"])
@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "swin_t", "efficientnet_b0"])
def test_a_timeline_begins_with_the_head_and_ends_with_everything(name: str, strategy: str, epochs: int) -> None:
    recipe = PRETRAINED.changed(epochs=epochs, warmup_epochs=0)
    tree = layer_tree(name, classes=5, image_size=64)
    rules = apply_strategy(recipe, strategy, tree).rules
    trainable = [plan(tree, rules, epoch).trainable for epoch in range(1, epochs + 1)]
    assert trainable == sorted(trainable)
    assert trainable[-1] == tree.root.total
    if epochs > 1:
        assert trainable[0] == tree[tree.head].total


def test_head_first_then_all_gives_the_head_a_third() -> None:
    recipe = PRETRAINED.changed(epochs=12)
    assert learned("lp-ft", 4, recipe) == {"fc"}
    assert tops(learned("lp-ft", 5, recipe)) == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"}


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "swin_t", "densenet121"])
def test_norms_and_biases_are_few_numbers_in_every_layer(name: str) -> None:
    tree = layer_tree(name, classes=5, image_size=64)
    head = tree[tree.head].total
    for strategy in ("norm", "bias"):
        made = plan(tree, apply_strategy(PRETRAINED, strategy, tree).rules)
        names = {parameter for group in made.groups for parameter in group.parameters}
        assert head < made.trainable < head + 0.02 * made.total
        if strategy == "bias":
            assert all(n.endswith("bias") for n in names if not n.startswith(tree.head))
        else:
            norms = {block.path for block in tree.blocks() if "Norm" in block.type}
            assert {n.rpartition(".")[0] for n in names} - {tree.head} <= norms


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "swin_t", "densenet121", "mobilenet_v3_small", "convnext_tiny"])
def test_adapters_stand_beside_every_large_weight_and_are_smaller(name: str) -> None:
    tree = layer_tree(name, classes=5, image_size=64)
    made = plan(tree, apply_strategy(PRETRAINED, "lora", tree).rules)
    counts = {p.name: p.count for p in tree.root.all_parameters()}
    assert made.adapters
    assert all(adapter.count < counts[adapter.parameter] for adapter in made.adapters)
    assert made.frozen == counts.keys() - {p.name for p in tree[tree.head].all_parameters()}
    assert made.trainable == tree[tree.head].total + sum(adapter.count for adapter in made.adapters)
    if name == "vit_b_16":
        assert {a.parameter.rpartition(".")[2] for a in made.adapters} == {"in_proj_weight", "weight"}
    if name == "resnet18":
        convolutions = {p.name for p in tree.root.all_parameters() if p.dims == 4}
        assert {adapter.parameter for adapter in made.adapters} == convolutions


@pytest.mark.parametrize("weights", ["random", "bundled"])
def test_fresh_and_bundled_weights_learn_at_one_rate(weights: str) -> None:
    fresh = Recipe(weights=weights)
    assert written("last-stage", fresh) == {"": (False, None), "layer4": (True, None), "fc": (True, None)}
    for strategy in ("head", "last-stage", "last-two-stages", "full", "gradual", "lp-ft"):
        made = apply_strategy(fresh, strategy, resnet())
        assert {group.lr_scale for group in plan(resnet(), made.rules).groups} == {1.0}


def test_layerwise_lets_each_stage_learn_slower_than_the_one_above() -> None:
    made = plan(resnet(), apply_strategy(PRETRAINED, "layerwise", resnet()).rules)
    scales = {name: group.lr_scale for group in made.groups for name in group.parameters}
    stages = [
        "conv1.weight",
        "layer1.0.conv1.weight",
        "layer2.0.conv1.weight",
        "layer3.0.conv1.weight",
        "layer4.1.bn2.weight",
    ]
    assert [scales[name] for name in stages] == pytest.approx([STAGE_DECAY**n for n in (5, 4, 3, 2, 1)], rel=1e-4)
    assert scales["fc.weight"] == 1.0
    assert scales["bn1.weight"] == scales["conv1.weight"]
    assert made.trainable == made.total


def test_scratch_forgets_the_weights_and_every_rule() -> None:
    made = apply_strategy(PRETRAINED.with_rule("layer1", trainable=False), "scratch", resnet())
    assert (made.weights, made.rules, made.strategy) == ("random", (), "scratch")


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "scratch"])
def test_other_strategies_keep_the_weights_and_replace_earlier_rules(strategy: str) -> None:
    made = apply_strategy(PRETRAINED.changed(rules=(BlockRule(path="layer1", lr_scale=7.0),)), strategy, resnet())
    assert made.weights == "pretrained"
    assert made.strategy == strategy
    assert 7.0 not in {rule.lr_scale for rule in made.rules}


def test_a_strategy_changes_nothing_but_weights_rules_and_its_name() -> None:
    before = PRETRAINED.changed(lr=0.123, epochs=33)
    for strategy in STRATEGIES:
        after = apply_strategy(before, strategy, resnet())
        assert after.changed(strategy=before.strategy, rules=before.rules, weights=before.weights) == before


LAST_STAGE = {
    "resnet18": {"layer4"},
    "densenet121": {"features.transition3", "features.denseblock4", "features.norm5"},
    "convnext_tiny": {"features.6", "features.7", "classifier.0"},
    "swin_t": {"features.6", "features.7", "norm"},
    "vit_b_16": {"encoder.layers.encoder_layer_11", "encoder.ln"},
    "efficientnet_b0": {"features.6", "features.7", "features.8", "classifier.0"},
    "mobilenet_v3_small": {"features.9", "features.10", "features.11", "features.12", "classifier.0", "classifier.2"},
    "regnet_y_400mf": {"trunk_output.block4"},
    "shufflenet_v2_x0_5": {"stage4", "conv5"},
    "mnasnet0_5": {"layers.12", "layers.13", "layers.14", "layers.15", "classifier.0"},
    "googlenet": {"inception5a", "inception5b", "dropout"},
    "maxvit_t": {"blocks.3", "classifier.2", "classifier.3"},
    "squeezenet1_1": {"features.9", "features.10", "features.11", "features.12", "classifier.0"},
    "vgg11": {"features.16", "features.18", "classifier.0", "classifier.2", "classifier.3", "classifier.5"},
    "alexnet": {*(f"features.{i}" for i in (6, 8, 10)), *(f"classifier.{i}" for i in (0, 1, 3, 4))},
    "thaw-small": {"layer4"},
}


@pytest.mark.parametrize("name", LAST_STAGE)
def test_the_last_stage_is_what_works_at_the_lowest_resolution(name: str) -> None:
    tree = layer_tree(name, classes=5)
    rules = apply_strategy(PRETRAINED, "last-stage", tree).rules
    assert {rule.path for rule in rules if rule.trainable} == LAST_STAGE[name] | {tree.head}


@pytest.mark.parametrize("size", [32, 96, 224])
def test_stages_do_not_depend_on_the_image_size(size: int) -> None:
    for name in ("resnet18", "mobilenet_v2", "thaw-small", "swin_t"):
        ours = [[row.path for row in stage] for stage in layer_tree(name, classes=5, image_size=size).stages]
        assert ours == [[row.path for row in stage] for stage in layer_tree(name, classes=5, image_size=64).stages]


def test_the_smallest_image_that_a_recipe_allows_still_shows_the_stages() -> None:
    tree = layer_tree("resnet18", classes=5, image_size=16)
    assert tree.image_size == 16
    assert [stage[0].path for stage in tree.stages] == ["conv1", "layer1", "layer2", "layer3", "layer4"]


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"no strategy called fast\. Use one of: head, last-stage, last-two-stages"):
        apply_strategy(Recipe(), "fast", resnet())


def test_every_strategy_has_a_title_and_a_help_in_both_languages() -> None:
    for name, strategy in STRATEGIES.items():
        assert strategy.name == name
        for language in ("en", "zh"):
            title, help, source = (catalogue(language)[f"strategy.{name}.{part}"] for part in ("title", "help", "source"))
            assert len({title, help, source}) == 3
            assert any(letter.isdigit() for letter in source), "a source has a year"


def test_what_a_strategy_writes_is_part_of_the_recipe_as_json() -> None:
    made = apply_strategy(PRETRAINED, "last-stage", resnet())
    assert json.loads(made.to_json())["rules"][1] == {
        "path": "layer4", "trainable": True, "lr_scale": None, "adapter": None, "pull": None, "since": 1,
    }  # fmt: skip
