"""Rules mean what the nearest ancestor says, every parameter lands at one place, and what is held is frozen throughout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RecipeError
from core.layers import Block, LayerTree, Parameter, within
from core.plan import ParamGroup, Plan, plan
from core.recipe import BlockRule


def conv(path: str) -> Block:
    return Block(path, "Conv2d", (Parameter(f"{path}.weight", 100, 4), Parameter(f"{path}.bias", 10, 1)))


def norm(path: str) -> Block:
    return Block(path, "BatchNorm2d", (Parameter(f"{path}.weight", 10, 1),), statistics=True)


STAGE = Block(
    "stage", "Sequential", (Parameter("stage.scale", 5, 1),), (conv("stage.0"), norm("stage.1"), Block("stage.2", "ReLU"))
)
TREE = LayerTree(
    "toy",
    Block("", "Net", (Parameter("token", 7, 3),), (conv("stem"), STAGE, Block("drop", "Dropout"), conv("head"))),
    "head",
)
TOTAL = 7 + 110 + 5 + 110 + 10 + 110


def rule(path: str, trainable: bool | None = None, lr_scale: float | None = None) -> BlockRule:
    return BlockRule(path=path, trainable=trainable, lr_scale=lr_scale)


def scales(made: Plan) -> dict[str, float]:
    return {name: group.lr_scale for group in made.groups for name in group.parameters}


def test_without_rules_everything_learns_at_the_base_rate() -> None:
    made = plan(TREE, ())
    assert made.groups == (
        ParamGroup("", 1.0, True, ("token", "stem.weight", "stage.0.weight", "head.weight"), 307),
        ParamGroup("", 1.0, False, ("stem.bias", "stage.scale", "stage.0.bias", "stage.1.weight", "head.bias"), 45),
    )
    assert (made.frozen, made.held, made.trainable, made.total) == (frozenset(), (), TOTAL, TOTAL)
    assert made.boundary == ""


def test_biases_and_norms_are_spared_weight_decay() -> None:
    made = plan(TREE, ())
    decayed = {name for group in made.groups if group.decay for name in group.parameters}
    assert decayed == {"token", "stem.weight", "stage.0.weight", "head.weight"}


def test_the_head_alone_learns_and_all_else_is_held_at_its_topmost_block() -> None:
    made = plan(TREE, [rule("", False), rule("head", True)])
    assert set(scales(made)) == {"head.weight", "head.bias"}
    assert made.held == ("stem", "stage", "drop")
    assert made.trainable == 110
    assert made.boundary == "head"


def test_a_frozen_network_is_held_as_a_whole_and_has_no_boundary() -> None:
    made = plan(TREE, [rule("", False)])
    assert (made.groups, made.held, made.boundary, made.trainable) == ((), ("",), None, 0)


def test_a_frozen_norm_in_a_learning_stage_is_held_alone() -> None:
    made = plan(TREE, [rule("stage.1", False)])
    assert made.frozen == {"stage.1.weight"}
    assert made.held == ("stage.1",)


def test_a_learning_block_in_a_frozen_stage_keeps_its_brothers_held() -> None:
    made = plan(TREE, [rule("stage", False), rule("stage.0", True)])
    assert made.held == ("stage.1", "stage.2")
    assert made.frozen == {"stage.scale", "stage.1.weight"}


def test_a_block_without_parameters_is_held_when_its_surroundings_are_frozen() -> None:
    assert "drop" in plan(TREE, [rule("", False), rule("head", True)]).held
    assert "drop" not in plan(TREE, [rule("", False), rule("head", True), rule("drop", True)]).held


def test_each_field_is_inherited_by_itself() -> None:
    made = plan(TREE, [rule("", None, 0.1), rule("stage", False), rule("stage.0", True)])
    assert scales(made)["stage.0.weight"] == 0.1
    assert set(made.rates()) == {""}


def test_a_group_is_named_after_the_block_that_sets_its_rate() -> None:
    made = plan(TREE, [rule("", None, 0.1), rule("stage", None, 0.5), rule("head", None, 1.0)])
    assert made.rates() == {"": 0.1, "stage": 0.5, "head": 1.0}
    assert {g.name for g in made.groups for name in g.parameters if within(name, "stage")} == {"stage"}


def test_equal_rates_of_two_blocks_stay_two_groups() -> None:
    made = plan(TREE, [rule("stem", None, 0.5), rule("head", None, 0.5)])
    assert [(g.name, g.lr_scale) for g in made.groups if g.decay] == [("", 1.0), ("stem", 0.5), ("head", 0.5)]


def test_a_rule_can_name_one_parameter() -> None:
    made = plan(TREE, [rule("", False), rule("token", True, 2.0)])
    assert scales(made) == {"token": 2.0}
    assert made.boundary == ""
    assert made.held == ("stem", "stage", "drop", "head")


def test_the_boundary_is_the_first_block_with_a_learning_parameter_of_its_own() -> None:
    assert plan(TREE, [rule("", False), rule("stage.1", True), rule("head", True)]).boundary == "stage.1"


def test_a_rate_of_zero_is_still_learning() -> None:
    made = plan(TREE, [rule("head", None, 0.0)])
    assert scales(made)["head.weight"] == 0.0
    assert made.held == ()


def test_a_rule_for_an_unknown_block_names_it_and_its_nearest() -> None:
    with pytest.raises(RecipeError, match=r"toy has no block called stge\. The nearest name is stage\.") as caught:
        plan(TREE, [rule("stge", False)])
    assert caught.value.code == "recipe.unknown_block"


@st.composite
def trees(draw: st.DrawFn) -> LayerTree:
    def block(path: str, depth: int) -> Block:
        prefix = f"{path}." if path else ""
        own = draw(st.lists(st.sampled_from(["weight", "bias"]), max_size=2, unique=True))
        names = draw(st.lists(st.sampled_from("abcd"), max_size=3 if depth < 3 else 0, unique=True))
        parameters = tuple(Parameter(prefix + name, draw(st.integers(1, 9)), draw(st.integers(0, 4))) for name in own)
        return Block(path, "Module", parameters, tuple(block(prefix + name, depth + 1) for name in names))

    return LayerTree("random", block("", 0), "")


@given(trees(), st.data())
def test_random_rules_mean_what_the_nearest_ancestor_says(tree: LayerTree, data: st.DataObject) -> None:
    every = {p.name: p for p in tree.root.all_parameters()}
    known = sorted({block.path for block in tree.blocks()} | set(every))
    rules = [
        rule(path, data.draw(st.none() | st.booleans()), data.draw(st.none() | st.sampled_from([0.0, 0.1, 1.0, 3.0])))
        for path in data.draw(st.lists(st.sampled_from(known), unique=True))
    ]
    made = plan(tree, rules)

    def nearest(name: str, field: str, default: object) -> object:
        said = [r for r in rules if within(name, r.path) and getattr(r, field) is not None]
        return getattr(max(said, key=lambda r: len(r.path.split(".")) if r.path else 0), field) if said else default

    learning = scales(made)
    assert sorted([*learning, *made.frozen]) == sorted(every)
    assert sum(len(group.parameters) for group in made.groups) == len(learning)
    for name in every:
        assert (name in learning) == nearest(name, "trainable", True)
        if name in learning:
            assert learning[name] == nearest(name, "lr_scale", 1.0)
    for group in made.groups:
        assert group.count == sum(every[name].count for name in group.parameters)
        assert {every[name].dims > 1 for name in group.parameters} == {group.decay}
    assert made.trainable == sum(every[name].count for name in learning)
    assert made.total == tree.root.total
    for path in made.held:
        assert not any(within(name, path) for name in learning)
        assert not any(other != path and within(other, path) for other in made.held)
    first = next((b.path for b in tree.blocks() if any(p.name in learning for p in b.parameters)), None)
    assert made.boundary == first
