"""The layer tree in a real browser: its rules are those of core/plan.py, and every way of using it does what it says."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

import ui.components.layer_tree
from core.backbones import layer_tree
from core.layers import LayerTree
from core.plan import plan
from core.recipe import BlockRule, Recipe
from core.strategies import apply_strategy
from tests.browser.conftest import visit
from ui.components.layer_tree.rules import decode, encode, nodes

pytestmark = pytest.mark.browser

RULES_JS = (Path(ui.components.layer_tree.__file__).parent / "rules.js").read_text("utf-8")
NETWORKS = ("resnet18", "densenet201", "vit_b_16", "swin_t", "convnext_tiny", "efficientnet_v2_l")


@pytest.fixture(scope="module")
def rules_js(bare: Page) -> Page:
    """A page in which `window.tree` holds the functions of rules.js."""
    bare.evaluate(
        """async text => {
             const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }))
             window.tree = await import(url)
           }""",
        RULES_JS,
    )
    return bare


def draw_rules(tree: LayerTree, draw: random.Random) -> tuple[BlockRule, ...]:
    paths = [block.path for block in tree.blocks()] + [p.name for p in tree.root.all_parameters()]
    chosen = sorted({*draw.sample(paths, draw.randrange(12)), *draw.choices(["", tree.rows[0].path, tree.head], k=2)})
    fields = [(draw.choice([None, True, False]), draw.choice([None, 0.0, 0.1, 3.0])) for _ in chosen]
    return tuple(BlockRule(path=p, trainable=t, lr_scale=s) for p, (t, s) in zip(chosen, fields, strict=True))


def expected(tree: LayerTree, rules: tuple[BlockRule, ...]) -> dict[str, list[Any]]:
    """Of each block: how many parameters learn below it, and its state."""
    frozen = plan(tree, rules).frozen
    said = {}
    for block in tree.blocks():
        learns = sum(p.count for p in block.all_parameters() if p.name not in frozen)
        said[block.path] = [learns, "frozen" if learns == 0 else "trainable" if learns == block.total else "mixed"]
    return {block.path: said[block.path] for block in tree.blocks() if block.total}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_browser_derives_from_rules_what_the_plan_says(rules_js: Page, name: str) -> None:
    tree, draw = layer_tree(name, classes=10, image_size=224), random.Random(name)
    for _ in range(12):
        rules = draw_rules(tree, draw)
        rows = nodes(tree, {rule.path for rule in rules})
        seen = rules_js.evaluate(
            """([rows, rules]) => {
                 const { nodes, root } = tree.plant(rows)
                 tree.derive(root, rules)
                 return Object.fromEntries(nodes.filter(n => n.total).map(n => [n.path, [n.learns, n.state, n.scale]]))
               }""",
            [rows, encode(rules)],
        )
        want = expected(tree, rules)
        assert {path: seen[path][:2] for path in want} == want
        meant = plan(tree, rules)
        owner = {p.name: p.name if p.name in seen else block.path for block in tree.blocks() for p in block.parameters}
        for group in meant.groups:
            assert {seen[owner[parameter]][2] for parameter in group.parameters} == {group.lr_scale}


@pytest.mark.parametrize("strategy", ["lora", "gradual", "norm", "bias"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_browser_knows_adapters_and_timelines_as_the_plan_does(rules_js: Page, name: str, strategy: str) -> None:
    tree = layer_tree(name, classes=10, image_size=224)
    rules = apply_strategy(Recipe(weights="pretrained", epochs=10), strategy, tree).rules
    rows = nodes(tree, {rule.path for rule in rules})
    for epoch in (1, 4, 10):
        learns, adapted = rules_js.evaluate(
            """([rows, rules, epoch]) => {
                 const { root } = tree.plant(rows)
                 tree.derive(root, rules, epoch)
                 return [root.learns, root.adapted]
               }""",
            [rows, encode(rules), epoch],
        )
        meant = plan(tree, rules, epoch)
        adapters = sum(adapter.count for adapter in meant.adapters)
        assert (learns, adapted) == (meant.trainable - adapters, adapters)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_click_makes_the_whole_block_learn_or_stop_and_touches_nothing_else(rules_js: Page, name: str) -> None:
    tree, draw = layer_tree(name, classes=10, image_size=224), random.Random(name)
    blocks = [block for block in tree.blocks() if block.total]
    for _ in range(12):
        rules, block = draw_rules(tree, draw), draw.choice(blocks)
        rows = nodes(tree, {rule.path for rule in rules})
        after = rules_js.evaluate(
            """([rows, rules, path]) => {
                 const { byPath, root } = tree.plant(rows)
                 tree.derive(root, rules)
                 const node = byPath.get(path)
                 tree.thaw(node, rules, node.state !== "trainable")
                 return rules
               }""",
            [rows, encode(rules), block.path],
        )
        before, now = plan(tree, rules).frozen, plan(tree, decode(after, rows)).frozen
        inside = {p.name for p in block.all_parameters()}
        assert now & inside == (set() if before & inside else inside)
        assert now - inside == before - inside
        assert len(after) <= len(encode(rules)) + 1


@pytest.mark.parametrize(
    ("typed", "meant"),
    list(
        {
            "0.1": 0.1,
            "0,1": 0.1,
            "×0.1": 0.1,
            " 2 ": 2,
            "1e-3": 0.001,
            ".5": 0.5,
            "0": 0,
            "1000": 1000,
            "": "nothing",
        }.items()
    ),
)
def test_a_scale_is_read_as_people_write_it(rules_js: Page, typed: str, meant: float | str) -> None:
    assert (
        rules_js.evaluate("text => { const v = tree.readScale(text); return v === undefined ? 'nothing' : v }", typed)
        == meant
    )


@pytest.mark.parametrize("typed", ["-1", "abc", "1001", "0x10", "Infinity", "NaN", "1.2.3", "1e", "·"])
def test_what_is_no_scale_is_refused(rules_js: Page, typed: str) -> None:
    assert rules_js.evaluate("text => tree.readScale(text)", typed) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (128, "128"), (9408, "9.41 k"), (148_000, "148 k"), (11_689_512, "11.7 M"), (118e6, "118 M")],
)
def test_counts_have_three_digits(rules_js: Page, number: float, text: str) -> None:
    assert rules_js.evaluate("n => tree.compact(n)", number) == text


# --- on the page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(staying: Page) -> Page:
    return staying


class Tree:
    """The tree as a person meets it."""

    def __init__(self, page: Page, demo: str, query: str = "") -> None:
        self.page = page
        visit(page, demo, f"page=tree{query}")
        expect(self.row("")).to_be_visible(timeout=60_000)

    def row(self, path: str) -> Locator:
        return self.page.locator(f'.st-key-tree [role=treeitem][data-path="{path}"]')

    def toggle(self, path: str) -> None:
        self.row(path).locator(".toggle").click()

    def rules(self) -> dict[str, list[Any]]:
        return json.loads(self.page.locator(".st-key-rules code").inner_text())

    def expect_rules(self, rules: dict[str, list[Any]]) -> None:
        expect(self.page.locator(".st-key-rules code")).to_have_text(json.dumps(rules), timeout=15_000)

    def focused(self) -> str | None:
        return self.page.evaluate("document.activeElement.shadowRoot?.activeElement?.dataset.path ?? null")


HEAD: dict[str, list[Any]] = {"": [False, None], "fc": [True, None]}
LAST: dict[str, list[Any]] = {"": [False, None], "layer4": [True, 0.1], "fc": [True, None]}


def test_a_click_reaches_the_recipe(page: Page, demo: str) -> None:
    tree = Tree(page, demo)
    expect(tree.row("")).to_have_attribute("aria-checked", "mixed")
    tree.toggle("layer3")
    expect(tree.row("layer3")).to_have_attribute("aria-checked", "true")
    tree.expect_rules({"": [False, None], "layer3": [True, None], "layer4": [True, 0.1], "fc": [True, None]})
    tree.toggle("")
    expect(tree.row("conv1")).to_have_attribute("aria-checked", "true")
    tree.expect_rules({"": [True, None], "layer4": [None, 0.1]})


def test_a_press_elsewhere_never_overtakes_the_last_click(page: Page, demo: str) -> None:
    tree = Tree(page, demo)
    tree.toggle("layer3")
    page.locator(".st-key-start button").click()
    expect(page.locator(".st-key-started code")).to_have_text(
        json.dumps({"": [False, None], "layer3": [True, None], "layer4": [True, 0.1], "fc": [True, None]}), timeout=15_000
    )


def test_a_preset_wins_over_clicks_before_it_and_clicks_after_it_count(page: Page, demo: str) -> None:
    tree = Tree(page, demo)
    tree.toggle("layer2")
    page.locator(".st-key-preset_head button").click()
    tree.expect_rules(HEAD)
    expect(tree.row("layer2")).to_have_attribute("aria-checked", "false")
    tree.toggle("layer1")
    tree.expect_rules({"": [False, None], "layer1": [True, None], "fc": [True, None]})


def test_the_whole_tree_by_keyboard(page: Page, demo: str) -> None:
    tree = Tree(page, demo)
    tree.row("").focus()
    for key in ("End", "ArrowUp", "ArrowUp", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert tree.focused() == "layer4.0"
    page.keyboard.press("Space")
    expect(tree.row("layer4.0")).to_have_attribute("aria-checked", "false")
    expect(tree.row("layer4")).to_have_attribute("aria-checked", "mixed")
    page.keyboard.press("ArrowLeft")
    assert tree.focused() == "layer4"
    page.keyboard.press("Enter")
    page.keyboard.type("0,25")
    page.keyboard.press("Enter")
    assert tree.focused() == "layer4"
    page.keyboard.press("ArrowLeft")
    expect(tree.row("layer4")).to_have_attribute("aria-expanded", "false")
    page.keyboard.type("la")
    assert tree.focused() == "layer1"
    tree.expect_rules({"": [False, None], "layer4": [True, 0.25], "layer4.0": [False, None], "fc": [True, None]})


def test_a_rate_is_set_inherited_and_taken_back(page: Page, demo: str) -> None:
    tree = Tree(page, demo)
    tree.row("layer4").locator(".twist").click()
    expect(tree.row("layer4.0").locator(".scale")).to_have_text("×0.1")
    tree.row("layer4.0").locator(".scale").click()
    page.keyboard.type("nonsense")
    page.keyboard.press("Enter")
    expect(tree.row("layer4.0").locator(".scale")).to_have_text("×0.1")
    tree.row("layer4").locator(".scale").click()
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    expect(tree.row("layer4.0").locator(".scale")).to_have_text("×1")
    tree.expect_rules({"": [False, None], "layer4": [True, None], "fc": [True, None]})


def test_search_finds_by_type_and_freezes_what_it_found(page: Page, demo: str) -> None:
    tree = Tree(page, demo, "&preset=all")
    page.locator(".st-key-tree .search").fill("batchnorm")
    expect(page.locator(".st-key-tree .found")).to_have_text("Found: 20")
    page.locator(".st-key-tree .freeze").click()
    expect(tree.row("bn1").locator(".held")).to_be_visible()
    page.locator(".st-key-tree .search").fill("no such layer")
    expect(page.locator(".st-key-tree .found")).to_contain_text("no such layer")
    expect(page.locator(".st-key-tree .freeze")).to_be_hidden()
    expect(page.locator(".st-key-rules code")).to_contain_text("layer4.1.bn2")
    assert len(tree.rules()) == 20
    assert set(map(tuple, tree.rules().values())) == {(False, None)}


def test_every_row_tells_a_screen_reader_where_it_is(page: Page, demo: str) -> None:
    tree = Tree(page, demo)
    page.locator(".st-key-tree .expand").click()
    first = tree.row("layer1.1.bn2")
    expect(first).to_have_attribute("aria-level", "4")
    expect(first).to_have_attribute("aria-posinset", "5")
    expect(first).to_have_attribute("aria-setsize", "5")
    expect(first).to_have_attribute("aria-label", "bn2, BatchNorm2d, frozen, 128 parameters")
    expect(tree.row("fc")).to_have_attribute("aria-label", "fc, Linear, learns, 5.13 k parameters, learning rate factor 1")
    assert page.locator(".st-key-tree [role=treeitem][tabindex='0']").count() == 1
    expect(page.get_by_role("tree", name="Layers of the network, from the image to the classes")).to_be_visible()


def test_nothing_can_be_changed_while_it_is_disabled(page: Page, demo: str) -> None:
    tree = Tree(page, demo)
    page.locator(".st-key-busy label").click()
    expect(page.locator(".st-key-tree [role=tree]")).to_have_attribute("aria-disabled", "true")
    tree.toggle("layer3")
    expect(tree.row("layer3")).to_have_attribute("aria-checked", "false")
    page.wait_for_timeout(500)
    assert tree.rules() == LAST


def test_leaving_and_coming_back_and_another_network_keep_what_was_chosen(page: Page, demo: str) -> None:
    tree = Tree(page, demo)
    tree.toggle("layer3")
    page.locator(".st-key-shown label").click()  # at once: the click on the tree is still on its way
    expect(tree.row("")).to_have_count(0)
    page.locator(".st-key-shown label").click()
    expect(tree.row("layer3")).to_have_attribute("aria-checked", "true")


@pytest.mark.parametrize("net", ["resnet18", "vit_b_16"])
def test_it_fits_a_phone(page: Page, demo: str, net: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    Tree(page, demo, f"&net={net}")
    page.locator(".st-key-tree .expand").click()
    inside = page.locator(".st-key-tree .scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert inside[0] <= inside[1]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    sides = page.locator(".st-key-tree .row .toggle").first.evaluate("e => [e.offsetWidth, e.offsetHeight]")
    assert min(sides) >= 32
