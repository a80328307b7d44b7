"""A timeline is what the rules mean, and rules made from one mean it, on networks of every kind."""

import pytest

from core.backbones import layer_tree
from core.plan import plan
from core.recipe import BlockRule, Recipe
from core.strategies import STRATEGIES, apply_strategy
from core.timeline import begins, with_timeline

NETWORKS = ["resnet18", "vit_b_16", "swin_t", "densenet121", "squeezenet1_1"]


def rules_of(strategy: str, name: str = "resnet18") -> tuple[BlockRule, ...]:
    tree = layer_tree(name, classes=5, image_size=64)
    return apply_strategy(Recipe(weights="pretrained", epochs=10), strategy, tree).rules


def test_presets_read_as_what_they_promise() -> None:
    tree = layer_tree("resnet18", classes=5, image_size=64)
    stages = ["conv1", "layer1", "layer2", "layer3", "layer4", "fc"]
    assert begins(tree, rules_of("head")) == {**dict.fromkeys(stages), "fc": 1}
    assert begins(tree, rules_of("full")) == dict.fromkeys(stages, 1)
    assert begins(tree, rules_of("lora")) == dict.fromkeys(stages, 1)
    assert begins(tree, rules_of("lp-ft")) == {**dict.fromkeys(stages, 4), "fc": 1}
    assert list(begins(tree, rules_of("gradual")).values()) == [8, 7, 5, 4, 2, 1]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in ("norm", "bias", "lora")])
def test_what_was_dragged_is_what_learns(name: str, strategy: str) -> None:
    tree = layer_tree(name, classes=5, image_size=64)
    rules = rules_of(strategy, name)
    keys = list(begins(tree, rules))
    wanted = {key: (None if at == 1 else 1 + (at * 3) % 7) for at, key in enumerate(keys)}
    wanted[tree.head] = 1
    made = with_timeline(tree, rules, wanted)
    assert begins(tree, made) == wanted
    frozen = plan(tree, made).frozen
    assert {p.name for p in tree[keys[1]].all_parameters()} <= frozen
    before, after = plan(tree, rules).rates(), plan(tree, made).rates()
    assert set(after.values()) <= set(before.values()) | {1.0}
    assert with_timeline(tree, made, wanted) == made


def test_a_timeline_that_was_not_changed_means_the_same() -> None:
    tree = layer_tree("vit_b_16", classes=5, image_size=64)
    for strategy in ("gradual", "lp-ft", "head", "full"):
        rules = rules_of(strategy, "vit_b_16")
        made = with_timeline(tree, rules, begins(tree, rules))
        for epoch in range(1, 11):
            assert plan(tree, made, epoch).frozen == plan(tree, rules, epoch).frozen, (strategy, epoch)


def test_rates_and_finer_rules_stay() -> None:
    tree = layer_tree("resnet18", classes=5, image_size=64)
    rules = (
        BlockRule(path="", lr_scale=0.1, pull=0.5),
        BlockRule(path="layer3", lr_scale=0.3),
        BlockRule(path="layer3.1.bn2", trainable=False),
    )
    made = with_timeline(tree, rules, {**begins(tree, rules), "layer3": 4})
    said = {rule.path: rule for rule in made}
    assert (said[""].trainable, said[""].lr_scale, said[""].pull) == (False, 0.1, 0.5)
    assert (said["layer3"].lr_scale, said["layer3"].since) == (0.3, 4)
    assert said["layer3.1.bn2"].trainable is False
