"""The Python half of the layer tree: rows and rules as plain data, and whose word wins when two speak at once."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import ui.components.layer_tree
from core.backbones import layer_tree
from core.layers import Block, LayerTree, Parameter
from core.recipe import BlockRule
from core.words import catalogue
from ui.components.layer_tree.rules import decode, encode, nodes, opened, signature


def leaf(path: str, count: int, *, statistics: bool = False) -> Block:
    parameters = (Parameter(f"{path}.weight", count, 2), Parameter(f"{path}.bias", 1, 1))
    return Block(path, "Layer", parameters, statistics=statistics, output_shape=(8, 4, 4))


def small_tree(name: str = "small") -> LayerTree:
    token = Parameter("body.token", 7, 3)
    body = Block("body", "Body", (token,), (leaf("body.a", 10), leaf("body.b", 20, statistics=True)))
    head = Block("head", "Linear", (Parameter("head.weight", 40, 2),), output_shape=(5,))
    return LayerTree(name, Block("", "Net", (), (leaf("stem", 3), Block("relu", "ReLU"), body, head)), "head")


def test_own_parameters_of_a_block_with_children_get_a_row_of_their_own() -> None:
    rows = nodes(small_tree())
    assert rows == [
        ["", None, "small", "Net", 0, 83, "", 0, []],
        ["stem", "", "stem", "Layer", 4, 4, "8×4×4", 0, []],
        ["relu", "", "relu", "ReLU", 0, 0, "", 0, []],
        ["body", "", "body", "Body", 0, 39, "", 0, []],
        ["body.token", "body", "token", "parameter", 7, 7, "", 0, []],
        ["body.a", "body", "a", "Layer", 11, 11, "8×4×4", 0, []],
        ["body.b", "body", "b", "Layer", 21, 21, "8×4×4", 1, []],
        ["head", "", "head", "Linear", 40, 40, "5", 0, []],
    ]


def test_a_parameter_that_a_rule_names_gets_a_row_and_its_layer_owns_nothing_then() -> None:
    rows = {str(row[0]): row for row in nodes(small_tree(), {"stem.bias"})}
    assert rows["stem"][4:6] == [0, 4]
    assert rows["stem.weight"][1:6] == ["stem", "weight", "parameter", 3, 3]
    assert rows["stem.bias"][4:6] == [1, 1]
    assert sum(int(str(row[4])) for row in rows.values()) == small_tree().root.total


def test_rows_of_a_whole_network_own_all_its_parameters_once() -> None:
    from core.backbones import layer_tree

    tree = layer_tree("vit_b_16", classes=10, image_size=224)
    rows = nodes(tree)
    assert sum(int(str(row[4])) for row in rows) == tree.root.total
    assert len({row[0] for row in rows}) == len(rows)
    assert "encoder.layers" in opened(tree)
    assert "encoder.layers.encoder_layer_0" not in opened(tree)


def test_rules_come_back_as_they_went() -> None:
    rules = (BlockRule(path="", trainable=False), BlockRule(path="body", trainable=True, lr_scale=0.1))
    assert decode(encode(rules), nodes(small_tree())) == rules
    assert encode((BlockRule(path="head"),)) == {}


@pytest.mark.parametrize(
    "wish",
    [
        None,
        [],
        "rules",
        {"nowhere": {"trainable": True}},
        {"head": None},
        {"head": {"trainable": "yes"}},
        {"head": {"trainable": 1, "lr_scale": True}},
        {"head": {"lr_scale": -0.1}},
        {"head": {"lr_scale": 1e9}},
        {"head": {"lr_scale": float("nan")}},
        {"head": {"lr_scale": float("inf")}},
        {"head": {"lr_scale": 10**400}},
        {"head": {"lr_scale": "0.1"}},
        {"head": {"shell": "rm"}},
    ],
)
def test_a_wish_of_the_browser_that_makes_no_sense_is_dropped(wish: object) -> None:
    assert decode(wish, nodes(small_tree())) == ()


def test_rules_are_given_in_the_order_of_the_network() -> None:
    said = {"head": {"lr_scale": 2}, "": {"trainable": False}, "body.token": {"trainable": True}}
    assert [rule.path for rule in decode(said, nodes(small_tree()))] == ["", "body.token", "head"]


def test_another_head_is_another_signature() -> None:
    assert signature(nodes(small_tree())) == signature(nodes(small_tree()))
    assert signature(nodes(small_tree())) != signature(nodes(small_tree("other")))


# --- the handshake ------------------------------------------------------------------------------------------------------


def page() -> None:
    import streamlit as st

    from core.layers import Block, LayerTree, Parameter
    from core.recipe import BlockRule
    from ui.components.layer_tree import layer_tree

    def tree(name: str) -> LayerTree:
        blocks = tuple(Block(path, "Linear", (Parameter(f"{path}.weight", 5, 2),)) for path in ("stem", "body", "head"))
        return LayerTree(name, Block("", "Net", (), blocks), "head")

    presets = {"head": (BlockRule(path="", trainable=False), BlockRule(path="head", trainable=True)), "all": ()}
    st.session_state.setdefault("rules", presets["head"])
    for name, rules in presets.items():
        st.button(name, key=name, on_click=st.session_state.update, kwargs={"rules": rules})
    if st.toggle("shown", value=True, key="shown"):
        net = tree(st.selectbox("net", ["one", "two"], key="net"))
        st.session_state.rules = layer_tree(net, st.session_state.rules, key="tree", language="en", base_lr=0.1)


HEAD = (BlockRule(path="", trainable=False), BlockRule(path="head", trainable=True))
BODY = (BlockRule(path="body", trainable=False),)


@pytest.fixture
def at() -> AppTest:
    return AppTest.from_function(page, default_timeout=30).run()


def sent(at: AppTest) -> dict[str, Any]:
    return json.loads(at.get("bidi_component")[0].proto.json)


def click(at: AppTest, rules: tuple[BlockRule, ...], said: dict[str, Any] | None = None) -> AppTest:
    """What the browser sends when a person has clicked on what `said` (default: the newest data) showed."""
    said = said or sent(at)
    at.session_state["tree"] = {"wish": {"sig": said["sig"], "rev": said["rev"], "rules": encode(rules)}}
    return at.run()


def test_before_a_click_the_rules_are_those_of_the_caller(at: AppTest) -> None:
    assert at.session_state["rules"] == HEAD
    assert sent(at)["rules"] == {"": {"trainable": False}, "head": {"trainable": True}}


def test_a_click_changes_the_rules_and_sends_nothing_back(at: AppTest) -> None:
    before = at.get("bidi_component")[0].proto.json
    click(at, BODY)
    assert at.session_state["rules"] == BODY
    assert at.get("bidi_component")[0].proto.json == before


def test_a_preset_beats_a_click_that_came_before_it(at: AppTest) -> None:
    first = sent(at)
    click(at, BODY)
    at.button(key="all").click().run()
    assert at.session_state["rules"] == ()
    assert (sent(at)["rev"], sent(at)["rules"]) == (first["rev"] + 1, {})


def test_a_click_that_arrives_after_a_preset_it_has_not_seen_is_ignored(at: AppTest) -> None:
    old = sent(at)
    click(at, BODY)
    at.button(key="all").click().run()
    click(at, HEAD, old)
    assert at.session_state["rules"] == ()


def test_a_click_after_a_preset_counts(at: AppTest) -> None:
    click(at, BODY)
    at.button(key="all").click().run()
    click(at, BODY)
    assert at.session_state["rules"] == BODY


def test_the_same_preset_twice_with_a_click_between_wins_both_times(at: AppTest) -> None:
    at.button(key="all").click().run()
    click(at, BODY)
    at.button(key="all").click().run()
    assert at.session_state["rules"] == ()
    click(at, HEAD)
    at.button(key="all").click().run()
    assert at.session_state["rules"] == ()


def test_the_draft_survives_leaving_the_page(at: AppTest) -> None:
    click(at, BODY)
    at.toggle(key="shown").set_value(False).run()
    assert "tree" not in at.session_state  # Streamlit drops the value of a component that is not drawn
    at.toggle(key="shown").set_value(True).run()
    assert at.session_state["rules"] == BODY
    assert sent(at)["rules"] == {"body": {"trainable": False}}


def test_a_click_on_another_network_is_ignored(at: AppTest) -> None:
    old = sent(at)
    at.selectbox(key="net").set_value("two").run()
    assert sent(at)["sig"] != old["sig"]
    click(at, BODY, old)
    assert at.session_state["rules"] == HEAD


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_word_that_the_browser_half_asks_for_exists(language: str) -> None:
    text = (Path(ui.components.layer_tree.__file__).parent / "layer_tree.js").read_text("utf-8")
    asked = set(re.findall(r"words\.(\w+)", text)) | set(re.findall(r'\["[\w-]+", "(\w+)"\](?=[,\]])', text))
    assert [word for word in sorted(asked) if f"tree.{word}" not in catalogue(language)] == []


def test_every_field_of_a_rule_comes_back_and_nonsense_does_not() -> None:
    rules = (
        BlockRule(path="", trainable=False, adapter=4, pull=0.5),
        BlockRule(path="body", trainable=True, since=7),
        BlockRule(path="head", lr_scale=0.1),
    )
    rows = nodes(small_tree())
    assert decode(encode(rules), rows) == rules
    wild = {"head": {"trainable": True, "adapter": -1, "pull": 99, "since": 0.5}, "body": {"adapter": 2.5}}
    assert decode(wild, rows) == (BlockRule(path="head", trainable=True),)


def test_weights_that_can_have_adapters_are_sent_with_their_shapes() -> None:
    rows = {row[0]: row[8] for row in nodes(layer_tree("resnet18", classes=5, image_size=64))}
    assert rows["conv1"] == [64, 3 * 7 * 7]
    assert rows["fc"] == [5, 512]
    assert rows["bn1"] == rows["layer1"] == []
