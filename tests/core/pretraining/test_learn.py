from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from core.backbones import bundled
from core.pretraining import learn
from core.pretraining.lessons import WEIGHTS, Pool, make_world
from core.pretraining.pack import pack

SMALL = learn.Settings(batch=16, sides=((0.0, 32),), later_sides=((0.0, 32),), warmup_steps=1)
WORLD = make_world(0)


def steps(learning: learn.Learning, count: int) -> list[dict[str, float]]:
    learning.model.train()
    pool = Pool(WORLD, SMALL.batch // 2, 32, learning.rng, uses=SMALL.uses)
    return [learn.step(learning, pool.take(), SMALL, 0.5, None) for _ in range(count)]


def test_saved_and_resumed_equals_unbroken(tmp_path: Path) -> None:
    whole = learn.begin(SMALL)
    steps(whole, 4)
    broken = learn.begin(SMALL)
    steps(broken, 2)
    learn.save(broken, tmp_path / "state.pt", SMALL)
    again = learn.resume(tmp_path / "state.pt", SMALL)
    assert (again.step, again.images) == (2, 32)
    steps(again, 2)
    for name, part in whole.parts.items():
        for key, tensor in part.state_dict().items():
            assert torch.equal(tensor, again.parts[name].state_dict()[key]), f"{name}.{key}"


def test_every_loss_falls_on_pictures_seen_again_and_again() -> None:
    learning = learn.begin(SMALL)
    learning.model.train()
    lesson = Pool(WORLD, 16, 32, torch.Generator().manual_seed(0), uses=1).take()
    told = [learn.step(learning, lesson, SMALL, 0.5, None) for _ in range(40)]
    for name in WEIGHTS:
        before, after = (sum(one[name] for one in part) / 4 for part in (told[:4], told[-4:]))
        assert after < before, name


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    settings = learn.Settings(warmup_steps=10, falling_share=0.25)
    assert learn.rate(0.0, 0, settings) == pytest.approx(0.1)
    assert learn.rate(0.5, 100, settings) == learn.rate(0.74, 100, settings) == 1
    assert learn.rate(0.875, 100, settings) == pytest.approx(0.5)
    assert learn.rate(1.0, 100, settings) == 0


def test_rounds_follow_each_other() -> None:
    rounds = (1, 3)
    assert learn.placed(0, rounds) == (0, 0)
    assert learn.placed(45, rounds) == (0, 0.75)
    assert learn.placed(60, rounds) == (1, 0)
    assert learn.placed(60 + 135, rounds) == (1, 0.75)
    assert learn.placed(240, rounds) == (1, 1)


def test_the_contrast_is_low_where_partners_are_alike_and_high_where_they_are_swapped() -> None:
    vectors = F.normalize(torch.eye(8), dim=1)
    together, swapped = torch.cat([vectors, vectors]), torch.cat([vectors, vectors.roll(1, 0)])
    assert float(learn.contrast(together)) < 0.1
    assert float(learn.contrast(swapped)) > 4


def test_a_training_of_a_moment_saves_itself_and_packs_into_the_backbone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learning = learn.begin(SMALL)
    learn.run(learning, SMALL, minutes=[0.005, 0.005], file=tmp_path / "state.pt", half=None)
    assert learn.resume(tmp_path / "state.pt", SMALL).step == learning.step > 0
    size = pack(learning, SMALL, tmp_path / "w.safetensors")
    assert size == (tmp_path / "w.safetensors").stat().st_size < 12_000_000
    tensors = load_file(tmp_path / "w.safetensors")
    network = bundled.make("thaw-small", 7, 64)
    missing, extra = network.load_state_dict(tensors, strict=False)
    assert (missing, extra) == (["fc.weight", "fc.bias"], [])
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}


def test_a_training_that_has_failed_is_not_packed(tmp_path: Path) -> None:
    learning = learn.begin(SMALL)
    with torch.no_grad():
        next(learning.averaged.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        pack(learning, SMALL, tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()
