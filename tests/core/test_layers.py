"""A tree loses nothing, opens the right containers, keeps its head in sight and comes back from JSON as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.layers import Block, LayerTree, Parameter, within


def leaf(path: str, *counts: int, type: str = "Conv2d", dims: int = 4) -> Block:
    parameters = tuple(Parameter(f"{path}.{name}", count, dims) for name, count in zip("wbc", counts, strict=False))
    return Block(path, type, parameters)


def tree(*rows: Block, head: str = "head", starts: tuple[str, ...] = (), own: tuple[Parameter, ...] = ()) -> LayerTree:
    return LayerTree("net", Block("", "Net", own, rows), head, 64, starts)


FLAT = tree(
    leaf("stem", 10), leaf("a", 20), leaf("relu"), leaf("b", 30), leaf("c", 40, 4), leaf("norm", 5, dims=1), leaf("head", 8)
)


def paths(blocks: tuple[Block, ...]) -> list[str]:
    return [block.path for block in blocks]


def test_a_block_counts_its_own_parameters_and_all_below() -> None:
    inner = Block("body.0", "Block", (Parameter("body.0.scale", 3, 1),), (leaf("body.0.conv", 10, 2),))
    body = Block("body", "Sequential", (), (inner, leaf("body.1", 5)))
    assert inner.total == 15
    assert body.total == 20
    assert [p.name for p in body.all_parameters()] == ["body.0.scale", "body.0.conv.w", "body.0.conv.b", "body.1.w"]
    assert [b.path for b in body.walk()] == ["body", "body.0", "body.0.conv", "body.1"]
    assert inner.children[0].name == "conv"


def test_a_tree_is_asked_by_path() -> None:
    assert FLAT["c"].total == 44
    assert "c" in FLAT
    assert "c.w" not in FLAT
    assert FLAT[""] is FLAT.root
    with pytest.raises(KeyError):
        FLAT["layer9"]


def test_rows_are_the_top_level_where_five_hold_parameters() -> None:
    assert paths(FLAT.rows) == ["stem", "a", "relu", "b", "c", "norm", "head"]


def test_the_largest_container_is_opened_until_five_rows_hold_parameters() -> None:
    small = Block("small", "Sequential", (), (leaf("small.0", 1), leaf("small.1", 1)))
    large = Block("large", "Sequential", (), tuple(leaf(f"large.{i}", 100) for i in range(4)))
    made = tree(small, large, leaf("head", 8))
    assert paths(made.rows) == ["small", "large.0", "large.1", "large.2", "large.3", "head"]


def test_a_container_of_the_head_is_always_opened() -> None:
    classifier = Block("classifier", "Sequential", (), (leaf("classifier.0", 9), leaf("classifier.1", 8)))
    made = tree(*(leaf(f"s{i}", 10) for i in range(6)), classifier, head="classifier.1")
    assert paths(made.rows)[-2:] == ["classifier.0", "classifier.1"]


def test_a_mere_list_is_always_opened() -> None:
    blocks = Block("blocks", "ModuleList", (), (leaf("blocks.0", 10), leaf("blocks.1", 10)))
    made = tree(*(leaf(f"s{i}", 10) for i in range(6)), blocks, leaf("head", 8))
    assert paths(made.rows)[-3:] == ["blocks.0", "blocks.1", "head"]


def test_a_head_with_children_of_its_own_stays_one_row() -> None:
    head = Block("head", "Sequential", (), (leaf("head.0", 1000),))
    assert paths(tree(leaf("stem", 1), head).rows) == ["stem", "head"]


def test_stages_begin_where_the_tree_says_and_take_everything_up_to_the_next() -> None:
    made = tree(*FLAT.root.children, starts=("stem", "b"))
    assert [paths(stage) for stage in made.stages] == [["stem", "a", "relu"], ["b", "c", "norm"]]


def test_without_starts_every_row_with_weights_begins_a_stage_and_norms_join_the_one_before() -> None:
    assert [paths(stage) for stage in FLAT.stages] == [["stem"], ["a", "relu"], ["b"], ["c", "norm"]]


def test_the_head_is_in_no_stage() -> None:
    assert "head" not in {row.path for stage in FLAT.stages for row in stage}


def test_within_goes_by_parts_of_a_path_not_by_letters() -> None:
    assert within("layer1.0.conv1", "layer1")
    assert within("layer1", "layer1")
    assert within("layer1", "")
    assert not within("layer10", "layer1")
    assert not within("layer1", "layer1.0")


@st.composite
def blocks(draw: st.DrawFn, path: str = "", depth: int = 0) -> Block:
    names = draw(st.lists(st.sampled_from("abcde"), max_size=4 if depth < 3 else 0, unique=True))
    prefix = f"{path}." if path else ""
    own = draw(st.lists(st.sampled_from(["weight", "bias", "scale"]), max_size=2, unique=True))
    return Block(
        path,
        draw(st.sampled_from(["Sequential", "ModuleList", "Conv2d"])),
        tuple(Parameter(f"{prefix}{name}", draw(st.integers(1, 99)), draw(st.integers(0, 4))) for name in own),
        tuple(draw(blocks(f"{prefix}{name}", depth + 1)) for name in names),
        draw(st.booleans()),
        draw(st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9))),
        draw(st.integers(0, 10**12)),
        draw(st.integers(0, 10**12)),
    )


@given(blocks(), st.data())
def test_a_tree_comes_back_from_json_as_it_was(root: Block, data: st.DataObject) -> None:
    head = data.draw(st.sampled_from([block.path for block in root.walk()]))
    made = LayerTree("net", root, head, 96, ("a", "b.c"))
    back = LayerTree.from_dict(json.loads(json.dumps(made.to_dict())))
    assert back == made
    assert list(back.blocks()) == list(made.blocks())


@given(blocks(), st.data())
def test_every_parameter_is_below_one_row_or_belongs_to_an_opened_container(root: Block, data: st.DataObject) -> None:
    made = LayerTree("net", root, data.draw(st.sampled_from([block.path for block in root.walk()])))
    below = [p.name for row in made.rows for p in row.all_parameters()]
    opened = [b for b in made.blocks() if not any(within(b.path, row.path) for row in made.rows)]
    above = [p.name for block in opened for p in block.parameters]
    assert sorted(below + above) == sorted(p.name for p in root.all_parameters())
    assert all(any(within(row.path, block.path) for row in made.rows) for block in opened if block.children)


@given(blocks(), st.data())
def test_stages_hold_rows_in_order_each_once(root: Block, data: st.DataObject) -> None:
    made = LayerTree("net", root, data.draw(st.sampled_from([block.path for block in root.walk()])))
    order = [row.path for row in made.rows if row.path != made.head]
    assert [row.path for stage in made.stages for row in stage] == order
