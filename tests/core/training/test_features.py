"""What frozen blocks say is kept, changes nothing but the time, and is never stale."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.augment import normalised
from core.backbones import build, layer_tree
from core.cut import Place
from core.events import (
    Amend,
    EpochDone,
    Event,
    Kept,
    Notice,
    Pause,
    Preparing,
    Saved,
    Started,
    StepDone,
    Stop,
)
from core.events import (
    Tested as Measured,
)
from core.heads import decompose, ridge
from core.images import decode
from core.model import load_model
from core.optim import apply_plan
from core.plan import plan
from core.recipe import AUGMENT_PRESETS, BlockRule, Recipe
from core.strategies import apply_strategy
from core.training import features as module
from core.training import trunk
from core.training.features import Features
from core.training.learner import Learner
from core.training.trunk import worth_keeping
from core.workspace import Workspace

Run = Callable[..., Any]
STRONG = AUGMENT_PRESETS["strong"]


@pytest.fixture
def frozen(recipe: Recipe) -> Recipe:
    """The head alone learns, in single precision."""
    tree = layer_tree("tiny-residual", classes=3, image_size=32)
    return apply_strategy(recipe.changed(backbone="tiny-residual", epochs=5, lr=0.01, views=2), "head", tree)


def by_hand(recipe: Recipe, *paths: str) -> Recipe:
    rules = (BlockRule(path="", trainable=False), *(BlockRule(path=path, trainable=True) for path in paths))
    return recipe.changed(rules=rules, strategy="custom")


def losses(said: Any) -> list[float | None]:
    return [step.loss for step in said.of(StepDone)]


def stored(workspace: Workspace) -> set[str]:
    return {file.name for file in (workspace.cache / "activations").glob("*.bin")}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> list[int]:
    """Images that went through the trunk to be kept; of other tests nothing is left."""
    shutil.rmtree(workspace.cache / "activations", ignore_errors=True)
    seen: list[int] = []
    real = Learner.activations

    def counted(self: Learner, pixels: torch.Tensor, draws: torch.Tensor | None) -> torch.Tensor:
        seen.append(len(pixels))
        return real(self, pixels, draws)

    monkeypatch.setattr(Learner, "activations", counted)
    return seen


# the same as without


@pytest.mark.parametrize(
    "changes", [{}, {"augment": STRONG}, {"augment": STRONG, "balanced": True, "ema": 0.9, "dropout": 0.3}]
)
def test_kept_and_plain_training_of_a_head_agree(run: Run, frozen: Recipe, changes: dict[str, Any]) -> None:
    """E1: losses to 1e-6 in single precision, the same predictions, in every epoch and in the test."""
    recipe = frozen.changed(**changes)
    quick, plain = run(recipe, "quick"), run(recipe.changed(reference=True), "plain")
    assert losses(quick) == pytest.approx(losses(plain), rel=1e-5, abs=1e-6)
    assert [e.val_accuracy for e in quick.of(EpochDone)] == [e.val_accuracy for e in plain.of(EpochDone)]
    assert [e.val_loss for e in quick.of(EpochDone)] == pytest.approx([e.val_loss for e in plain.of(EpochDone)], rel=1e-5)
    assert quick.of(Measured)[0].scores.accuracy == plain.of(Measured)[0].scores.accuracy
    assert (len(quick.of(Kept)), len(plain.of(Kept))) == (1, 0)


@pytest.mark.parametrize("learns", [("layer4", "fc"), ("layer3", "fc"), ("layer4.0.conv2", "fc")])
def test_kept_and_plain_training_agree_wherever_the_boundary_lies(run: Run, frozen: Recipe, learns: tuple[str, ...]) -> None:
    recipe = by_hand(frozen.changed(image_size=64, optimizer="sgd", lr=1e-4, epochs=2, augment=STRONG), *learns)
    quick, plain = run(recipe, "quick"), run(recipe.changed(reference=True), "plain")
    assert losses(quick) == pytest.approx(losses(plain), rel=1e-4)
    assert len(quick.of(Kept)) == 1


def test_the_plain_path_keeps_and_folds_nothing(
    run: Run, frozen: Recipe, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk, "folded", lambda *_: pytest.fail("folded"))
    said = run(frozen.changed(reference=True, precision="bf16"))
    assert passes == []
    assert said.of(Started)[0].precision == "fp32"


def test_half_precision_and_folding_cost_a_head_nothing(real_data: Path) -> None:
    """What is kept of real hands in bf16, norms folded in, points where the plain network's features do."""
    with zipfile.ZipFile(real_data / "sign-digits.zip") as hands:
        names = sorted(name for name in hands.namelist() if name.lower().endswith(".jpg"))[::8]
        pixels = torch.from_numpy(np.stack([decode(hands.read(name), 64, "crop").transpose(2, 0, 1) for name in names]))
    labels = torch.tensor([int(name.split("/")[-2]) for name in names])
    network = build("thaw-small", classes=10, weights="bundled", image_size=64)
    tree = layer_tree("thaw-small", classes=10, image_size=64)
    recipe = apply_strategy(Recipe(backbone="thaw-small", image_size=64), "head", tree)
    made = plan(tree, recipe.rules)
    apply_plan(network.model, made)
    features = []
    for half in (torch.bfloat16, None):
        cut = trunk.outlook(
            network, tree, made, recipe.changed(reference=False), images=300, device=torch.device("cpu"), half=half
        ).trunk
        assert cut is not None
        with torch.no_grad():
            below = cut.below if half else cut.cuttable.below(cut.place)
            kept = [
                below(normalised(some, network.mean, network.std).to(half or torch.float32)).float().flatten(1)
                for some in pixels.split(64)
            ]
        features.append(torch.cat(kept))
    assert torch.cosine_similarity(*features).min() > 0.999
    quick, plain = (ridge(decompose(each), labels, 10).accuracy for each in features)
    assert plain > 0.9
    assert abs(quick - plain) <= 0.005  # one image


def test_views_take_turns_and_each_is_worked_out_once(run: Run, frozen: Recipe, passes: list[int]) -> None:
    said = run(frozen.changed(augment=STRONG, views=2))
    splits = said.of(Started)[0].splits
    assert sum(passes) == 2 * splits["train"] + splits["val"]
    assert said.of(Kept)[0].views == 2
    still = run(frozen.changed(augment=STRONG, views=2, lr=1e-12, seed=3), "still")
    mean = [epoch.train_loss for epoch in still.of(EpochDone)]  # nothing is learned: only the views differ
    assert mean[0] == pytest.approx(mean[2], rel=1e-5)
    assert mean[1] == pytest.approx(mean[3], rel=1e-5)
    assert mean[0] != pytest.approx(mean[1], rel=1e-5)


def test_images_that_nothing_changes_have_one_view(run: Run, frozen: Recipe, passes: list[int]) -> None:
    said = run(frozen.changed(views=4))
    assert sum(passes) == said.of(Started)[0].splits["train"] + said.of(Started)[0].splits["val"]
    assert said.of(Kept)[0].views == 1


def test_switched_off_each_epoch_brings_new_changes(run: Run, frozen: Recipe, passes: list[int]) -> None:
    said = run(frozen.changed(augment=STRONG, views=2, cache=False, lr=1e-12))
    mean = [epoch.train_loss for epoch in said.of(EpochDone)]
    assert len({f"{loss:.5f}" for loss in mean}) == 5
    assert (passes, said.of(Kept)) == ([], [])


@pytest.mark.parametrize("changes", [{"mixup": 0.5}, {"cutmix": 1.0}, {"augment": STRONG.model_copy(update={"noise": 0.1})}])
def test_what_differs_each_time_is_not_kept(run: Run, frozen: Recipe, changes: dict[str, Any], passes: list[int]) -> None:
    said = run(frozen.changed(epochs=1, **changes))
    assert (passes, said.of(Kept)) == ([], [])


# never stale


def test_an_equal_run_finds_everything_and_works_nothing_out(run: Run, frozen: Recipe, passes: list[int]) -> None:
    first = run(frozen.changed(augment=STRONG), "first")
    passes.clear()
    again = run(frozen.changed(augment=STRONG, lr=0.02), "again")
    assert passes == []
    assert (first.of(Kept)[0].seconds_per_image or 0) > 0
    assert again.of(Kept)[0].seconds_per_image is None
    assert losses(again)[0] == losses(first)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 5},
        {"image_size": 40},
        {"fit": "stretch"},
        {"augment": AUGMENT_PRESETS["light"]},
        {"split_seed": 1},
        {"precision": "bf16"},
    ],
    ids=str,
)
def test_whatever_it_depends_on_makes_it_another(
    run: Run, frozen: Recipe, workspace: Workspace, passes: list[int], changes: dict[str, Any]
) -> None:
    base = frozen.changed(epochs=1, augment=STRONG, seed=4)
    run(base, "base")
    before = stored(workspace)
    passes.clear()
    run(base.changed(**changes), "other")
    assert sum(passes) > 0
    assert stored(workspace) > before


@pytest.mark.parametrize("version", ["core.augment.VERSION", "core.training.features.DECODER"])
def test_another_version_of_what_makes_pixels_makes_it_another(
    run: Run, frozen: Recipe, passes: list[int], monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    recipe = frozen.changed(epochs=1, augment=STRONG, seed=9)
    run(recipe, "base")
    passes.clear()
    monkeypatch.setattr(version, "next")
    run(recipe, "other")
    assert sum(passes) > 0


def test_a_damaged_file_is_found_and_made_again(run: Run, frozen: Recipe, workspace: Workspace, passes: list[int]) -> None:
    recipe = frozen.changed(epochs=1, seed=6)
    first = run(recipe, "first")
    for file in (workspace.cache / "activations").glob("*.bin"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    passes.clear()
    assert losses(run(recipe, "again")) == losses(first)
    assert sum(passes) > 0


def test_blocks_that_learned_before_they_were_frozen_are_not_taken_for_the_old_ones(run: Run, frozen: Recipe) -> None:
    """All learns in the first epoch, the head alone afterwards: what is kept is of the weights of then."""
    free = frozen.changed(rules=(), strategy="full", optimizer="sgd", lr=0.01, epochs=3)
    told = _once(lambda e: isinstance(e, EpochDone), Amend(rules=frozen.rules))
    quick = run(free, "quick", told=told)
    plain = run(
        free.changed(reference=True), "plain", told=_once(lambda e: isinstance(e, EpochDone), Amend(rules=frozen.rules))
    )
    assert len(quick.of(Kept)) == 1
    assert losses(quick) == pytest.approx(losses(plain), rel=1e-4)


# live


def test_a_block_that_thaws_in_the_middle_of_an_epoch_learns_with_the_next_step(run: Run, frozen: Recipe) -> None:
    told = _once(lambda e: isinstance(e, StepDone) and e.step == 7, Amend(rules=by_hand(frozen, "layer4", "fc").rules))
    recipe = frozen.changed(image_size=64, optimizer="sgd", lr=1e-4, epochs=3)
    quick = run(recipe, "quick", told=told)
    again = _once(lambda e: isinstance(e, StepDone) and e.step == 7, Amend(rules=by_hand(frozen, "layer4", "fc").rules))
    plain = run(recipe.changed(reference=True), "plain", told=again)
    assert losses(quick) == pytest.approx(losses(plain), rel=1e-4)
    assert [kept.block for kept in quick.of(Kept)] == ["", "layer3"]


def test_freezing_more_goes_on_from_what_is_kept(run: Run, frozen: Recipe, passes: list[int]) -> None:
    """From layer3's activations to the head's: the lower blocks are not asked again, and nothing else changes."""
    wide = by_hand(frozen.changed(image_size=64, optimizer="sgd", lr=1e-12, epochs=3), "layer4", "fc")
    said = run(wide, "wide", told=_once(lambda e: isinstance(e, EpochDone), Amend(rules=frozen.rules)))
    splits = said.of(Started)[0].splits
    assert [kept.block for kept in said.of(Kept)] == ["layer3", ""]
    assert sum(passes) == splits["train"] + splits["val"]


def test_freezing_more_after_the_rest_has_learned_is_still_right(run: Run, frozen: Recipe) -> None:
    wide = by_hand(frozen.changed(image_size=64, optimizer="sgd", lr=1e-4, epochs=3), "layer4", "fc")
    quick, plain = (
        run(one, name, told=_once(lambda e: isinstance(e, EpochDone), Amend(rules=frozen.rules)))
        for name, one in (("quick", wide), ("plain", wide.changed(reference=True)))
    )
    assert losses(quick) == pytest.approx(losses(plain), rel=1e-4)


def test_gradual_thawing_moves_the_boundary_and_agrees_with_the_plain_path(run: Run, frozen: Recipe) -> None:
    tree = layer_tree("tiny-residual", classes=3, image_size=64)
    recipe = apply_strategy(frozen.changed(image_size=64, optimizer="sgd", lr=1e-4, epochs=5), "gradual", tree)
    quick, plain = run(recipe, "quick"), run(recipe.changed(reference=True), "plain")
    assert losses(quick) == pytest.approx(losses(plain), rel=1e-2)
    assert [kept.block for kept in quick.of(Kept)][:2] == ["", "layer2"]


def test_stop_and_resume_equals_an_unbroken_run(run: Run, frozen: Recipe, tmp_path: Path) -> None:
    recipe = frozen.changed(augment=STRONG, optimizer="adamw")
    whole = run(recipe, "whole")
    first = run(recipe, "broken", told=_once(lambda e: isinstance(e, StepDone) and e.step == 8, Pause()))
    rest = run(recipe, "broken", resume=tmp_path / "broken" / first.of(Saved)[-1].file)
    assert losses(first) + losses(rest) == losses(whole)
    left, right = (
        load_model(tmp_path / name / "model.safetensors").network.model.state_dict() for name in ("whole", "broken")
    )
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_run_that_is_stopped_while_frozen_blocks_are_worked_out_ends_at_once(
    run: Run, frozen: Recipe, workspace: Workspace
) -> None:
    before = stored(workspace)
    said = run(frozen.changed(seed=77, augment=STRONG), told=_once(lambda e: _working(e), Stop()))
    assert said.of(StepDone) == []
    assert said.ended.outcome == "stopped"
    assert stored(workspace) == before


def test_where_there_is_no_room_it_is_said_and_the_run_is_the_same(
    run: Run, frozen: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = frozen.changed(seed=8, augment=STRONG)
    wanted = run(recipe, "wanted")
    monkeypatch.setattr(Features, "has_room", lambda self, epoch: False)
    said = run(recipe, "crowded")
    assert [notice.code for notice in said.of(Notice)] == ["training.no_room_to_keep"]
    assert losses(said) == pytest.approx(losses(wanted), rel=1e-5)


# checkpoints


def test_a_checkpoint_does_not_repeat_what_is_frozen_and_still_brings_it_all_back(
    run: Run, frozen: Recipe, tmp_path: Path
) -> None:
    from core import checkpoint

    said = run(frozen, told=_once(lambda e: isinstance(e, StepDone) and e.step == 8, Pause()))
    file = tmp_path / "run" / said.of(Saved)[-1].file
    assert set(checkpoint.load(file)["model"]) == {"fc.weight", "fc.bias"}
    assert file.stat().st_size < 100_000
    assert checkpoint.load(tmp_path / "run" / "start.ckpt")["model"].keys() >= {"conv1.weight", "bn1.running_mean"}
    rest = run(frozen, resume=file)
    assert rest.ended.outcome == "finished"


def test_frozen_weights_that_come_out_otherwise_are_taken_from_the_run(
    run: Run, frozen: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with another version of torch, whose fresh weights differ."""
    from core.backbones import build as real
    from core.training import opening

    whole = run(frozen, "whole")
    first = run(frozen, "run", told=_once(lambda e: isinstance(e, StepDone) and e.step == 8, Pause()))

    def other(*given: Any, seed: int = 0, **how: Any) -> Any:
        return real(*given, seed=seed + 1, **how)

    monkeypatch.setattr(opening, "build", other)
    file = tmp_path / "run" / first.of(Saved)[-1].file
    rest = run(frozen, resume=file)
    assert losses(first) + losses(rest) == losses(whole)
    (tmp_path / "run" / "start.ckpt").unlink()
    (tmp_path / "run" / "start.ckpt.json").unlink()
    said = run(frozen, resume=tmp_path / "run" / rest.of(Saved)[-1].file)
    assert (said.ended.outcome, said.ended.code) == ("failed", "checkpoint.other_weights")


# where to cut


def place(below: float, numbers: int, dtype: torch.dtype = torch.float32) -> Place:
    return Place(f"{below}", "node", (numbers,), dtype, False, below)


def test_the_smaller_of_two_near_cuts_is_kept() -> None:
    wide, narrow = place(0.95, 4000), place(0.949, 100)
    assert worth_keeping([place(0.5, 10), narrow, wide], 100) == narrow
    assert worth_keeping([place(0.5, 10), place(0.9, 100), wide], 100) == wide


def test_too_little_gain_or_too_many_bytes_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worth_keeping([place(0.2, 10)], 100) is None
    assert worth_keeping([], 100) is None
    monkeypatch.setattr(trunk, "BUDGET_BYTES", 100 * 400)
    assert worth_keeping([place(0.9, 101)], 100) is None
    assert worth_keeping([place(0.6, 50), place(0.9, 101)], 100) == place(0.6, 50)


def test_half_precision_and_turned_memory_come_back_as_they_were(workspace: Workspace) -> None:
    found = torch.randn(3, 4, 5, 5).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    one = Place("x", "x", (4, 5, 5), torch.bfloat16, True, 0.5)
    array = module._array(found, one)
    back = module._turned(module._tensor(array, one), one)
    assert torch.equal(back, found)
    assert back.is_contiguous(memory_format=torch.channels_last)


def _once(when: Callable[[Event], bool], command: Any) -> Callable[[Event], Any]:
    told: list[Event] = []

    def tell(event: Event) -> Any:
        if told or not when(event):
            return None
        told.append(event)
        return command

    return tell


def _working(event: Event) -> bool:
    return isinstance(event, Preparing) and event.what == "features"
